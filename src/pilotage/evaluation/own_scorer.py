"""A team's own scorer: a Python function of a case and a reply. Whatever it does wrong, the case is unscored and not wrong."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.scorer import silent, unscored
from pilotage.records import Score

if TYPE_CHECKING:
    from pilotage.evaluation.client import Reply
    from pilotage.evaluation.plan import Plan
    from pilotage.spec.case import Case

SECONDS = 30.0
"""The longest that it may think about one reply."""


OwnFunction = Callable[[str], Callable[..., Any]]
"""Gives the function of a scorer by its name; raises NotMeasured where there is none."""


def own_scorer(plan: Plan, own: OwnFunction | None) -> OwnScorer | None:
    """Return the scorer that the file names, if it names one; raise NotMeasured where it cannot be loaded here."""
    name = str((plan.spec.get("evaluation") or {}).get("scorer") or "")
    if not name:
        return None
    if own is None:
        raise NotMeasured(
            f"the scorer {name} is a function, and none can be loaded here", hint="run `pilotage evaluate`"
        )
    return OwnScorer(name, own(name))


class OwnScorer:
    """Calls `function(case, reply)`, async or not: the case as plain data, the reply's text. It gives True or False, a number
    from 0 to 1, or None where it cannot say.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self._function = name, function

    def applies(self, _: Case) -> bool:
        return True

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        if reply.text is None:
            return unscored(self.name, case, release, silent(reply))
        plain = msgspec.to_builtins(case)
        try:
            async with asyncio.timeout(SECONDS):
                if inspect.iscoroutinefunction(self._function):
                    said = await self._function(plain, reply.text)
                else:
                    said = await asyncio.to_thread(self._function, plain, reply.text)
        except TimeoutError:
            return unscored(self.name, case, release, f"{self.name} took longer than {SECONDS:g} s")
        except Exception as fault:  # noqa: BLE001 (whatever somebody else's code raises)
            return unscored(self.name, case, release, f"{self.name} raised {type(fault).__name__}: {fault}"[:300])
        if said is None:
            return unscored(self.name, case, release, f"{self.name} cannot say")
        if not isinstance(said, bool | int | float) or not math.isfinite(said) or not 0 <= said <= 1:
            return unscored(self.name, case, release, f"{self.name} gave {said!r:.80}, not True, False or 0 to 1")
        why = "" if said == 1 else f"{self.name} gave {float(said):g}"
        return Score(case=case.id, release=release, scorer=self.name, value=float(said), why=why)
