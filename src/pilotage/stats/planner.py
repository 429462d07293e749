"""How many users and days a proof needs, before anything is built.

Each component's log-wealth is near a Brownian motion whose drift and variance a unit follow from what the process adds
for each outcome (see `demand`); the mixture's first passage over ln(1 / alpha) gives the chance of having shown the
effect by any day (see `passage`), over all steps of a ramp. Three things are added to that, each of which alone moved
plans by 10 % or more where events are rare: the bets' learning of the pooled rate, the overshoot (the last event carries
the log-wealth past the bar), and that no path is quicker than one without events.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.stats import passage
from pilotage.stats.claim import Claim, check_share, threshold
from pilotage.stats.demand import KNOWN, Demand, Law, expected_rate
from pilotage.stats.mixture import Array, log_mixture
from pilotage.stats.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Course",
    "Demand",
    "Law",
    "Plan",
    "Step",
    "Traffic",
    "course",
    "growth",
    "mean_demand",
    "plan",
    "rate_demand",
]

HORIZON = 3650.0
"""Days beyond which a plan is no plan."""
_POINTS = 160
_FINE = 4000
_ROUNDING = 1e-9
_RARE = 0.9
"""A side's commonest outcome at least this often: then no path overtakes the one without events."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate share and the days it is kept; the last step of a ramp lasts as long as it takes.

    Where several candidates share the ramp, `part` of all units is on one of the two sides compared here, and `share`
    is the candidate's in that part.
    """

    share: float
    days: float = math.inf
    part: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.share)
        if not self.days > 0:
            msg = f"a step lasts some days, not {self.days}"
            raise ValueError(msg)
        if not 0 < self.part <= 1:
            msg = f"the part of units that is compared lies between 0 and 1, not {self.part}"
            raise ValueError(msg)


class Plan(msgspec.Struct, frozen=True):
    """Days until the effect is shown with the chance that was asked for, new units by then, and those exposed."""

    days: float
    units: float
    candidate_units: float


class Course(msgspec.Struct, frozen=True):
    """The chance of having shown an effect by each of `days` (rising), with the new units and those exposed by then."""

    days: tuple[float, ...]
    chance: tuple[float, ...]
    units: tuple[float, ...]
    candidate_units: tuple[float, ...]

    def at(self, days: float) -> float:
        """Return the chance by a day."""
        return float(np.interp(days, self.days, self.chance, left=0.0))

    def to(self, power: float) -> Plan | None:
        """Return when the chance reaches `power`, or None where it does not."""
        if not 0 < power < 1:
            msg = f"the chance of showing a real effect lies between 0 and 1 (0.8 is usual), not {power}"
            raise ValueError(msg)
        if self.chance[-1] < power:
            return None
        rising, index = np.unique(self.chance, return_index=True)
        return Plan(*(float(np.interp(power, rising, np.asarray(x)[index])) for x in self._columns))

    def mean(self) -> Plan | None:
        """Return the mean days to the proof, and the units at the mean; None where it may never come."""
        if self.chance[-1] < 0.99:
            return None
        gained = np.diff(self.chance, prepend=0.0)
        columns = (np.asarray(column) for column in self._columns)
        # What is gained between two days is gained in their middle.
        return Plan(*(float(gained @ (x + np.concatenate((x[:1], x[:-1]))) / (2 * gained.sum())) for x in columns))

    @property
    def _columns(self) -> tuple[tuple[float, ...], ...]:
        return self.days, self.units, self.candidate_units


def rate_demand(today: float, effect: float, null: float = 0.0, *, scale: float = 0.0, known: float = KNOWN) -> Demand:
    """Return the demand of a binary metric: `rate_demand(.7, 0, -.03)` is "no worse than 3 points", if equal.

    `effect` and `null` are candidate minus baseline; `scale` is what the bets are spread over, the margin or the
    smallest effect that matters: |null| if not given, or where that is 0 the effect.
    """
    after = today + effect
    if not (0 < today < 1 and 0 <= after <= 1):
        msg = f"rates lie between 0 and 1, not {today} today and {after} with the effect"
        raise ValueError(msg)
    law = Law((0.0, 1.0), (1 - today, today), (1 - after, after))
    claim = _claim(effect, null, scale)
    return Demand(claim, law, "rate", guess=expected_rate(today, claim.scale), known=known)


def mean_demand(deviation: float, effect: float, null: float = 0.0, *, scale: float = 0.0) -> Demand:
    """Return the demand of a mean whose values have the standard deviation `deviation` on both sides."""
    law = Law((-deviation, deviation), (0.5, 0.5), _leaning(deviation, effect))
    return Demand(_claim(effect, null, scale), law, "moments")


def growth(demand: Demand, share: float) -> float:
    """Return g, the expected log-wealth that the best of the bets gains from one unit."""
    return float((demand.gains(share) @ demand.chances(share)).max() / demand.information_a_unit)


def course(
    demand: Demand, ramp: Sequence[Step], traffic: Traffic, alpha: float, *, matures_after: float = 0.0
) -> Course:
    """Return the chance of having shown the effect, by days.

    `matures_after` (days) is how long a unit's outcome takes; units exposed later than that before the end are exposed
    but do not count.
    """
    if not ramp:
        raise ValueError("a ramp has a step or more")
    parts = np.asarray([step.part for step in ramp])
    shares = np.asarray([step.share for step in ramp])
    bar = threshold(alpha) + demand.overshoot(ramp[-1].share)
    rates = np.asarray([growth(demand, step.share) for step in ramp])
    if not bool((rates > 0).any()):
        nothing = (0.0, HORIZON)
        return Course(nothing, (0.0, 0.0), nothing, nothing)
    days = _days(ramp, traffic, np.maximum(rates, 0.0) * parts, bar)
    spread = _spread(ramp, traffic, days) * parts
    gained = np.diff(spread, axis=0, prepend=0.0) / demand.information_a_unit
    exposed = spread @ shares
    means = demand.law.means
    whole = spread.sum(axis=1)
    part = exposed / whole
    pooled = (1 - part) * means[0] + part * means[1]
    drift, slope, time, quiet = (np.zeros((len(days), 5)) for _ in range(4))
    for step, units in zip(ramp, gained.T, strict=True):
        table, chances = demand.gains(step.share), demand.chances(step.share)
        away = table - (table @ chances)[:, None]
        covariance = (away * chances) @ away.T
        best = int(np.argmax(table @ chances))
        drift += demand.learning(step.share, part, whole, pooled) * units[:, None]
        slope += covariance[best] * units[:, None]
        time += covariance[best, best] * units[:, None]
        quiet += demand.quiet(step.share) * units[:, None]
    clock = np.cumsum(time[:, 0])
    chance = passage.chances(clock, np.cumsum(drift, axis=0), np.cumsum(slope, axis=0) / clock[:, None], bar)
    chance = np.where(_possible(demand, np.cumsum(quiet, axis=0), bar), chance, 0.0)
    later = days + matures_after
    by_then = _spread(ramp, traffic, later)
    columns = (later, chance, by_then.sum(axis=1), by_then @ (parts * shares))
    return Course(*(tuple(column.tolist()) for column in columns))


def plan(
    demand: Demand,
    ramp: Sequence[Step],
    traffic: Traffic,
    alpha: float,
    *,
    power: float = 0.8,
    matures_after: float = 0.0,
) -> Plan | None:
    """Return when the effect will have been shown with the chance `power`, or None within ten years."""
    return course(demand, ramp, traffic, alpha, matures_after=matures_after).to(power)


def exposed(ramp: Sequence[Step], traffic: Traffic, days: float) -> float:
    """Return how many units will have met the candidate after `days` days of the ramp."""
    spread = _spread(ramp, traffic, np.asarray([days]))[0]
    return float(spread @ np.asarray([step.share * step.part for step in ramp]))


def _possible(demand: Demand, quiet: Array, bar: float) -> Array:
    """Return whether the bar can have been reached at all, where events are rare and only their absence leads there."""
    common = min(max(demand.law.baseline), max(demand.law.candidate)) >= _RARE
    if demand.method != "rate" or not common or bool((quiet[-1] <= 0).all()):
        return np.ones(len(quiet), dtype=bool)
    return np.asarray(log_mixture(quiet) >= bar - _ROUNDING)


def _days(ramp: Sequence[Step], traffic: Traffic, rates: Array, bar: float) -> Array:
    """Return days at which the log-wealth to expect has risen by equal ratios, far enough to be nearly certain."""
    ends = np.cumsum([step.days for step in ramp[:-1]])
    fine = np.unique(np.concatenate((np.geomspace(1e-6, HORIZON, _FINE), ends[ends < HORIZON])))
    wealth = _spread(ramp, traffic, fine) @ rates
    top = min(12 * bar, float(wealth[-1]))
    steps = np.geomspace(top / 600, top, _POINTS)
    rising, index = np.unique(wealth, return_index=True)
    return np.asarray(np.interp(steps, rising, fine[index]))


def _spread(ramp: Sequence[Step], traffic: Traffic, days: Array) -> Array:
    """Return the new units that came in each step until each of `days`: shape (days, steps)."""
    columns, start = [], 0.0
    for index, step in enumerate(ramp):
        end = math.inf if index == len(ramp) - 1 else start + step.days
        columns.append(traffic.seen(np.clip(days, start, end)) - traffic.seen(np.asarray(start)))
        start = end
    return np.stack(columns, axis=1)


def _claim(effect: float, null: float, scale: float) -> Claim:
    sign = 1 if effect > null else -1
    return Claim(sign * null, scale or abs(null) or abs(effect), sign)


def _leaning(deviation: float, effect: float) -> tuple[float, float]:
    """Return chances of two values `deviation` off the middle whose mean is the effect."""
    lean = effect / (2 * deviation)
    if not abs(lean) < 0.5:
        msg = f"an effect of {effect:g} is out of reach of values with a standard deviation of {deviation:g}"
        raise ValueError(msg)
    return 0.5 - lean, 0.5 + lean
