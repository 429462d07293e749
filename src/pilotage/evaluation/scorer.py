"""What a scorer is: it judges one reply to one case. Unscored is not wrong: where there is no reply, there is no value."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Protocol

from pilotage.records import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.client import Reply
    from pilotage.spec.case import Case


_PLAIN = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u2010\u2011\u2013\u2212", "-")
    | dict.fromkeys("\u00ad\u200b\u2060\ufeff", "")
)


class Scorer(Protocol):
    """Judges one reply to one case. It is awaited, for a scorer may itself have to ask somebody."""

    name: str

    def applies(self, case: Case) -> bool:
        """Return whether this case says anything that this scorer judges by."""

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        """Return a value from 0 (wrong) to 1 (right), or None where it could not be scored."""


def normal(text: str) -> str:
    """Return the form in which texts are compared: case folded, white space collapsed.

    Models write typographer's quotes and hyphens where people type plain ones, and accents are written in two ways: all are
    one here, by the canonical caseless matching of Unicode (The Unicode Standard, section 3.13).
    """
    if text.isascii():
        return " ".join(text.casefold().split())
    plain = unicodedata.normalize("NFD", text.translate(_PLAIN))
    return " ".join(unicodedata.normalize("NFC", plain.casefold()).split())


def scored(name: str, case: Case, release: str, faults: Sequence[str]) -> Score:
    return Score(case=case.id, release=release, scorer=name, value=0.0 if faults else 1.0, why="; ".join(faults))


def unscored(name: str, case: Case, release: str, why: str) -> Score:
    return Score(case=case.id, release=release, scorer=name, value=None, why=why)


def silent(reply: Reply) -> str:
    """Return why there is nothing to judge."""
    return reply.error or "the reply holds no text"
