"""A team's own scorer: a Python function of a case and a reply. Whatever it does wrong, the case is unscored and not wrong."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
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
TIMES = 3
"""How often it may take longer; after that it is not called again, for nothing can end a thread."""


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
        self._overran = 0

    def applies(self, case: Case) -> bool:
        # It is given the reply's text, and pictures and sound have none.
        return case.surface == "chat"

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        if reply.text is None:
            return unscored(self.name, case, release, silent(reply))
        if self._overran >= TIMES:
            why = f"{self.name} is not called any more: it took longer than {SECONDS:g} s {TIMES} times"
            return unscored(self.name, case, release, why)
        plain = msgspec.to_builtins(case)
        deadline = asyncio.timeout(SECONDS)
        try:
            async with deadline:
                if inspect.iscoroutinefunction(self._function):
                    said = await self._function(plain, reply.text)
                else:
                    said = await _in_thread(self._function, plain, reply.text)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 (whatever somebody else's code raises)
            if deadline.expired():
                self._overran += 1
                return unscored(self.name, case, release, f"{self.name} took longer than {SECONDS:g} s")
            why = f"{self.name} raised {type(fault).__name__}: {_words(str, fault)}"
            return unscored(self.name, case, release, why[:300])
        if isinstance(said, bool | int | float) and 0 <= said <= 1:
            why = "" if said == 1 else f"{self.name} gave {float(said):g}"
            return Score(case=case.id, release=release, scorer=self.name, value=float(said), why=why)
        gave = "cannot say" if said is None else f"gave {_words(repr, said)}, not True, False or 0 to 1"
        return unscored(self.name, case, release, f"{self.name} {gave}")


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function gives that may block. Its thread is one that nobody waits for, also not when the program ends."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def tell(said: Any, fault: BaseException | None) -> None:
        if not came.done():
            came.set_result((said, fault))

    def run() -> None:
        said, fault = None, None
        try:
            said = function(*arguments)
        except BaseException as raised:  # noqa: BLE001 (sys.exit too is no more than a fault of the function)
            fault = raised
        # The loop may be gone by the time that a slow one comes back.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, said, fault)

    threading.Thread(target=run, name="scorer", daemon=True).start()
    said, fault = await came
    if fault is not None:
        raise fault if isinstance(fault, Exception | SystemExit) else RuntimeError(type(fault).__name__)
    return said


def _words(of: Callable[[Any], str], what: Any) -> str:
    """Return the words for what somebody else's code gave or raised, whose own words may raise in their turn."""
    try:
        return of(what)[:80]
    except Exception as fault:  # noqa: BLE001
        return f"what cannot be shown ({type(fault).__name__})"
