"""A quantile with an interval that assumes nothing about the distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def quantile_interval(values: Sequence[float], quantile: float, confidence: float) -> tuple[float, float, float] | None:
    """Return (quantile, low, high) by order statistics, or None where the sample is too small for both bounds.

    The number of values below the true quantile is binomial(n, quantile), whatever the distribution, so the order
    statistics whose ranks enclose it with at least `confidence` (half the error on each side) enclose the quantile.
    Hahn and Meeker, Statistical Intervals (1991), section 5.2.
    """
    if not (0 < quantile < 1 and 0 < confidence < 1):
        msg = f"a quantile and a confidence lie between 0 and 1, not {quantile} and {confidence}"
        raise ValueError(msg)
    if any(not math.isfinite(value) for value in values):
        raise ValueError("every value must be finite")
    count = len(values)
    tail = (1 - confidence) / 2
    below = np.cumsum(_binomial(count, quantile)) if count else np.zeros(1)
    # below[k] = P(at most k values lie below the quantile). The l-th smallest exceeds it with probability below[l - 1];
    # the u-th smallest does not reach it with probability 1 - below[u - 1].
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    if low < 1 or high > count:
        return None
    ordered = np.sort(np.asarray(values, dtype=float))
    rank = max(1, math.ceil(quantile * count))
    return float(ordered[rank - 1]), float(ordered[low - 1]), float(ordered[high - 1])


def sample_needed(quantile: float, confidence: float) -> int:
    """Return the least number of values from which `quantile_interval` has both bounds."""
    tail = (1 - confidence) / 2
    return max(math.ceil(math.log(tail) / math.log(quantile)), math.ceil(math.log(tail) / math.log(1 - quantile)))


def _binomial(count: int, chance: float) -> NDArray[np.float64]:
    """Return the probabilities of 0 to `count` successes."""
    logs = np.array([math.lgamma(k + 1) for k in range(count + 1)])
    k = np.arange(count + 1)
    terms = logs[count] - logs - logs[::-1] + k * math.log(chance) + (count - k) * math.log1p(-chance)
    return np.asarray(np.exp(terms), dtype=np.float64)
