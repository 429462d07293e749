"""What is known of both sides under one split, and what the splits of a ramp say together.

Sides are compared within a split and never pooled over splits: a drift of the base rate would be taken for an effect,
for the candidate's units come later than the baseline's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.stats.asymptotic import BURN_IN, NON_ZERO, Sums
from pilotage.stats.histogram import Histogram
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Sequence


class Arm(msgspec.Struct, frozen=True, array_like=True):
    """One side: its units, those of them whose value is not 0, their mean, and sum (y - mean)^2."""

    n: int = 0
    non_zero: int = 0
    mean: float = 0.0
    around: float = 0.0

    def __add__(self, other: Arm) -> Arm:
        """Merge without losing digits (Chan, Golub & LeVeque 1983, Am. Stat. 37:242, equations 1.3)."""
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        apart = other.mean - self.mean
        around = self.around + other.around + apart * apart * self.n * other.n / n
        return Arm(n, self.non_zero + other.non_zero, self.mean + apart * other.n / n, around)

    @property
    def error(self) -> float:
        """The squared standard error of the mean, from two units on."""
        return self.around / (self.n - 1) / self.n


class Stratum(msgspec.Struct, frozen=True, array_like=True):
    """Both sides of all units whose candidate's part was `lo` beside the baseline's `base` (see `parts`)."""

    lo: int
    base: int
    baseline: Arm = Arm()
    candidate: Arm = Arm()

    @property
    def share(self) -> float:
        return self.lo / (self.lo + self.base) if self.base else 1.0

    @property
    def weight(self) -> float:
        """The weight n pi (1 - pi): from counts and shares alone, so that no step is favoured whose sample happened to be low."""
        return (self.baseline.n + self.candidate.n) * self.share * (1 - self.share)


def arm_of(gathered: tuple[int, ...] | Histogram | Sums) -> Arm:
    """Return what one side's units come to: a pair of successes and failures, a histogram, or sums."""
    if isinstance(gathered, Histogram):
        n = gathered.n
        if not n:
            return Arm()
        mean = gathered.mean
        away = gathered.points - mean
        return Arm(n, 0, mean, float(gathered.weights @ (away * away)))
    if isinstance(gathered, Sums):
        n, total = gathered.n, gathered.total
        if not n:
            return Arm()
        around = (n * gathered.squares - total * total) / (n * MILLION * MILLION)
        return Arm(n, gathered.non_zero, total / (n * MILLION), around)
    successes, failures = gathered
    n = successes + failures
    return Arm(n, successes, successes / n, successes * failures / n) if n else Arm()


def merged(strata: tuple[Stratum, ...], one: Stratum) -> tuple[Stratum, ...]:
    """Return the strata with one more batch's: added to its like, or last."""
    for index, known in enumerate(strata):
        if (known.lo, known.base) == (one.lo, one.base):
            both = Stratum(one.lo, one.base, known.baseline + one.baseline, known.candidate + one.candidate)
            return (*strata[:index], both, *strata[index + 1 :])
    return (*strata, one)


def pooled(strata: Sequence[Stratum]) -> tuple[Arm, Arm]:
    """Return (baseline, candidate) with `around` within strata; the means are of no use for comparing."""
    baseline, candidate = Arm(), Arm()
    for stratum in strata:
        baseline, candidate = _beside(baseline, stratum.baseline), _beside(candidate, stratum.candidate)
    return baseline, candidate


def difference(strata: Sequence[Stratum], level: float | None) -> float | None:
    """Return the mean difference over the strata that have both sides, weighted by n pi (1 - pi).

    With a `level`, the candidate's mean minus that. None where nothing can be compared.
    """
    if level is not None:
        arm = _alone(strata)
        return arm.mean - level if arm.n else None
    usable = [s for s in strata if s.baseline.n and s.candidate.n]
    whole = sum(s.weight for s in usable)
    return sum(s.weight * (s.candidate.mean - s.baseline.mean) for s in usable) / whole if usable else None


def totals(strata: Sequence[Stratum], level: float | None) -> tuple[float, float, float]:
    """Return (sum w D, sum w^2 Var D, sum w) as `asymptotic` reads them, from strata with two units on each side."""
    total = variance = whole = 0.0
    if level is not None:
        arm = _alone(strata)
        if arm.n < 2:
            return 0.0, 0.0, 0.0
        return arm.n * (arm.mean - level), arm.n * arm.n * arm.error, float(arm.n)
    for stratum in strata:
        b, c = stratum.baseline, stratum.candidate
        if min(b.n, c.n) < 2:
            continue
        weight = stratum.weight
        total += weight * (c.mean - b.mean)
        variance += weight * weight * (b.error + c.error)
        whole += weight
    return total, variance, whole


def ready(strata: Sequence[Stratum], *, compared: bool) -> bool:
    """Return whether every side has the units that an asymptotic claim waits for."""
    arms = pooled(strata) if compared else pooled(strata)[1:]
    return all(arm.n >= BURN_IN and arm.non_zero >= NON_ZERO for arm in arms)


def _alone(strata: Sequence[Stratum]) -> Arm:
    return sum((stratum.candidate for stratum in strata), Arm())


def _beside(one: Arm, other: Arm) -> Arm:
    n = one.n + other.n
    mean = (one.n * one.mean + other.n * other.mean) / n if n else 0.0
    return Arm(n, one.non_zero + other.non_zero, mean, one.around + other.around)
