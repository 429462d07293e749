"""What is gathered of a metric's values: the whole numbers of a cell, and what statistics make of them.

A unit's value comes in millionths. What is gathered of many units is the same whatever their order and however they
were parted before: `gather(a + b) == merge(gather(a), gather(b))`. No number in it needs more than 64 bits.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from pilotage.stats.asymptotic import Sums
from pilotage.stats.histogram import Histogram, Scale, even_scale, log_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.spec.metric import Metric

MILLION = 1_000_000
MANY = 64
"""From this many values on numpy is quicker."""
EDGES = 40
"""A range of whole numbers has about this many buckets, or one for each whole number where there are more of those."""
WHOLE = 100
"""The widest range of whole numbers with an edge at each."""
_FINEST = 10**12
"""Steps of the resolution in a range, so that a million units' sum fits 64 bits."""
_FAR = 1 << 61
_HALF = 1 << 60
_WIDEST = 1e12
"""An end farther from 0 than a million millions is none."""
_LARGEST = 10**15
"""Without a cap, a value beyond a billion counts as a billion."""


class Rate(msgspec.Struct, frozen=True):
    """Values of 0 and 1: (successes, failures)."""

    def gather(self, values: Sequence[int]) -> tuple[int, ...]:
        successes = sum(1 for value in values if value > 0)
        return successes, len(values) - successes

    def merge(self, sums: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        return _added(sums, 2)

    def units(self, sums: tuple[int, ...]) -> int:
        return sum(sums)

    def read(self, sums: tuple[int, ...]) -> tuple[int, int]:
        """Return (successes, failures)."""
        successes, failures = sums
        return successes, failures


class Bounded(msgspec.Struct, frozen=True):
    """Values between two ends: (bucket, count, total, and so on) of every bucket that has units.

    `scale` says where the buckets end, in multiples of its resolution, which is a millionth but for very wide ranges.
    """

    scale: Scale

    def gather(self, values: Sequence[int]) -> tuple[int, ...]:
        if not values:
            return ()
        edges, step = self.scale.edges, max(1, round(self.scale.resolution * MILLION))
        if len(values) >= MANY:
            return _gathered_many(values, edges, step)
        found: dict[int, tuple[int, int]] = {}
        for value in values:
            fixed = min(max(_rounded(value, step), edges[0]), edges[-1])
            bucket = min(bisect_right(edges, fixed) - 1, len(edges) - 2)
            count, total = found.get(bucket, (0, 0))
            found[bucket] = (count + 1, total + fixed)
        return tuple(x for bucket in sorted(found) for x in (bucket, *found[bucket]))

    def merge(self, sums: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        found: dict[int, tuple[int, int]] = {}
        for one in sums:
            for bucket, count, total in zip(one[::3], one[1::3], one[2::3], strict=True):
                n, whole = found.get(bucket, (0, 0))
                found[bucket] = (n + count, whole + total)
        return tuple(x for bucket in sorted(found) for x in (bucket, *found[bucket]))

    def units(self, sums: tuple[int, ...]) -> int:
        return sum(sums[1::3])

    def read(self, sums: tuple[int, ...]) -> Histogram:
        """Return what was gathered as the histogram that statistics bet on."""
        buckets = len(self.scale.edges) - 1
        counts, totals = [0] * buckets, [0] * buckets
        for bucket, count, total in zip(sums[::3], sums[1::3], sums[2::3], strict=True):
            counts[bucket], totals[bucket] = count, total
        return Histogram(self.scale, tuple(counts), tuple(totals))


class Unbounded(msgspec.Struct, frozen=True):
    """Values without an end: (units, units other than 0, total, total of squares), the last two in halves.

    Each of these is high * 2^60 + low, in millionths and in squared millionths.
    """

    def gather(self, values: Sequence[int]) -> tuple[int, ...]:
        fixed = [min(max(value, -_LARGEST), _LARGEST) for value in values]
        squares = sum(value * value for value in fixed)
        non_zero = sum(1 for value in fixed if value)
        return (len(fixed), non_zero, *divmod(sum(fixed), _HALF), *divmod(squares, _HALF))

    def merge(self, sums: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        n, non_zero, *halves = _added(sums, 6)
        return (
            n,
            non_zero,
            *divmod(halves[0] * _HALF + halves[1], _HALF),
            *divmod(halves[2] * _HALF + halves[3], _HALF),
        )

    def units(self, sums: tuple[int, ...]) -> int:
        return sums[0]

    def read(self, sums: tuple[int, ...]) -> Sums:
        """Return what was gathered as the sums that statistics read."""
        n, non_zero, high, low, squares_high, squares_low = sums
        return Sums(n, non_zero, high * _HALF + low, squares_high * _HALF + squares_low)


Method: TypeAlias = Rate | Bounded | Unbounded


@lru_cache(maxsize=256)
def method_of(metric: Metric) -> Method:
    """Return how a metric's values are gathered and compared."""
    low, high = metric.bounds
    if metric.kind == "binary":
        silent = round((metric.silence or 0.0) * MILLION)
        # Silence may count as something between; then there are three values and no rate of two.
        return Bounded(Scale(1 / MILLION, (0, silent, MILLION))) if 0 < silent < MILLION else Rate()
    if max(abs(low), abs(high)) > _WIDEST:
        return Unbounded()
    # No edge lies nearer to another than a millionth, so a narrower range is taken to be two of those wide.
    high = max(high, low + 2 / MILLION)
    resolution = 10.0 ** max(-6, math.ceil(math.log10(max(abs(low), abs(high)) / _FINEST)))
    if metric.kind in ("rating", "count") and low.is_integer() and high.is_integer() and high - low <= WHOLE:
        parts = max(1, EDGES // round(high - low))
        return Bounded(even_scale(low, high, count=round(high - low) * parts + 1, resolution=resolution))
    if metric.kind != "rating" and low == 0:
        return Bounded(log_scale(high, smallest=high / 1000, resolution=resolution))
    return Bounded(even_scale(low, high, count=EDGES + 1, resolution=resolution))


def _added(sums: Iterable[tuple[int, ...]], length: int) -> tuple[int, ...]:
    whole = [0] * length
    for one in sums:
        for index, value in enumerate(one):
            whole[index] += value
    return tuple(whole)


def _rounded(value: int, step: int) -> int:
    """Return the nearest multiple, a half upwards; whole numbers only, so that it is the same everywhere."""
    return value if step == 1 else (2 * value + step) // (2 * step)


def _gathered_many(values: Sequence[int], edges: tuple[int, ...], step: int) -> tuple[int, ...]:
    try:
        data = np.asarray(values, dtype=np.int64)
    except OverflowError:
        data = np.asarray([min(max(value, -_FAR), _FAR) for value in values], dtype=np.int64)
    if step > 1:
        data = (2 * np.clip(data, -_FAR, _FAR) + step) // (2 * step)
    fixed = np.sort(np.clip(data, edges[0], edges[-1]))
    starts = np.searchsorted(fixed, edges[:-1], side="left")
    counts = np.diff(np.append(starts, len(fixed)))
    hit = np.flatnonzero(counts)
    totals = np.add.reduceat(fixed, starts[hit])
    columns = np.stack((hit, counts[hit], totals), axis=1)
    return tuple(columns.ravel().tolist())
