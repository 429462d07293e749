"""Quantities as people write them: durations such as `90s`, `6h`, `7d`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from pilotage.clock import DAY, HOUR, MINUTE, SECOND

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def parse_duration(text: object) -> int:
    """Return microseconds of `90s`, `15m`, `6h` or `7d`; raise ValueError otherwise."""
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        msg = f"{text!r} is not a duration; write a number and one of s, m, h, d, such as '6h'"
        raise ValueError(msg)
    return int(float(match[1]) * _UNITS[match[2]])


def duration_text(microseconds: int) -> str:
    """Return the shortest exact text that `parse_duration` reads back."""
    for unit in "dhms":
        if microseconds % _UNITS[unit] == 0 and microseconds >= _UNITS[unit]:
            return f"{microseconds // _UNITS[unit]}{unit}"
    return f"{microseconds / SECOND:g}s"


def _duration(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and value == 0 else parse_duration(value)


Duration = Annotated[
    int,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*[smhd]$", "examples": ["90s", "6h", "7d"]}),
]
"""Microseconds in Python, `6h` in the file."""
