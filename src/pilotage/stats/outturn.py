"""What a period comes to at its end: what is spent, and an interval for what is still to come.

Days are taken as independent draws around their weekday's level. With n days, of residual variance s^2, the sum of r more
days lies in r m +- t s sqrt(r + r^2 / n) (the prediction interval of a sum; Cox & Hinkley 1974, section 7.5): the first term is the
days' own chance, the second that the level is known from n days only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pilotage.stats.special import t_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FEWEST = 3
"""Whole days from which on anything is said."""
WEEKS = 14
"""Days from which on weekdays have levels of their own."""
SURE = 0.9
_WEEK = 7


class Outturn(NamedTuple):
    value: float
    low: float
    high: float


def outturn(days: Sequence[tuple[int, float]], spent: float, left: Mapping[int, float]) -> Outturn | None:
    """Return what a period comes to, with a 90 % interval; None where there are too few whole days.

    `days` are (day number, what it cost), `left` says how much of each weekday (day number mod 7) is still to come, in days.
    """
    n = len(days)
    if n < FEWEST:
        return None
    mean = sum(cost for _, cost in days) / n
    levels = dict.fromkeys(range(_WEEK), mean)
    known = 1
    if n >= WEEKS:
        for weekday in range(_WEEK):
            mine = [cost for day, cost in days if day % _WEEK == weekday]
            levels[weekday] = sum(mine) / len(mine) if mine else mean
        known = _WEEK
    around = sum((cost - levels[day % _WEEK]) ** 2 for day, cost in days)
    freedom = n - known
    rest = sum(left.values())
    value = spent + sum(levels[weekday] * part for weekday, part in left.items())
    reach = t_quantile(0.5 + SURE / 2, freedom) * math.sqrt(around / freedom * (rest + rest * rest * known / n))
    return Outturn(value, max(spent, value - reach), value + reach)
