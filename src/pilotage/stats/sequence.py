"""Many claims about the same units, asked at once: those that decide, and a confidence sequence for display.

On a grid of differences d, one process tests H0: theta_C - theta_B <= d and another H0: theta_C - theta_B >= d. The
lower bound is the highest d below which everything is rejected, so it is wrong only where the first d at or above the
truth is rejected: with a chance of at most alpha / 2, whatever the grid (Howard, Ramdas, McAuliffe & Sekhon 2021, Ann.
Statist. 49:1055). The truth stays inside all the while with a chance of 1 - alpha.

All claims, the `claims` that decide before those of the grid, are rows of one array, so that a batch is one update. Each
is the process of `binary` or `bounded` (of `one_sample` in `one_sequence`). Rows far from 0 bet on effects of half their distance and more,
which closes the interval early without making it coarser than the grid.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
import numpy as np

from pilotage.stats import binary, bounded
from pilotage.stats.binary import Batch
from pilotage.stats.bounded import Moments
from pilotage.stats.claim import Claim, check_share, threshold
from pilotage.stats.mixture import MULTIPLES, START, Array, log_mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.stats.histogram import Histogram

NEAR, FAR = 10, 12
"""Differences on each side of 0: up to twice the scale at equal distances, then in equal ratios up to the range."""


class Rows(NamedTuple):
    """The claims as columns of numbers."""

    nulls: Array
    scales: Array
    signs: Array


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The state of all claims: `claims`, then the grid's from below and from above. Five log-wealths each.

    `lowest` and `highest` bound the difference before anything is known.
    """

    grid: tuple[float, ...]
    scale: float
    lowest: float
    highest: float
    claims: tuple[Claim, ...] = ()
    log_wealth: tuple[float, ...] = ()

    @property
    def log_e(self) -> Array:
        """The log e-values of all rows; `log_e[i]` is that of `claims[i]`."""
        return log_mixture(self.wealth())

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the bounds of the difference; the ends of what is possible where nothing is known."""
        needed, first, log_e = threshold(alpha / 2), len(self.claims), self.log_e
        above, below = log_e[first : first + len(self.grid)], log_e[first + len(self.grid) :][::-1]
        low, high = _rejected(above, needed), _rejected(below, needed)
        return self.grid[low - 1] if low else self.lowest, self.grid[-high] if high else self.highest

    def wealth(self) -> Array:
        return np.asarray(self.log_wealth, dtype=np.float64).reshape(-1, len(START))

    def rows(self) -> Rows:
        return _rows(self.claims, self.grid, self.scale)

    def grown(self, increments: Array, **changes: object) -> Self:
        """Return the state after a batch's increments, of shape (rows, 5)."""
        return msgspec.structs.replace(self, log_wealth=tuple((self.wealth() + increments).ravel().tolist()), **changes)


class RateSequence(Claims, frozen=True, kw_only=True, tag="rates"):
    """Claims about a difference of two rates. Made by `rate_sequence`."""

    rate: float = 0.5
    units: float = 4.0
    seen: Batch = Batch()

    def update(self, batch: Batch, share: float) -> RateSequence:
        """Return the sequence after a batch whose units went to the candidate with the chance `share`."""
        check_share(share)
        if not any(batch.counts):
            raise ValueError("an empty batch carries nothing: leave it out, so that batches are what was decided on")
        rows = self.rows()
        up = rows.signs > 0
        s_b, f_b, s_c, f_c = self.seen.counts
        n = s_b + f_b + s_c + f_c + self.units
        rate = np.full(len(up), (s_b + s_c + self.rate * self.units) / n)
        part = (s_c + f_c + share * self.units) / n
        table = binary.log_ratios(
            rate,
            np.where(up, part, 1 - part),
            np.where(up, share, 1 - share),
            rows.nulls,
            rows.nulls[:, None] + rows.scales[:, None] * np.asarray(MULTIPLES),
        )
        counts = np.where(up[:, None], batch.counts, batch.swapped.counts)
        return self.grown((counts[:, None, :] * table).sum(axis=-1), seen=self.seen + batch)


