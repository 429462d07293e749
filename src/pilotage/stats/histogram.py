"""The hat histogram: what an arm's bounded values are reduced to, mergeable in any order and exact in its mean.

Every value lies in a bucket [e_j, e_{j+1}] and is spread linearly over the bucket's two edges: (e_{j+1} - y) / width on
the left one and (y - e_j) / width on the right. Summed over a bucket this needs only the count and the sum of its
values, both whole numbers in units of `resolution`, so merging loses nothing and has no order. For a concave g the
interpolated sum is at most sum g(y), which is what keeps bets on it valid (see `bounded`).
"""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pilotage.stats.mixture import Array


class Scale(msgspec.Struct, frozen=True):
    """The edges of a metric's buckets, in whole multiples of `resolution` (say 1e-6 for seconds)."""

    resolution: float
    edges: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.resolution) and self.resolution > 0):
            msg = f"a resolution is above 0 (1e-6 keeps microseconds of a metric in seconds), not {self.resolution}"
            raise ValueError(msg)
        if len(self.edges) < 2 or any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("a scale needs two edges or more, each above the one before")

    @property
    def points(self) -> Array:
        """The edges on the metric's own scale."""
        return np.asarray(self.edges, dtype=np.float64) * self.resolution


def log_scale(cap: float, *, smallest: float, count: int = 87, resolution: float = 1e-6) -> Scale:
    """Return edges 0, smallest, ..., cap with equal ratios: for durations, costs and counts.

    87 edges from a thousandth of the cap on cost 0.2 % more units than the raw values would.
    """
    if not 0 < smallest < cap < math.inf:
        msg = f"a log scale needs 0 < smallest < cap, not {smallest} and {cap}; without a cap no bound can be exact"
        raise ValueError(msg)
    steps = np.geomspace(smallest, cap, max(count - 1, 2))
    return Scale(resolution, tuple(sorted({0, *(int(x) for x in np.rint(steps / resolution))})))


def even_scale(low: float, high: float, *, count: int = 41, resolution: float = 1e-6) -> Scale:
    """Return edges at equal distances: for ratings (one at every star is exact) and rates."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        msg = f"a scale needs two finite ends, the low one first, not {low} and {high}"
        raise ValueError(msg)
    steps = np.linspace(low, high, max(count, 2))
    return Scale(resolution, tuple(sorted({int(x) for x in np.rint(steps / resolution)})))


def residual_scale(width: float, *, smallest: float, count: int = 87, resolution: float = 1e-6) -> Scale:
    """Return edges for y - prediction, finest around 0: both lie in a range of `width`, so that is the largest."""
    half = log_scale(width, smallest=smallest, count=(count + 1) // 2, resolution=resolution).edges
    return Scale(resolution, tuple(sorted({*half, *(-edge for edge in half)})))


class Histogram(msgspec.Struct, frozen=True):
    """One arm's values in one step and hour: for each bucket how many, and their sum in multiples of the resolution."""

    scale: Scale
    counts: tuple[int, ...]
    sums: tuple[int, ...]

    def __add__(self, other: Histogram) -> Histogram:
        if self.scale != other.scale:
            raise ValueError("histograms merge only on one scale: the metric's bounds or resolution differ")
        return Histogram(
            self.scale,
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
        )

    @property
    def n(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The exact mean of the (capped) values."""
        return sum(self.sums) * self.scale.resolution / self.n

    @property
    def points(self) -> Array:
        return self.scale.points

    @property
    def weights(self) -> Array:
        """How many units lie on each edge after spreading; they add up to n."""
        # Whole numbers up to the division, so that a million values a hair from an edge lose nothing.
        edges = self.scale.edges
        within = [total - count * edge for count, total, edge in zip(self.counts, self.sums, edges, strict=False)]
        right = np.asarray(within, dtype=np.float64) / np.diff(edges)
        weights = np.zeros(len(edges))
        weights[:-1] = self.counts - right
        weights[1:] += right
        return weights


def empty(scale: Scale) -> Histogram:
    """Return a histogram without values."""
    zeros = (0,) * (len(scale.edges) - 1)
    return Histogram(scale, zeros, zeros)


def gather(scale: Scale, values: ArrayLike) -> Histogram:
    """Return the histogram of `values`; those beyond the ends count as the end (that is what a cap means)."""
    data = np.asarray(values, dtype=np.float64).ravel()
    if not bool(np.isfinite(data).all()):
        raise ValueError("every value must be finite: a unit without an outcome enters with its declared value")
    edges = np.asarray(scale.edges, dtype=np.int64)
    fixed = np.rint(np.clip(data / scale.resolution, edges[0], edges[-1])).astype(np.int64)
    bucket = np.minimum(np.searchsorted(edges, fixed, side="right") - 1, len(edges) - 2)
    counts = np.bincount(bucket, minlength=len(edges) - 1)
    sums = np.zeros(len(edges) - 1, dtype=np.int64)
    np.add.at(sums, bucket, fixed)
    return Histogram(scale, tuple(counts.tolist()), tuple(sums.tolist()))
