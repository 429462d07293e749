"""Scorers: what makes a reply right. Unscored is not wrong: where there is no reply, there is no value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.records import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.evaluation.client import Reply
    from pilotage.spec.case import Case


class Scorer(Protocol):
    """Judges one reply to one case. It is awaited, for a scorer may itself have to ask somebody."""

    name: str

    def applies(self, case: Case) -> bool:
        """Return whether this case says anything that this scorer judges by."""

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        """Return a value from 0 (wrong) to 1 (right), or None where it could not be scored."""


def normal(text: str) -> str:
    """Return the form in which texts are compared: case folded, white space collapsed."""
    return " ".join(text.casefold().split())


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
            return _unscored(self.name, case, reply, release)
        faults = fact_faults(reply.text, case.required, case.forbidden)
        return _scored(self.name, case, release, faults)


class Exact:
    """The whole reply, but for case and white space."""

    name = "exact"

    def applies(self, case: Case) -> bool:
        return case.exact is not None

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        if reply.text is None or case.exact is None:
            return _unscored(self.name, case, reply, release)
        same = normal(reply.text) == normal(case.exact)
        return _scored(self.name, case, release, [] if same else [f"is not {case.exact!r}"])


class Contains:
    """Strings that must all be in the reply, to the letter."""

    name = "contains"

    def applies(self, case: Case) -> bool:
        return bool(case.contains)

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        text = reply.text
        if text is None:
            return _unscored(self.name, case, reply, release)
        return _scored(self.name, case, release, [f"lacks {part!r}" for part in case.contains if part not in text])


SCORERS: tuple[Scorer, ...] = (Facts(), Exact(), Contains())


async def score_case(case: Case, reply: Reply, release: str, scorers: Sequence[Scorer] = SCORERS) -> Score | None:
    """Return the worst of the scores that apply (unscored is worse than wrong), or None where none applies."""
    scores = [await scorer.score(case, reply, release) for scorer in scorers if scorer.applies(case)]
    return min(scores, key=lambda score: -1.0 if score.value is None else score.value, default=None)


def _scored(name: str, case: Case, release: str, faults: Sequence[str]) -> Score:
    return Score(case=case.id, release=release, scorer=name, value=0.0 if faults else 1.0, why="; ".join(faults))


def _unscored(name: str, case: Case, reply: Reply, release: str) -> Score:
    return Score(case=case.id, release=release, scorer=name, value=None, why=reply.error or "the reply holds no text")
