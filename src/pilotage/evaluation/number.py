"""Numbers as people and models write them, within a text."""

from __future__ import annotations

import re

_BODY = r"""
      \d{1,3}(?:\.\d{3})+,\d+(?!\d)                     # 1.234,56
    | [1-9]\d{0,2}(?:\.\d{3}){2,}(?!\d)                  # 1.234.567
    | (?:[1-9]\d{0,2}([,_'\u2019\u202f\u00a0 ])\d{3}(?:\1\d{3})*(?!\d)   # 1,234 or 1'234 or 1 234
      | (?<!\d,)(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?!\d|,\d|\.\d)       # 3,5: no thousands, so a comma for the point
      | \d+
      )(?:\.\d+)?
"""
_NUMBER = re.compile(rf"(?:(?<![\w.,])[-+\u2212])?(?:{_BODY})(?:[eE][-+]?\d{{1,3}}(?![\w.]))?", re.VERBOSE)
_GAPS = str.maketrans(dict.fromkeys(",_'\u2019\u202f\u00a0 ", "") | {"\u2212": "-"})
_COMMA = re.compile(r"^[-+\u2212]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?:[eE].*)?$")


def numbers(text: str) -> list[float]:
    """Return the numbers in a text.

    Thousands may be set apart by commas, spaces, apostrophes, or points where more follows (1.234,56); a comma that sets no
    thousands apart is a decimal one (3,5). What ambiguity leaves is read as English does: 1.234 is little more than one. A
    dash between two words or numbers is no sign, and a list (1, 2, 3) no single number.
    """
    return [_value(match.group()) for match in _NUMBER.finditer(text)]


def _value(written: str) -> float:
    if _COMMA.match(written):
        return float(written.replace(",", ".").translate(_GAPS))
    points = written.count(".")
    if points > 1 or (points == 1 and "," in written and written.index(".") < written.index(",")):
        written = written.replace(".", "").replace(",", ".")
    return float(written.translate(_GAPS))
