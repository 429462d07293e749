"""The difference between two sides of a ramp, compared within each step and then weighed together.

Pooling the sides over the steps of a ramp and subtracting would mistake a drift of the base rate for an effect, for the
candidate's units come later than the baseline's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.stats.counts import ArmCounts
from pilotage.stats.special import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.stats.counts import Stratum


class Estimate(msgspec.Struct, frozen=True):
    """An estimate with its standard error and degrees of freedom (infinite for a normal one).

    `value` is what was seen; `centre` is where the interval is centred, which for a small sample lies nearer the middle.
    """

    value: float
    centre: float
    error: float
    freedom: float
    candidate: int
    baseline: int

    def low(self, alpha: float) -> float:
        """Return the lower bound that is too high with a chance of `alpha`."""
        return self.centre - t_quantile(1 - alpha, self.freedom) * self.error

    def high(self, alpha: float) -> float:
        """Return the upper bound that is too low with a chance of `alpha`."""
        return self.centre + t_quantile(1 - alpha, self.freedom) * self.error


def difference(strata: Sequence[Stratum], bounds: tuple[float, float] | None) -> Estimate | None:
    """Estimate mean(candidate) - mean(baseline) over the steps that have both; None where no step has.

    Steps are weighted by w = nC nB / (nC + nB), which is the precision of a step where variances are alike (Cochran
    1954, Biometrics 10:417). `bounds` are the ends of a binary or rating scale: one unit is then added at each
    end to each side, spread over the steps by their weight, which for one step of a binary metric is Agresti & Caffo (2000, Am. Stat. 54:280). Without bounds the interval is Welch's, its degrees of
    freedom by Satterthwaite over every side of every step, and each side needs two units and some spread.
    """
    least = 1 if bounds else 2
    usable = [s for s in strata if s.baseline.matured >= least and s.candidate.matured >= least]
    weights = [_weight(s) for s in usable]
    whole = sum(weights)
    if not usable:
        return None
    value = centre = variance = spread = 0.0
    for stratum, weight in zip(usable, weights, strict=True):
        part = weight / whole
        value += part * (_mean(stratum.candidate) - _mean(stratum.baseline))
        for sign, arm in ((1, stratum.candidate), (-1, stratum.baseline)):
            mean, squared_error = _moments(arm, bounds, part)
            centre += sign * part * mean
            variance += part * part * squared_error
            spread += (part * part * squared_error) ** 2 / max(arm.matured - 1, 1)
    if variance <= 0:
        return None
    candidate = sum(s.candidate.matured for s in usable)
    baseline = sum(s.baseline.matured for s in usable)
    freedom = math.inf if bounds else variance * variance / spread
    return Estimate(value, centre, math.sqrt(variance), freedom, candidate, baseline)


def against(strata: Sequence[Stratum], level: float, bounds: tuple[float, float] | None) -> Estimate | None:
    """Estimate mean(candidate) - `level` where there is no baseline side; one unit is added at each end of the scale.

    For a rate the interval is Agresti & Coull's (1998, Am. Stat. 52:119) with one success and one failure; without
    bounds it is Student's.
    """
    arm = sum((s.candidate for s in strata), ArmCounts())
    if arm.matured < (1 if bounds else 2):
        return None
    mean, squared_error = _moments(arm, bounds, 1.0)
    if squared_error <= 0:
        return None
    freedom = math.inf if bounds else float(arm.matured - 1)
    return Estimate(_mean(arm) - level, mean - level, math.sqrt(squared_error), freedom, arm.matured, 0)


def _weight(stratum: Stratum) -> float:
    c, b = stratum.candidate.matured, stratum.baseline.matured
    return c * b / (c + b)


def _mean(arm: ArmCounts) -> float:
    return arm.total / arm.matured


def _moments(arm: ArmCounts, bounds: tuple[float, float] | None, part: float) -> tuple[float, float]:
    """Return (mean, squared standard error of it), with `part` of a pseudo-unit at each end of a bounded scale."""
    if bounds is None:
        mean = arm.total / arm.matured
        return mean, max(0.0, arm.squares / arm.matured - mean * mean) / (arm.matured - 1)
    low, high = bounds
    n = arm.matured + 2 * part
    mean = (arm.total + part * (low + high)) / n
    return mean, max(0.0, (arm.squares + part * (low * low + high * high)) / n - mean * mean) / n
