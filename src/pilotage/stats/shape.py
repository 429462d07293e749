"""The shape that a level has over the week: nights and weekends are not a change.

For every hour of the week the mean is drawn towards that hour's of all days, and this towards the mean of all (empirical
Bayes with fixed weights; Efron & Morris 1975, JASA 70:311). Only whole days that came before are in it, so it is known
before the units that are judged by it.
"""

from __future__ import annotations

from functools import cached_property, reduce

import msgspec

WEEK = 168
_WEIGHT = 200.0
"""As many units stand for what is known of an hour before there are any of its own."""

Sums = tuple[int, float]
_NONE: Sums = (0, 0.0)


class Shape(msgspec.Struct, frozen=True, dict=True):
    """(units, total) by hour of the week (0 is Thursday's first hour UTC, as the epoch's): of whole days, and of `today`."""

    hours: dict[int, Sums] = {}
    today: dict[int, Sums] = {}
    day: int = 0

    def after(self, hour: int, n: int, total: float, *, keep: bool) -> Shape:
        """Return the shape with units of an hour (counted from the epoch). A day that is over enters if `keep`."""
        day, hours, today = hour // 24, self.hours, self.today
        if day != self.day:
            if keep:
                hours = {at: _added(hours.get(at, _NONE), today.get(at, _NONE)) for at in {*hours, *today}}
            today = {}
        at = hour % WEEK
        return Shape(hours, {**today, at: _added(today.get(at, _NONE), (n, total))}, day)

    def offset(self, hour: int) -> float:
        """Return how far an hour (counted from the epoch) lies above the mean of all."""
        n, total = self._whole
        if not n:
            return 0.0
        mean = total / n
        return _drawn(self.hours.get(hour % WEEK, _NONE), _drawn(self._daily.get(hour % 24, _NONE), mean)) - mean

    @cached_property
    def _whole(self) -> Sums:
        return reduce(_added, self.hours.values(), _NONE)

    @cached_property
    def _daily(self) -> dict[int, Sums]:
        found: dict[int, Sums] = {}
        for at, sums in self.hours.items():
            found[at % 24] = _added(found.get(at % 24, _NONE), sums)
        return found


def _added(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1]


def _drawn(own: Sums, towards: float) -> float:
    return (own[1] + _WEIGHT * towards) / (own[0] + _WEIGHT)