class MeanSequence(Claims, frozen=True, kw_only=True, tag="means"):
    """Claims about a difference of two bounded means. Made by `mean_sequence`."""

    spread: float | None = None
    moments: Moments = Moments()

    def update(self, baseline: Histogram, candidate: Histogram, share: float) -> MeanSequence:
        """Return the sequence after a batch."""
        check_share(share)
        if baseline.scale != candidate.scale:
            raise ValueError("both sides need one scale: the metric's bounds or resolution differ")
        if not baseline.n + candidate.n:
            raise ValueError("an empty batch carries nothing: leave it out")
        points, rows = baseline.points, self.rows()
        centre = self.moments.mean(baseline)
        variance = self.moments.variance(baseline, centre, self.spread)
        signs = rows.signs[:, None]
        ends = points[[0, -1]] - centre
        worst = np.concatenate((signs * ends / share, -signs * ends / (1 - share)), axis=1).min(axis=1) - rows.nulls
        around = np.full(len(worst), variance / share + variance / (1 - share))
        bets = bounded.stakes(around, worst, rows.scales)
        gain, moments = np.zeros_like(bets), self.moments
        for arm, sign, part in ((candidate, signs, share), (baseline, -signs, 1 - share)):
            weights = arm.weights
            moments = moments.adding(arm.n, weights, points)
            hit = weights != 0
            z = sign * (points[hit] - centre) / part - rows.nulls[:, None]
            gain += np.log1p(bets[:, :, None] * z[:, None, :]) @ weights[hit]
        return self.grown(gain, moments=moments)


def rate_sequence(
    grid: Sequence[float], scale: float, rate: float = 0.5, units: float = 4.0, claims: Sequence[Claim] = ()
) -> RateSequence:
    """Return a sequence on ascending differences strictly between -1 and 1.

    `scale` as in a claim, `rate` and `units` as in `BinaryProcess`; `claims` are decided on beside the grid.
    """
    points, wealth = begun(grid, scale, claims)
    for claim in (*claims, Claim(points[0], scale), Claim(points[-1], scale)):
        binary.check_difference(claim.null)
    return RateSequence(
        grid=points,
        scale=scale,
        lowest=-1.0,
        highest=1.0,
        claims=tuple(claims),
        log_wealth=wealth,
        rate=rate,
        units=units,
    )


def mean_sequence(
    grid: Sequence[float], scale: float, width: float, spread: float | None = None, claims: Sequence[Claim] = ()
) -> MeanSequence:
    """Return a sequence on ascending differences within the metric's range of `width`; `scale` as in a claim."""
    points, wealth = begun(grid, scale, claims)
    nulls = [*points, *(claim.null for claim in claims)]
    if not -width < min(nulls) <= max(nulls) < width:
        msg = (
            f"differences of a metric whose range is {width} wide lie within it, not from {min(nulls)} to {max(nulls)}"
        )
        raise ValueError(msg)
    return MeanSequence(
        grid=points,
        scale=scale,
        lowest=-width,
        highest=width,
        claims=tuple(claims),
        log_wealth=wealth,
        spread=spread,
    )


def differences(scale: float, width: float) -> tuple[float, ...]:
    """Return a grid for a metric whose range is `width` wide: fine within twice the scale, coarser beyond."""
    end = 0.98 * width
    near = min(2 * scale, end)
    side = [near * step / NEAR for step in range(1, NEAR + 1)]
    if near < end:
        side += [near * (end / near) ** (step / FAR) for step in range(1, FAR + 1)]
    return (*(-d for d in side[::-1]), 0.0, *side)


def begun(grid: Sequence[float], scale: float, claims: Sequence[Claim]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the grid and the log-wealth of all rows before any unit."""
    if not grid or any(a >= b for a, b in pairwise(grid)):
        raise ValueError("a grid has one difference or more, each above the one before")
    Claim(0.0, scale)  # refuses a scale that no bet can have
    return tuple(grid), START * (len(claims) + 2 * len(grid))


@lru_cache(maxsize=256)
def _rows(claims: tuple[Claim, ...], grid: tuple[float, ...], scale: float) -> Rows:
    far = [max(scale, abs(d) / 2) for d in grid]
    return Rows(
        np.asarray([*(claim.null for claim in claims), *grid, *(-d for d in grid)]),
        np.asarray([*(claim.scale for claim in claims), *far, *far]),
        np.asarray([*(float(claim.sign) for claim in claims), *(1.0 for _ in grid), *(-1.0 for _ in grid)]),
    )


def _rejected(log_e: Array, needed: float) -> int:
    """Return how many rows in front reach the line before the first that does not."""
    short = log_e < needed
    return int(short.argmax()) if bool(short.any()) else len(log_e)
