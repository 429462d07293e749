"""What others do, written from their published formulas: the usual test, a limit, and two sequential rules.

Each takes the totals of two arms at a look and says where it would call. They are formulas applied to our simulations;
the products around them fix other things too (who is assigned, how often they look, what they show).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pilotage.stats.mixture import Array

Flags = NDArray[np.bool_]
Z = 1.959964
"""The two-sided 5 % point of a normal."""
LEAST = 100
"""Units an arm before the usual test is looked at; nobody believes it earlier."""
TUNING = 5000.0
"""GrowthBook's default: the number of units at which its sequence is tightest."""
LEAST_PULLS = 10
"""TensorZero's default `min_samples_per_variant`."""
VARIANCE_FLOOR = 1e-12
FAILURES = 3
"""Argo Rollouts' usual `failureLimit`: this many windows over the limit are let pass, the next one aborts."""


class Totals(msgspec.Struct, frozen=True):
    """Both arms' units, means and variances at a look, in arrays of one shape."""

    n_b: Array
    mean_b: Array
    variance_b: Array
    n_c: Array
    mean_c: Array
    variance_c: Array

    @property
    def error(self) -> Array:
        """Return the squared standard error of the difference, variances taken apart."""
        return np.asarray(self.variance_b / np.maximum(self.n_b, 1) + self.variance_c / np.maximum(self.n_c, 1))


Rule = Callable[[Totals], Flags]


def of_sums(n: tuple[Array, Array], sums: tuple[Array, Array], squares: tuple[Array, Array]) -> Totals:
    """Return the totals of the baseline and the candidate from counts, sums and sums of squares."""
    parts = []
    for units, total, square in zip(n, sums, squares, strict=True):
        least = np.maximum(units, 1)
        mean = total / least
        parts += [units, mean, np.maximum(square / least - mean * mean, 0)]
    return Totals(*parts)


def of_counts(counts: ArrayLike) -> Totals:
    """Return the totals of rates from (..., 4) counts sB, fB, sC, fC."""
    s_b, f_b, s_c, f_c = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    return of_sums((s_b + f_b, s_c + f_c), (s_b, s_c), (s_b, s_c))


def usual(totals: Totals) -> Flags:
    """Two-sided z-test at 5 %, the variance taken from all units together; for rates the test of two proportions."""
    n = np.maximum(totals.n_b + totals.n_c, 1)
    mean = (totals.n_b * totals.mean_b + totals.n_c * totals.mean_c) / n
    squares = totals.n_b * (totals.variance_b + totals.mean_b**2) + totals.n_c * (totals.variance_c + totals.mean_c**2)
    variance = np.maximum(squares / n - mean**2, 0)
    error = variance * (1 / np.maximum(totals.n_b, 1) + 1 / np.maximum(totals.n_c, 1))
    enough = (totals.n_b >= LEAST) & (totals.n_c >= LEAST) & (error > 0)
    return np.asarray(enough & ((totals.mean_c - totals.mean_b) ** 2 > Z * Z * error))


def growthbook(totals: Totals, alpha: float = 0.05, tuning: float = TUNING) -> Flags:
    """GrowthBook's sequential formula: 0 lies outside the two-sided asymptotic confidence sequence.

    With n units in all, s2 = n times the squared standard error, and rho2 = (-2 ln alpha + ln(1 - 2 ln alpha)) / tuning,
    half the width is sqrt(s2) sqrt(2 (n rho2 + 1) ln(sqrt(n rho2 + 1) / alpha) / (n^2 rho2)) (docs.growthbook.io,
    statistics/sequential; `sequential_interval_halfwidth` and `sequential_rho` of gbstats; Waudby-Smith, Arbour, Sinha,
    Kennedy & Ramdas 2024, theorem 2.2). Here on the absolute difference; both arms need some variance.
    """
    n = np.maximum(totals.n_b + totals.n_c, 1)
    bits = -2 * math.log(alpha)
    rho2 = (bits + math.log1p(bits)) / tuning
    wide = n * rho2 + 1
    half2 = n * totals.error * 2 * wide * np.log(np.sqrt(wide) / alpha) / (n * n * rho2)
    known = (totals.variance_b > 0) & (totals.variance_c > 0)
    return np.asarray(known & ((totals.mean_c - totals.mean_b) ** 2 > half2))


def tensorzero(totals: Totals, delta: float = 0.05) -> Flags:
    """TensorZero's stopping formula: the leader is called when gap^2 / (2 error) > ln((1 + ln n) / delta).

    `error` is the sum of the arms' variances over their units, each variance at least 1e-12; both arms need 10 units
    (`check_stopping` of its track_and_stop with the defaults delta .05, epsilon 0, min_samples_per_variant 10).
    """
    error = np.maximum(totals.variance_b, VARIANCE_FLOOR) / np.maximum(totals.n_b, 1)
    error = error + np.maximum(totals.variance_c, VARIANCE_FLOOR) / np.maximum(totals.n_c, 1)
    n = totals.n_b + totals.n_c
    needed = np.log((1 + np.log(np.maximum(n, 1))) / delta)
    ready = (totals.n_b >= LEAST_PULLS) & (totals.n_c >= LEAST_PULLS)
    gap2 = (totals.mean_c - totals.mean_b) ** 2
    return np.asarray(ready & (gap2 / (2 * error) > needed))


def tensorzero_share(totals: Totals) -> Array:
    """Return the candidate's share that TensorZero's sampler aims at with two arms: s_C / (s_B + s_C).

    That minimises s_B^2 / (1 - w) + s_C^2 / w, to which its cone programme comes down for two arms (Garivier & Kaufmann
    2016, COLT); its slight pull towards a half is left out. A half until both arms have their 10 units.
    """
    deviations = [np.sqrt(np.maximum(v, VARIANCE_FLOOR)) for v in (totals.variance_b, totals.variance_c)]
    ready = (totals.n_b >= LEAST_PULLS) & (totals.n_c >= LEAST_PULLS)
    return np.asarray(np.where(ready, np.clip(deviations[1] / (deviations[0] + deviations[1]), 1e-6, 1 - 1e-6), 0.5))


class Limit:
    """A fixed limit: the candidate's mean in each window is compared with it, and the fourth window above it aborts.

    As in the examples of Argo Rollouts (`successCondition: result[0] >= 0.95`, `failureLimit: 3`) and Flagger
    (`thresholdRange`, and a `threshold` of failed checks). Windows without a candidate's unit pass.
    """

    def __init__(self, limit: float, runs: int) -> None:
        self._limit = limit
        self._failed = np.zeros(runs, dtype=np.int64)

    def after(self, n: Array, total: Array, among: NDArray[np.intp] | slice = slice(None)) -> Flags:
        """Return which repetitions have aborted after a window with `n` candidate units whose values sum to `total`."""
        self._failed[among] += (n > 0) & (total > self._limit * n)
        return np.asarray(self._failed[among] > FAILURES)


RULES: dict[str, Rule] = {"usual": usual, "growthbook": growthbook, "tensorzero": tensorzero}
"""The rules that look at totals; a limit looks at windows."""
