"""Means over cases that come in groups (one conversation, one document, one question asked in several ways).

Cases of a group are alike, so they say less than as many cases of their own. The design effect (Kish 1965, Survey Sampling,
8.2) is the variance of the mean with groups, by the sandwich estimator G / (G - 1) sum_g (sum of a group's deviations)^2 / n^2
(Liang & Zeger 1986, Biometrika 73:13), over the variance without. The effective number of cases is n over that, and never
more than n; where no case deviates from any other the groups tell nothing of how alike they are, and it is the number
of groups (Korn & Graubard 1998, Survey Methodology 24:193). Few groups estimate their variance badly, so Student's
quantile with G - 1 degrees takes the normal's place.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pilotage.stats.interval import Interval, difference_bounds, of_rates
from pilotage.stats.special import normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EXACT = 12
"""Groups up to which all signs are tried."""
DRAWS = 9_999
_SEED = 20_260_101


def effective(values: Sequence[float], groups: Sequence[str]) -> float:
    """Return how many cases of their own these are worth: from the number of groups, or less, up to all."""
    data = np.asarray(values, dtype=np.float64)
    n, sums = len(data), _sums(data - data.mean(), groups)
    if len(sums) < 2:
        return 1.0
    alone = float(np.square(data - data.mean()).sum()) / n**2
    if alone == 0:
        return float(len(sums))
    together = len(sums) / (len(sums) - 1) * float(np.square(sums).sum()) / n**2
    return n / max(1.0, together / alone)


def grouped_rate(values: Sequence[float], groups: Sequence[str], confidence: float = 0.95) -> Interval:
    """Return Wilson's interval (1927, JASA 22) of a rate at the effective number of cases; `values` are 0 or 1."""
    n = effective(values, groups)
    p = math.fsum(values) / len(values)
    z = _quantile(groups, confidence)
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(p, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale), len(values))


def grouped_difference(
    candidate: Sequence[float],
    baseline: Sequence[float],
    groups: Sequence[str],
    *,
    span: float = 1.0,
    confidence: float = 0.95,
) -> Interval:
    """Return the interval of the mean of candidate - baseline over the same cases, as `paired_difference` without groups.

    Rates' pairs count as many as the effective number of cases; else Agresti & Min's two pairs (2005, Stat. Med. 24:729) are added to it.
    """
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    n, mean = effective(differences.tolist(), groups), float(differences.mean())
    square, z = float(np.square(differences).mean()), _quantile(groups, confidence)
    low, high = difference_bounds(mean, square, n, z, span=span, whole=of_rates(differences, span))
    return Interval(mean, low, high, len(differences))


def widening(residuals: Sequence[float], groups: Sequence[str], confidence: float = 0.95) -> float:
    """Return by how much an interval is to be widened that took cases of groups for cases of their own: the root of the
    design effect of what is left of the values (`residuals`), times Student's quantile over the normal's.
    """
    worth = effective(residuals, groups)
    return math.sqrt(len(residuals) / worth) * _quantile(groups, confidence) / normal_quantile(0.5 + confidence / 2)


def grouped_signs(differences: Sequence[float], groups: Sequence[str]) -> float:
    """Return the two-sided p-value of: the mean difference is 0, by flipping the sign of whole groups.

    Exact for up to EXACT groups with a difference, and otherwise (1 + draws at least as far) / (1 + draws), which is valid
    for any number of draws (Phipson & Smyth 2010, SAGMB 9). With groups of one case, and differences of -1, 0 and 1, it is
    McNemar's exact test.
    """
    sums = _sums(np.asarray(differences, dtype=np.float64), groups)
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    seen = abs(float(sums.sum())) - 1e-9
    if len(sums) <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
        return float(np.mean(np.abs(signs @ sums) >= seen))
    rng = np.random.default_rng(_SEED)
    far = 0
    for _ in range(DRAWS // 999):
        drawn = rng.choice((-1.0, 1.0), size=(999, len(sums))) @ sums
        far += int((np.abs(drawn) >= seen).sum())
    return (1 + far) / (1 + DRAWS // 999 * 999)


def _sums(values: NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    """Return the sum over each group."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(index, weights=values).astype(np.float64)


def _quantile(groups: Sequence[str], confidence: float) -> float:
    return t_quantile(0.5 + confidence / 2, max(1, len(set(groups)) - 1))
