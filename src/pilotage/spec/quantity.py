"""Quantities as people write them: durations such as `90s`, `6h`, `7d`; days such as `2027-03-01`."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_SECOND = 1_000_000
_UNITS = {"s": _SECOND, "m": 60 * _SECOND, "h": 3_600 * _SECOND, "d": 86_400 * _SECOND}
_LONGEST = 36_525 * 86_400 * _SECOND
_PATTERN = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([smhd])", re.ASCII)


def parse_duration(text: object) -> int:
    """Return microseconds of `90s`, `15m`, `6h` or `7d`; raise ValueError otherwise."""
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        msg = f"{text!r} is not a duration; write a number and one of s, m, h, d in quotes, such as '6h'"
        raise ValueError(msg)
    whole, _, fraction = match[1].partition(".")
    unit = _UNITS[match[2]]
    value = int(whole) * unit + int(fraction.ljust(6, "0")) * unit // _SECOND
    if value > _LONGEST:
        msg = f"{text!r} is longer than a hundred years"
        raise ValueError(msg)
    return value


def duration_text(microseconds: int) -> str:
    """Return the shortest exact text that `parse_duration` reads back."""
    for unit in "dhms":
        if microseconds % _UNITS[unit] == 0 and microseconds >= _UNITS[unit]:
            return f"{microseconds // _UNITS[unit]}{unit}"
    seconds, rest = divmod(microseconds, _SECOND)
    return f"{seconds}.{rest:06d}".rstrip("0").rstrip(".") + "s"


def _duration(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and value == 0 else parse_duration(value)


Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\s*[0-9]{1,12}(\.[0-9]{1,6})?\s*[smhd]\s*$", "examples": ["90s", "6h", "7d"]}
    ),
]
"""Microseconds in Python, `6h` in the file and in plain data made of it."""


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        msg = f"{value!s} is no day; write year, month and day, such as 2027-03-01"
        raise ValueError(msg) from None


Day = Annotated[date, BeforeValidator(_day)]
"""A day of the calendar, in UTC; with or without quotes in the file."""
