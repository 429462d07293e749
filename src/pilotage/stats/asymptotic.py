"""Unbounded and ratio metrics: an asymptotic confidence sequence, valid once averages are near normal.

Prefer `bounded` wherever a cap exists: that is exact from the first unit, and this is not. With steps k, candidate
shares pi_k, n_k matured units and w_k = n_k pi_k (1 - pi_k),

    S = sum w_k (sign (mean_C - mean_B) - d),    V = sum w_k^2 (s_C^2 / n_C + s_B^2 / n_B)

and the e-value of H0: sign (theta_C - theta_B) <= d is the half-normal mixture of exp(l S - l^2 V / 2),

    2 sqrt(r / (V + r)) exp(S^2 / (2 (V + r))) Phi(S / sqrt(V + r))

(Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Ann. Statist. 52:2613, theorem 2.2 and appendix B; Robbins 1970).
The weights w_k depend on counts alone; inverse-variance weights would favour steps whose sample happened to be low.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pilotage.stats.claim import Claim, check_share, threshold
from pilotage.stats.mixture import Array

BURN_IN = 500
"""Matured units that each arm needs before the first look."""
NON_ZERO = 50
"""Outcomes other than 0 that each arm needs before the first look."""
_TUNED_FOR = -math.log(0.05)


class Sums(msgspec.Struct, frozen=True):
    """One arm's units in one step: whole multiples of the resolution and of its square, which merge in any order."""

    n: int = 0
    non_zero: int = 0
    total: int = 0
    squares: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.n + other.n,
            self.non_zero + other.non_zero,
            self.total + other.total,
            self.squares + other.squares,
        )

    def error(self) -> float:
        """Return s^2 / n in squared multiples of the resolution."""
        return float(self.n * self.squares - self.total * self.total) / (self.n - 1) / self.n / self.n


class StepSums(msgspec.Struct, frozen=True):
    """Both arms of one step."""

    share: float
    baseline: Sums = Sums()
    candidate: Sums = Sums()


class AsymptoticProcess(msgspec.Struct, frozen=True):
    """The process of one claim about two means without bounds. `tuning` is r, fixed when the burn-in ends."""

    claim: Claim
    resolution: float = 1e-6
    tuning: float = 0.0
    steps: dict[str, StepSums] = {}

    def __post_init__(self) -> None:
        if not (math.isfinite(self.resolution) and self.resolution > 0):
            msg = f"a resolution is above 0 (1e-6 keeps millionths of a value), not {self.resolution}"
            raise ValueError(msg)

    def update(self, step: str, baseline: Sums, candidate: Sums, share: float) -> AsymptoticProcess:
        """Return the process after a batch of a step, which keeps one share throughout."""
        check_share(share)
        known = self.steps.get(step, StepSums(share))
        if known.share != share:
            msg = f"step {step!r} has the share {known.share}, not {share}: another share is another step"
            raise ValueError(msg)
        merged = StepSums(share, known.baseline + baseline, known.candidate + candidate)
        after = msgspec.structs.replace(self, steps={**self.steps, step: merged})
        if not self.tuning and after.ready:
            _, variance, whole = after.totals()
            after = msgspec.structs.replace(after, tuning=tuned(variance / whole, self.claim.scale))
        return after

    @property
    def ready(self) -> bool:
        """Whether the burn-in is over."""
        arms = [sum((getattr(s, arm) for s in self.steps.values()), Sums()) for arm in ("baseline", "candidate")]
        return all(a.n >= BURN_IN and a.non_zero >= NON_ZERO for a in arms) and self.totals()[1] > 0

    @property
    def log_e(self) -> float:
        """The log of the (asymptotic) e-value; 0 during the burn-in."""
        return evidence(self.claim, self.totals(), self.tuning) if self.tuning else 0.0

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """Return the two-sided confidence sequence of theta_C - theta_B, or None during the burn-in."""
        return interval(self.totals(), self.tuning, alpha) if self.tuning else None

    def totals(self) -> tuple[float, float, float]:
        """Return (sum w_k (mean_C - mean_B), V, sum w_k) over the steps that have two units on both sides."""
        total = variance = whole = 0.0
        for step in self.steps.values():
            b, c = step.baseline, step.candidate
            if min(b.n, c.n) < 2:
                continue
            weight = (b.n + c.n) * step.share * (1 - step.share)
            total += weight * (c.total / c.n - b.total / b.n) * self.resolution
            variance += weight * weight * (b.error() + c.error()) * self.resolution**2
            whole += weight
        return total, variance, whole


