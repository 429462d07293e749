"""Confidence sequences for display: every difference that has not been rejected, at any moment of looking.

On a grid of differences d, one process tests H0: theta_C - theta_B <= d and another H0: theta_C - theta_B >= d. The
lower bound is the highest d below which everything is rejected, so it is wrong only where the first d at or above the
truth is rejected: with a chance of at most alpha / 2, whatever the grid (Howard, Ramdas, McAuliffe & Sekhon 2021, Ann.
Statist. 49:1055). The truth stays inside all the while with a chance of 1 - alpha.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from pilotage.stats.binary import Batch, BinaryProcess
from pilotage.stats.bounded import BoundedProcess
from pilotage.stats.claim import Claim, threshold
from pilotage.stats.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence


class RateSequence(msgspec.Struct, frozen=True):
    """The confidence sequence of a difference of two rates. Made by `rate_sequence`."""

    above: tuple[BinaryProcess, ...]
    below: tuple[BinaryProcess, ...]

    def update(self, batch: Batch, share: float) -> RateSequence:
        """Return the sequence after a batch."""
        return RateSequence(
            tuple(p.update(batch, share) for p in self.above), tuple(p.update(batch, share) for p in self.below)
        )

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the bounds of theta_C - theta_B; -1 and 1 where nothing is known."""
        return _interval(self.above, self.below, alpha, 1.0)


class MeanSequence(msgspec.Struct, frozen=True):
    """The confidence sequence of a difference of two bounded means. Made by `mean_sequence`."""

    above: tuple[BoundedProcess, ...]
    below: tuple[BoundedProcess, ...]
    width: float

    def update(self, baseline: Histogram, candidate: Histogram, share: float) -> MeanSequence:
        """Return the sequence after a batch."""
        return MeanSequence(
            tuple(p.update(baseline, candidate, share) for p in self.above),
            tuple(p.update(baseline, candidate, share) for p in self.below),
            self.width,
        )

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the bounds of theta_C - theta_B; the whole range where nothing is known."""
        return _interval(self.above, self.below, alpha, self.width)


def rate_sequence(grid: Sequence[float], scale: float, rate: float = 0.5) -> RateSequence:
    """Return a sequence on ascending differences strictly between -1 and 1; `scale` as in a claim."""
    above, below = _claims(grid, scale)
    return RateSequence(
        tuple(BinaryProcess(claim, rate) for claim in above), tuple(BinaryProcess(claim, rate) for claim in below)
    )


def mean_sequence(grid: Sequence[float], scale: float, width: float, spread: float | None = None) -> MeanSequence:
    """Return a sequence on ascending differences within the metric's range of `width`; `scale` as in a claim."""
    above, below = _claims(grid, scale)
    if not -width < grid[0] <= grid[-1] < width:
        msg = f"differences of a metric whose range is {width} wide lie within it, not from {grid[0]} to {grid[-1]}"
        raise ValueError(msg)
    return MeanSequence(
        tuple(BoundedProcess(claim, spread) for claim in above),
        tuple(BoundedProcess(claim, spread) for claim in below),
        width,
    )


def _claims(grid: Sequence[float], scale: float) -> tuple[list[Claim], list[Claim]]:
    if not grid or any(a >= b for a, b in pairwise(grid)):
        raise ValueError("a grid has one difference or more, each above the one before")
    return [Claim(d, scale, 1) for d in grid], [Claim(-d, scale, -1) for d in grid]


def _interval(
    above: tuple[BinaryProcess, ...] | tuple[BoundedProcess, ...],
    below: tuple[BinaryProcess, ...] | tuple[BoundedProcess, ...],
    alpha: float,
    widest: float,
) -> tuple[float, float]:
    needed = threshold(alpha / 2)
    low, high = -widest, widest
    for process in above:
        if process.log_e < needed:
            break
        low = process.claim.null
    for process in below[::-1]:
        if process.log_e < needed:
            break
        high = -process.claim.null
    return low, high
