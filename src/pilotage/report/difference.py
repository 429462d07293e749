"""Which words of two texts differ, as pieces of each: to be marked where they are shown side by side."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 600
"""Words of a text that are compared; of longer ones, the rest is one piece that differs where it does."""
ALIKE = 0.3
"""The share of words in common from which on the others are marked."""
_WORD = re.compile(r"\s*\S+")


class Piece(NamedTuple):
    """A part of a text; `other` where the other text says something else, or nothing."""

    text: str
    other: bool


def differing(one: str, two: str) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces of both, in order: put together they are the texts again.

    Words are compared with their case and punctuation, without the white space before them. Where the texts have little in
    common nothing is marked, for everything would be.
    """
    first, second = _words(one), _words(two)
    matcher = SequenceMatcher(None, [word.strip() for word in first], [word.strip() for word in second], autojunk=False)
    if matcher.ratio() < ALIKE:
        return [Piece(one, other=False)] if one else [], [Piece(two, other=False)] if two else []
    left: list[Piece] = []
    right: list[Piece] = []
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        _add(left, first[start:end], other=kind != "equal")
        _add(right, second[other_start:other_end], other=kind != "equal")
    return left, right


def _words(text: str) -> list[str]:
    words = _WORD.findall(text)
    kept = words[:MOST]
    rest = text[sum(map(len, kept)) :]
    return [*kept, rest] if rest else kept


def _add(pieces: list[Piece], words: Sequence[str], *, other: bool) -> None:
    if not words:
        return
    text = "".join(words)
    blank = len(text) - len(text.lstrip()) if other else 0
    # White space before a marked word is not marked.
    if blank:
        pieces.append(Piece(text[:blank], other=False))
    if len(text) > blank:
        pieces.append(Piece(text[blank:], other=other))