class AsymptoticSequence(msgspec.Struct, frozen=True, kw_only=True, tag="asymptotic"):
    """Several claims about one difference, and its confidence sequence for display.

    `totals` are (S at d = 0, V, sum w_k) of all that has matured, `scale` as in a claim.
    """

    claims: tuple[Claim, ...]
    scale: float
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tuning: float = 0.0

    def update(self, totals: tuple[float, float, float], *, ready: bool) -> AsymptoticSequence:
        """Return the sequence at new totals; `ready` says that the burn-in is over."""
        _, variance, whole = totals
        tuning = self.tuning
        if not tuning and ready and variance > 0:
            tuning = tuned(variance / whole, self.scale)
        return msgspec.structs.replace(self, totals=totals, tuning=tuning)

    @property
    def log_e(self) -> Array:
        """The logs of the (asymptotic) e-values of `claims`; 0 during the burn-in."""
        if not self.tuning:
            return np.zeros(len(self.claims))
        return np.asarray([evidence(claim, self.totals, self.tuning) for claim in self.claims])

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """Return the bounds of the difference, or None where nothing is known of it.

        During the burn-in they are for orientation only: as if values varied by `scale` at least.
        """
        total, variance, whole = self.totals
        if not whole:
            return None
        if self.tuning:
            return interval(self.totals, self.tuning, alpha)
        variance = max(variance, whole * self.scale * self.scale)
        return interval((total, variance, whole), tuned(variance / whole, self.scale), alpha)


def gather(values: ArrayLike, resolution: float = 1e-6) -> Sums:
    """Return the sums of unit values, rounded to the resolution."""
    data = np.asarray(values, dtype=np.float64).ravel()
    if not bool(np.isfinite(data).all()):
        raise ValueError("every value must be finite: a unit without an outcome enters with its declared value")
    fixed = [int(x) for x in np.rint(data / resolution)]
    return Sums(len(fixed), sum(1 for x in fixed if x), sum(fixed), sum(x * x for x in fixed))


def linearise(numerator: ArrayLike, denominator: ArrayLike, ratio: float) -> Array:
    """Return x - ratio y for each unit: the ratio metric sum x / sum y as a mean (delta method).

    `ratio` is fixed before the units are seen (the baseline's own so far). The claim's null and scale are then a
    difference of ratios times the mean denominator.
    """
    return np.asarray(numerator, dtype=np.float64) - ratio * np.asarray(denominator, dtype=np.float64)


def adjust(values: ArrayLike, covariate: ArrayLike, slope: float, centre: float) -> Array:
    """Return y - slope (x - centre) with a covariate from before exposure (CUPED; Deng et al. 2013).

    `slope` and `centre` are fixed before the units are seen; the variance falls by the squared correlation.
    """
    return np.asarray(values, dtype=np.float64) - slope * (np.asarray(covariate, dtype=np.float64) - centre)


def evidence(claim: Claim, totals: tuple[float, float, float], tuning: float) -> float:
    """Return the log of the (asymptotic) e-value for totals (S at d = 0, V, sum w_k)."""
    total, variance, whole = totals
    wide = variance + tuning
    score = (claim.sign * total - claim.null * whole) / math.sqrt(wide)
    return math.log(2) + math.log(tuning / wide) / 2 + _log_half_normal(score)


def interval(totals: tuple[float, float, float], tuning: float, alpha: float) -> tuple[float, float]:
    """Return the two-sided confidence sequence.

    Half its width is sqrt((V + r) (2 ln(1 / alpha) + ln((V + r) / r))) / sum w_k.
    """
    total, variance, whole = totals
    wide = variance + tuning
    half = math.sqrt(wide * (2 * threshold(alpha) + math.log(wide / tuning)))
    return (total - half) / whole, (total + half) / whole


def tuned(variance: float, effect: float) -> float:
    """Return r, which makes the bound tightest where an effect of `effect` is about to be shown at alpha .05."""
    reached = 2 * _TUNED_FOR * (variance / effect) ** 2
    return reached / (2 * _TUNED_FOR + math.log1p(2 * _TUNED_FOR))


def _log_half_normal(score: float) -> float:
    """Return x^2 / 2 + ln Phi(x), which far below 0 is near -ln(-x sqrt(2 pi)) although both terms overflow."""
    if score > -25:
        return score * score / 2 + math.log(math.erfc(-score / math.sqrt(2)) / 2)
    return -math.log(-score * math.sqrt(2 * math.pi)) + math.log1p(-1 / (score * score))
