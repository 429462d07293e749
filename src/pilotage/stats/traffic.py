"""How many units come, and how many of them are new."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from pilotage.stats.mixture import Array


class Traffic(msgspec.Struct, frozen=True):
    """Units that come on a day. A part of `fresh` is never seen before; the others come from a pool of regulars.

    Only first exposures count, so the regulars' part fades as the pool is used up:
    daily (fresh + (1 - fresh) exp(-t daily (1 - fresh) / regulars)) new units a day after t days.
    """

    daily: float
    fresh: float = 1.0
    regulars: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.daily < math.inf and 0 <= self.fresh <= 1):
            msg = f"traffic is some units a day, of which a part of 0 to 1 is new, not {self.daily} and {self.fresh}"
            raise ValueError(msg)
        if self.fresh < 1 and not 0 < self.regulars < math.inf:
            raise ValueError("where units return, say from how many regulars they come")

    def new_units(self, days: float) -> float:
        """Return how many units have been seen for the first time after `days` days."""
        return float(self.seen(np.asarray(days)))

    def seen(self, days: Array) -> Array:
        """Return `new_units` for many days at once."""
        returning = self.daily * (1 - self.fresh)
        new = self.daily * self.fresh * days
        return np.asarray(new + (self.regulars * -np.expm1(-days * returning / self.regulars) if returning else 0.0))
