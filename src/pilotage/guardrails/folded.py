"""Text as patterns see it: unicode's many ways to write one sign folded into one, with the way back to where it stood.

Compatibility forms and other scripts' digits become plain ones, marks and what has no width fall away, dashes and blanks
become `-` and a blank, and letters of other scripts that look like Latin ones become these. Each sign folds by itself, to
one or to none, so folding the pieces of a text gives the pieces of its folding.
"""

# ruff: noqa: RUF001 - these signs are here because they look like others

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

_OTHER = re.compile(r"[^\x00-\x7f]+")
_FEW = 16
_LATIN = dict(
    zip(
        "АВЕЅКМНОРСТУХІЈаеорсухіјѕԁһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοѵı",
        "ABESKMHOPCTYXIJaeopcyxijsdhABEZHIKMNOPTYXovi",
        strict=True,
    )
)


class Folded:
    """`text` is the folded text, `data` the same with one byte a sign, `?` for what is not ASCII."""

    __slots__ = ("_folded_at", "_stood_at", "data", "text")

    def __init__(self, text: str, *, folds: bool = True) -> None:
        """Take a text as it is where it is not to be folded."""
        self._folded_at: list[int] = []
        self._stood_at: list[int] = []
        if not folds or text.isascii():
            self.text = text
            self.data = text.encode("ascii", "replace")
            return
        signs = {sign: _sign(sign) for sign in set("".join(_OTHER.findall(text)))}
        if all(len(became) == 1 for became in signs.values()):
            # Every sign stays where it is: no way back is needed.
            changed: dict[str, str | int | None] = {sign: became for sign, became in signs.items() if became != sign}
            if len(changed) > _FEW:
                text = text.translate(str.maketrans(changed))
            else:
                for sign in changed:
                    text = text.replace(sign, signs[sign])
            self.text = text
        else:
            self.text = self._fold(text, signs)
        self.data = self.text.encode("ascii", "replace")

    def stood(self, start: int, end: int) -> tuple[int, int]:
        """Return where what was folded to [start, end) stands in the text as it came; not empty."""
        if not self._folded_at:
            return start, end
        return self.origin(start), self.origin(end - 1) + 1

    def origin(self, at: int) -> int:
        """Return where the sign stands that was folded to this place; the end of the text for its end."""
        if not self._folded_at:
            return at
        piece = bisect_right(self._folded_at, at) - 1
        return self._stood_at[piece] + at - self._folded_at[piece]

    def _fold(self, text: str, signs: dict[str, str]) -> str:
        """Note, in turn, where a run of signs that stay begins, and where one that becomes something else does."""
        pieces: list[str] = []
        kept = size = 0
        for run in _OTHER.finditer(text):
            for at in range(run.start(), run.end()):
                became = signs[text[at]]
                if became == text[at]:
                    continue
                pieces += (text[kept:at], became)
                self._folded_at += (size, size + at - kept)
                self._stood_at += (kept, at)
                size += at - kept + len(became)
                kept = at + 1
        self._folded_at.append(size)
        self._stood_at.append(kept)
        pieces.append(text[kept:])
        return "".join(pieces)


@lru_cache(maxsize=1 << 14)
def _sign(sign: str) -> str:
    """Return what one sign that is not ASCII is folded to, perhaps nothing; itself where that would be several signs."""
    out = []
    for part in unicodedata.normalize("NFKD", sign):
        category = unicodedata.category(part)
        if part in _LATIN:
            out.append(_LATIN[part])
        elif category == "Nd":
            out.append(str(unicodedata.decimal(part)))
        elif category == "Pd" or part == "\u2212":
            out.append("-")
        elif category in ("Zs", "Zl", "Zp"):
            out.append(" ")
        elif category not in ("Mn", "Me", "Cf"):
            out.append(part)
    return "".join(out) if len(out) < 2 else sign
