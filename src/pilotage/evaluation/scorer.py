"""What a scorer is: it judges one reply to one case. Unscored is not wrong: where there is no reply, there is no value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.records import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def scored(name: str, case: Case, release: str, faults: Sequence[str]) -> Score:
    return Score(case=case.id, release=release, scorer=name, value=0.0 if faults else 1.0, why="; ".join(faults))


def unscored(name: str, case: Case, release: str, why: str) -> Score:
    return Score(case=case.id, release=release, scorer=name, value=None, why=why)


def silent(reply: Reply) -> str:
    """Return why there is nothing to judge."""
    return reply.error or "the reply holds no text"
