"""The same as `sequence` where there is one arm and a fixed level: how far its rate or mean lies from that.

The nulls of some claims lie outside the metric's range (a level of .01 with a margin of .05 allows less than nothing).
Such a null is widened to one just inside the range, which claims less than it might and stays valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pilotage.stats import binary, bounded, one_sample
from pilotage.stats.bounded import Moments
from pilotage.stats.mixture import MULTIPLES
from pilotage.stats.sequence import Claims, begun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.stats.claim import Claim
    from pilotage.stats.histogram import Histogram


INSIDE = 0.01
"""How far inside a bounded range a null is put that lies outside, as a part of the range."""


class OneRateSequence(Claims, frozen=True, kw_only=True, tag="one rate"):
    """Claims about how far one rate lies from a fixed level. Made by `one_rate_sequence`."""

    level: float

    def update(self, successes: int, failures: int) -> OneRateSequence:
        """Return the sequence after a batch."""
        rows = self.rows()
        up = rows.signs > 0
        b0 = np.where(up, self.level, 1 - self.level) + rows.nulls
        b0 = np.maximum(b0, binary.CLIP)
        won, lost = np.where(up, successes, failures), np.where(up, failures, successes)
        gain = one_sample.rate_gains(won, lost, b0, rows.scales[:, None] * np.asarray(MULTIPLES))
        return self.grown(gain)


class OneMeanSequence(Claims, frozen=True, kw_only=True, tag="one mean"):
    """Claims about how far one bounded mean lies from a fixed level. Made by `one_mean_sequence`."""

    level: float
    spread: float | None = None
    moments: Moments = Moments()

    def update(self, batch: Histogram) -> OneMeanSequence:
        """Return the sequence after a batch."""
        if not batch.n:
            raise ValueError("an empty batch carries nothing: leave it out")
        points, weights, rows = batch.points, batch.weights, self.rows()
        signs = rows.signs[:, None]
        end = (signs * (points[[0, -1]] - self.level)).min(axis=1)
        nulls = np.maximum(rows.nulls, end + INSIDE * (points[-1] - points[0]))
        variance = self.moments.variance(batch, self.level, self.spread)
        bets = bounded.stakes(np.full(len(nulls), variance), end - nulls, rows.scales)
        hit = weights != 0
        z = signs * (points[hit] - self.level) - nulls[:, None]
        return self.grown(np.log1p(bets[:, :, None] * z[:, None, :]) @ weights[hit], moments=self.moments.after(batch))


def one_rate_sequence(
    grid: Sequence[float], scale: float, level: float, claims: Sequence[Claim] = ()
) -> OneRateSequence:
    """Return a sequence about rate minus `level`; differences that no rate has are left out of the grid."""
    points, wealth = begun([d for d in grid if -level < d < 1 - level], scale, claims)
    return OneRateSequence(
        grid=points,
        scale=scale,
        lowest=-level,
        highest=1 - level,
        claims=tuple(claims),
        log_wealth=wealth,
        level=level,
    )


def one_mean_sequence(
    grid: Sequence[float],
    scale: float,
    level: float,
    bounds: tuple[float, float],
    claims: Sequence[Claim] = (),
) -> OneMeanSequence:
    """Return a sequence about mean minus `level` of a metric within `bounds`."""
    lowest, highest = bounds[0] - level, bounds[1] - level
    points, wealth = begun([d for d in grid if lowest < d < highest], scale, claims)
    return OneMeanSequence(
        grid=points,
        scale=scale,
        lowest=lowest,
        highest=highest,
        claims=tuple(claims),
        log_wealth=wealth,
        level=level,
    )
