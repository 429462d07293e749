"""Scorers by words: the facts of a reply, the whole of it, parts of it; and the score of a case by all scorers that apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.evaluation.forms import FORMS, Bounds, Retrieval
from pilotage.evaluation.media.scorers import FORMS as MEDIA
from pilotage.evaluation.scorer import normal, scored, silent, unscored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.evaluation.client import Reply
    from pilotage.evaluation.scorer import Scorer
    from pilotage.records import Score
    from pilotage.spec.case import Case


def fact_faults(text: str, required: Iterable[Iterable[str]], forbidden: Iterable[str]) -> list[str]:
    """Return what is wrong with a reply by its facts; none means right.

    A reply is right when every required group has an alternative in it, and no forbidden string is.
    """
    reply = normal(text)
    groups = [tuple(group) for group in required]
    missing = [group for group in groups if not any(normal(alternative) in reply for alternative in group)]
    found = [text for text in forbidden if normal(text) in reply]
    return [f"lacks {' or '.join(map(repr, group))}" for group in missing] + [f"says {text!r}" for text in found]


class Facts:
    """The facts that a reply must hold, and those that it must not."""

    name = "facts"

    def applies(self, case: Case) -> bool:
        return bool(case.required or case.forbidden)

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        if reply.text is None:
            return unscored(self.name, case, release, silent(reply))
        faults = fact_faults(reply.text, case.required, case.forbidden)
        return scored(self.name, case, release, faults)


class Exact:
    """The whole reply, but for case and white space."""

    name = "exact"

    def applies(self, case: Case) -> bool:
        return case.exact is not None

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        if reply.text is None or case.exact is None:
            return unscored(self.name, case, release, silent(reply))
        same = normal(reply.text) == normal(case.exact)
        return scored(self.name, case, release, [] if same else [f"is not {case.exact!r}"])


class Contains:
    """Strings that must all be in the reply, to the letter."""

    name = "contains"

    def applies(self, case: Case) -> bool:
        return bool(case.contains)

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        text = reply.text
        if text is None:
            return unscored(self.name, case, release, silent(reply))
        return scored(self.name, case, release, [f"lacks {part!r}" for part in case.contains if part not in text])


SCORERS: tuple[Scorer, ...] = (Facts(), Exact(), Contains(), *FORMS, *MEDIA, Retrieval(), Bounds())


def scorers_of(price: tuple[float, ...] | None, own: Scorer | None = None) -> tuple[Scorer, ...]:
    """Return the scorers of a release at a price (for a million input and output tokens), and a team's own one."""
    return (*SCORERS[:-1], Bounds(price), *((own,) if own is not None else ()))


async def score_case(case: Case, reply: Reply, release: str, scorers: Sequence[Scorer] = SCORERS) -> Score | None:
    """Return the worst of the scores that apply (unscored is worse than wrong), or None where none applies."""
    scores = [await scorer.score(case, reply, release) for scorer in scorers if scorer.applies(case)]
    return min(scores, key=lambda score: -1.0 if score.value is None else score.value, default=None)
