"""How many users and days a proof needs, before anything is built.

The log-wealth of the processes here is near a Brownian motion with drift g = D^2 / (2 V) and variance 2 g for each
unit, where D is the distance of the true effect from the null and V = (s_C^2 / pi + s_B^2 / (1 - pi)) (1 - rho^2) deff.
With b = ln(1 / alpha) + 0.2 (the mixture's price), the expected number of units is b / g, and with G = sum g n over the
steps of a ramp the chance of having shown the effect is

    P = Phi((G - b) / sqrt(2 G)) + e^b Phi(-(G + b) / sqrt(2 G))

(the first passage of a Brownian motion; Siegmund 1985, Sequential Analysis, equation 3.15).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.stats.claim import check_share, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

PRICE = 0.2
"""What a mixture over five effects costs in log-wealth, beside the one right bet."""
HORIZON = 3650.0
"""Days beyond which a plan is no plan."""


class Demand(msgspec.Struct, frozen=True):
    """One thing to prove: the true effect's distance from the null, and the variances of a unit's value.

    `correlation` is that of the value with a prediction made before the outcome; `design_effect` is above 1 where
    units are less than independent.
    """

    effect: float
    baseline_variance: float
    candidate_variance: float
    correlation: float = 0.0
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.effect) and self.effect != 0):
            msg = f"the effect to show must differ from the null, not lie {self.effect} from it"
            raise ValueError(msg)
        if not (0 <= self.baseline_variance < math.inf and 0 < self.candidate_variance < math.inf):
            raise ValueError("variances are finite and the candidate's is above 0")
        if not (-1 < self.correlation < 1 and 0 < self.design_effect < math.inf):
            raise ValueError("a correlation lies between -1 and 1 and a design effect above 0")

    def growth(self, share: float) -> float:
        """Return g, the expected log-wealth of one unit."""
        check_share(share)
        variance = self.candidate_variance / share + self.baseline_variance / (1 - share)
        variance *= (1 - self.correlation**2) * self.design_effect
        return self.effect**2 / (2 * variance)


def rate_demand(today: float, effect: float, null: float = 0.0) -> Demand:
    """Return the demand of a binary metric: `rate_demand(.7, 0, -.03)` is "no worse than 3 points", if equal."""
    after = today + effect
    if not (0 < today < 1 and 0 < after < 1):
        msg = f"rates lie between 0 and 1, not {today} today and {after} with the effect"
        raise ValueError(msg)
    return Demand(effect - null, today * (1 - today), after * (1 - after))


def mean_demand(deviation: float, effect: float, null: float = 0.0) -> Demand:
    """Return the demand of a mean whose values have the standard deviation `deviation` on both sides."""
    return Demand(effect - null, deviation**2, deviation**2)


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
        returning = self.daily * (1 - self.fresh)
        new = self.daily * self.fresh * days
        return new + (self.regulars * -math.expm1(-days * returning / self.regulars) if returning else 0.0)


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate share and the days it is kept; the last step of a ramp lasts as long as it takes."""

    share: float
    days: float = math.inf

    def __post_init__(self) -> None:
        check_share(self.share)
        if not self.days > 0:
            msg = f"a step lasts some days, not {self.days}"
            raise ValueError(msg)


class Plan(msgspec.Struct, frozen=True):
    """Days until the effect is shown with the chance that was asked for, new units by then, and those exposed."""

    days: float
    units: float
    candidate_units: float


def expected_units(demand: Demand, share: float, alpha: float) -> float:
    """Return E[N] = b / g at one share, if the effect is real."""
    return (threshold(alpha) + PRICE) / demand.growth(share)


def chance(information: float, alpha: float) -> float:
    """Return the chance of having shown a real effect when the expected log-wealth is G = `information`."""
    bar = threshold(alpha) + PRICE
    if information <= 0:
        return 0.0
    root = math.sqrt(2 * information)
    return _normal_cdf((information - bar) / root) + math.exp(bar) * _normal_cdf(-(information + bar) / root)


def information(demand: Demand, ramp: Sequence[Step], traffic: Traffic, days: float) -> float:
    """Return G = sum g n over the steps of the ramp after `days` days."""
    return sum(demand.growth(step.share) * units for step, units in _spread(ramp, traffic, days))


def plan(
    demand: Demand,
    ramp: Sequence[Step],
    traffic: Traffic,
    alpha: float,
    *,
    power: float = 0.8,
    matures_after: float = 0.0,
) -> Plan | None:
    """Return when the effect will have been shown with the chance `power`, or None within ten years.

    `matures_after` (days) is how long a unit's outcome takes; units exposed later than that before the end are exposed
    but do not count.
    """
    if not 0 < power < 1:
        msg = f"the chance of showing a real effect lies between 0 and 1 (0.8 is usual), not {power}"
        raise ValueError(msg)
    if not ramp:
        raise ValueError("a ramp has a step or more")
    low, high = 0.0, HORIZON
    if chance(information(demand, ramp, traffic, high), alpha) < power:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        if chance(information(demand, ramp, traffic, middle), alpha) < power:
            low = middle
        else:
            high = middle
    whole = high + matures_after
    exposed = sum(step.share * units for step, units in _spread(ramp, traffic, whole))
    return Plan(whole, traffic.new_units(whole), exposed)


def _spread(ramp: Sequence[Step], traffic: Traffic, days: float) -> list[tuple[Step, float]]:
    """Return each step with the new units that came in it, until `days`."""
    spread, start = [], 0.0
    for index, step in enumerate(ramp):
        end = days if index == len(ramp) - 1 else min(days, start + step.days)
        if end > start:
            spread.append((step, traffic.new_units(end) - traffic.new_units(start)))
        start = end
    return spread


def _normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
