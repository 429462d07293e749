"""Whether the candidate's quantile lies within a factor of the baseline's: for display, never for a gate.

Pooled over a ramp while latency falls for everybody, this accepts a candidate at the margin. A gate uses the binary
metric "slower than the limit", which is exact on ramps and needs far less traffic.

H0: Q_C >= (1 + m) Q_B, with Q the arms' q-quantiles. Were the cut t = Q_B, then P(Y_B <= t) >= q and, under H0,
P(Y_C < (1 + m) t) <= q. The product of an e-value against each is an e-value at that t, and t is unknown, so the least
product over all t is taken (Howard & Ramdas 2022, Bernoulli 28:1704, for quantiles at any moment).
"""

from __future__ import annotations

import math

import numpy as np

from pilotage.stats.histogram import Histogram
from pilotage.stats.mixture import Array

TILTS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Alternatives to q, as distances in log odds."""


def quantile_log_e(baseline: Histogram, candidate: Histogram, quantile: float, margin: float) -> float:
    """Return the log e-value for Q_C < (1 + margin) Q_B, rounded down to what the buckets can tell."""
    if not (0 < quantile < 1 and math.isfinite(margin) and margin > 0):
        msg = f"a quantile lies between 0 and 1 and a margin above 0, not {quantile} and {margin}"
        raise ValueError(msg)
    if baseline.scale != candidate.scale:
        raise ValueError("both sides need one scale: the metric's bounds or resolution differ")
    if not (baseline.n and candidate.n):
        raise ValueError("both sides need units: a quantile of nothing is not known")
    points = baseline.points
    below_b = np.concatenate(([0], np.cumsum(baseline.counts), [baseline.n]))
    # The cut lies in [cuts[j], the next one): at most below_b[j] baseline values reach it, and the candidate values
    # below (1 + m) cuts[j] are at least those in buckets that end there.
    cuts = np.concatenate(([-math.inf], points))
    below_b = below_b[: len(cuts)]
    ended = np.searchsorted(points[1:-1], (1 + margin) * cuts, side="right")
    below_c = np.concatenate(([0], np.cumsum(candidate.counts)))[ended]
    below_c = np.where((1 + margin) * cuts > points[-1], candidate.n, below_c)
    products = _log_e(below_b, baseline.n, quantile, -1) + _log_e(below_c, candidate.n, quantile, 1)
    return float(products.min())


def _log_e(below: Array, n: int, quantile: float, direction: int) -> Array:
    """Return the log e-value for a chance on the other side of q: half on 1, half on likelihood ratios to q.

    The half that stakes nothing keeps a cut far from the quantile, where this e-value is nothing, from hiding the other.
    """
    odds = math.log(quantile / (1 - quantile)) + direction * np.asarray(TILTS)
    up = -np.log1p(np.exp(-odds)) - math.log(quantile)
    down = -np.log1p(np.exp(odds)) - math.log1p(-quantile)
    logs = below[..., None] * up + (n - below)[..., None] * down
    stacked = np.concatenate((np.full((*logs.shape[:-1], 1), math.log(len(TILTS))), logs), axis=-1)
    top = stacked.max(axis=-1)
    return np.asarray(top + np.log(np.exp(stacked - top[..., None]).sum(axis=-1)) - math.log(2 * len(TILTS)))
