"""Days and months in UTC, by which budgets count. They have no daylight saving: a day is always 24 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from pilotage.clock import SECOND

Kind = Literal["day", "month"]
KINDS: tuple[Kind, Kind] = ("day", "month")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """A day or a month: its name, such as 2026-11-23 or 2026-11, a number that grows by one, and its bounds (microseconds)."""

    name: str
    number: int
    begin: int
    end: int


def period(kind: Kind, at: int) -> Period:
    """Return the period in which a time lies (microseconds since 1970)."""
    begin = (_EPOCH + timedelta(seconds=at // SECOND)).replace(hour=0, minute=0, second=0)
    if kind == "day":
        return Period(begin.strftime("%Y-%m-%d"), (begin - _EPOCH).days, _at(begin), _at(begin + timedelta(days=1)))
    begin = begin.replace(day=1)
    following = (begin + timedelta(days=31)).replace(day=1)
    return Period(begin.strftime("%Y-%m"), begin.year * 12 + begin.month, _at(begin), _at(following))


def bounds(name: str) -> tuple[int, int]:
    """Return when the period of this name begins and ends."""
    begin = datetime.strptime(name, "%Y-%m-%d" if len(name) > len("2026-11") else "%Y-%m").replace(tzinfo=UTC)
    found = period("day" if len(name) > len("2026-11") else "month", _at(begin))
    return found.begin, found.end


def _at(when: datetime) -> int:
    return round((when - _EPOCH).total_seconds()) * SECOND
