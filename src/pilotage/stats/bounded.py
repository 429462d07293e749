"""Two means of a bounded or capped metric, compared at any moment by betting.

With y in [low, high], the candidate's chance pi and a predictable centre c, each unit gives

    z = sign (1{C} (y - c) / pi - 1{B} (y - c) / (1 - pi)) - d

whose expectation under H0: sign (theta_C - theta_B) <= d is at most 0 whatever c is. So E = prod(1 + lambda z) is an
e-process for any predictable lambda in [0, 1 / |z_min|) (Waudby-Smith & Ramdas 2024, JRSS-B 86:1, sections 4 and 5;
Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro 2024, ACM/IMS J. Data Sci. 1:3, for inverse-probability weights),
here lambda = min(delta / (V + delta^2), .5 / |z_min|) with delta = k s and V the predicted variance of z.

Values come as hat histograms. ln(1 + lambda z(y)) is concave in y, so what is computed at the edges is a lower bound
of the raw values' log-wealth and validity stays exact. A centre near y removes variance: a prediction for each unit
(a histogram of residuals y - c) removes most.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from pilotage.stats.claim import Claim, check_share
from pilotage.stats.histogram import Histogram
from pilotage.stats.mixture import MULTIPLES, START, Array, grown, log_e


class Moments(msgspec.Struct, frozen=True):
    """Running count, sum and sum of squares of all values so far: what the next batch's bet may know."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def after(self, *batches: Histogram) -> Moments:
        """Return the moments with the batches' values added."""
        known = self
        for batch in batches:
            known = known.adding(batch.n, batch.weights, batch.points)
        return known

    def adding(self, n: int, weights: Array, points: Array) -> Moments:
        """Return the moments with `n` values added that lie on `points` by `weights`."""
        total, squares = float(weights @ points), float(weights @ (points * points))
        return Moments(self.n + n, self.total + total, self.squares + squares)

    def mean(self, batch: Histogram) -> float:
        """Return the mean so far; the middle of the range counts as one unit."""
        points = batch.points
        return float((self.total + (points[0] + points[-1]) / 2) / (self.n + 1))

    def variance(self, batch: Histogram, centre: float, spread: float | None) -> float:
        """Return the mean squared distance from `centre` so far; `spread` (or a quarter of the range) counts as one."""
        points = batch.points
        first = (points[-1] - points[0]) / 4 if spread is None else spread
        around = self.squares - 2 * centre * self.total + self.n * centre * centre
        return float((max(around, 0.0) + first * first) / (self.n + 1))


class BoundedProcess(msgspec.Struct, frozen=True):
    """The e-process of one claim about two means. `spread` is the standard deviation expected before there are data.

    `residuals` says that the histograms hold y - c of a per-unit prediction c, so that the centre is 0.
    """

    claim: Claim
    spread: float | None = None
    residuals: bool = False
    moments: Moments = Moments()
    log_wealth: tuple[float, ...] = START

    def __post_init__(self) -> None:
        if self.spread is not None and not (math.isfinite(self.spread) and self.spread > 0):
            msg = f"the expected standard deviation is above 0, not {self.spread}"
            raise ValueError(msg)

    def update(self, baseline: Histogram, candidate: Histogram, share: float) -> BoundedProcess:
        """Return the process after a batch whose units went to the candidate with the chance `share`."""
        check_share(share)
        if baseline.scale != candidate.scale:
            raise ValueError("both sides need one scale: the metric's bounds or resolution differ")
        if not baseline.n + candidate.n:
            raise ValueError("an empty batch carries nothing: leave it out")
        centre = 0.0 if self.residuals else self.moments.mean(baseline)
        variance = self.moments.variance(baseline, centre, self.spread)
        gain = increments(
            (baseline.weights, candidate.weights),
            baseline.points,
            centre=np.asarray(centre),
            variance=np.asarray(variance),
            share=share,
            claim=self.claim,
        )
        moments = self.moments.after(baseline, candidate)
        return msgspec.structs.replace(self, moments=moments, log_wealth=grown(self.log_wealth, gain))

    @property
    def log_e(self) -> float:
        """The log of the e-value."""
        return log_e(self.log_wealth)


def stakes(variance: Array, lowest: Array, scale: Array | float) -> Array:
    """Return lambda = min(delta / (V + delta^2), .5 / |z_min|) for every component: shape (..., 5)."""
    delta = np.asarray(scale)[..., None] * np.asarray(MULTIPLES)
    return np.asarray(np.minimum(delta / (variance[..., None] + delta * delta), 0.5 / np.abs(lowest)[..., None]))


def increments(
    weights: tuple[Array, Array],
    points: Array,
    *,
    centre: Array,
    variance: Array,
    share: Array | float,
    claim: Claim,
) -> Array:
    """Return what a batch adds to the log-wealth of every component: shape (..., 5).

    `weights` are the baseline's and the candidate's on the edges `points`, of shape (..., edges); `centre`, `variance` (of one
    value around the centre) and `share` have shape (...).
    """
    share = np.asarray(share, dtype=np.float64)[..., None]
    away = points - centre[..., None]
    z_c = claim.sign * away / share - claim.null
    z_b = -claim.sign * away / (1 - share) - claim.null
    lowest = np.minimum(z_c.min(axis=-1), z_b.min(axis=-1))
    if bool((lowest >= 0).any()):
        msg = f"a null of {claim.null} lies beyond the metric's range: no pair of means fulfils it"
        raise ValueError(msg)
    around = variance / share[..., 0] + variance / (1 - share[..., 0])
    bets = stakes(around, lowest, claim.scale)[..., None]
    gain_c = (np.log1p(bets * z_c[..., None, :]) * weights[1][..., None, :]).sum(axis=-1)
    gain_b = (np.log1p(bets * z_b[..., None, :]) * weights[0][..., None, :]).sum(axis=-1)
    return np.asarray(gain_c + gain_b)
