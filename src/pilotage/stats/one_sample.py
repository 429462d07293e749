"""One arm against a fixed level: the same tests where there is no baseline to compare with.

The level is a goal's own value of today, or a detector's reference. `Claim.null` is then the difference from the level:
H0: sign (theta - level) <= null. Such a test is only as good as the level is right today; prefer a baseline arm.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from pilotage.stats.binary import CLIP
from pilotage.stats.bounded import Moments, stakes
from pilotage.stats.claim import Claim
from pilotage.stats.histogram import Histogram
from pilotage.stats.mixture import START, Array, grown, log_e, offsets


class OneRate(msgspec.Struct, frozen=True):
    """The e-process of a claim about one rate: H0: sign (theta - level) <= null.

    Each component is the likelihood ratio of b to b0, s ln(b / b0) + f ln((1 - b) / (1 - b0)), with b0 = level + null
    and b = b0 + k s. Its expectation is linear in theta, 1 at b0, and below 1 on the null's side.
    """

    claim: Claim
    level: float
    log_wealth: tuple[float, ...] = START

    def update(self, successes: int, failures: int) -> OneRate:
        """Return the process after a batch."""
        if min(successes, failures) < 0 or successes + failures == 0:
            msg = f"a batch has units: successes and failures of 0 or more, not both 0; not {successes} and {failures}"
            raise ValueError(msg)
        gain = rate_increments(successes, failures, self.level, self.claim)
        return msgspec.structs.replace(self, log_wealth=grown(self.log_wealth, gain))

    @property
    def log_e(self) -> float:
        """The log of the e-value."""
        return log_e(self.log_wealth)


def rate_increments(successes: Array | float, failures: Array | float, level: Array | float, claim: Claim) -> Array:
    """Return what a batch adds to the log-wealth of every component, for scalars or for streams: shape (..., 5)."""
    level = np.asarray(level, dtype=np.float64)
    # For sign -1, failures are the successes of the mirrored question.
    if claim.sign < 0:
        successes, failures, level = failures, successes, 1 - level
    b0 = level + claim.null
    if not bool(((b0 >= CLIP) & (b0 < 1 - CLIP)).all()):
        msg = f"the level plus the null must be a rate with room above it, not {b0.ravel().tolist()[:3]}"
        raise ValueError(msg)
    return rate_gains(successes, failures, b0, offsets(claim.scale))


def rate_gains(successes: Array | float, failures: Array | float, b0: Array, effects: Array) -> Array:
    """Return the gains of bets on b0 + `effects` against b0; without room above b0 nothing is staked."""
    b0 = np.minimum(b0, 1 - CLIP)[..., None]
    b = np.minimum(b0 + effects, 1 - CLIP)
    up, down = np.log(b / b0), np.log1p(-b) - np.log1p(-b0)
    return np.asarray(np.asarray(successes)[..., None] * up + np.asarray(failures)[..., None] * down)


class OneMean(msgspec.Struct, frozen=True):
    """The e-process of a claim about the mean of one bounded metric: H0: sign (theta - level) <= null.

    Betting on z = sign (y - level) - null with E = prod(1 + lambda z), lambda = min(k s / (V + (k s)^2), .5 / |z_min|)
    (Waudby-Smith & Ramdas 2024, JRSS-B 86:1, section 4), on hat histograms as in `bounded`.
    """

    claim: Claim
    level: float
    spread: float | None = None
    moments: Moments = Moments()
    log_wealth: tuple[float, ...] = START

    def __post_init__(self) -> None:
        if not math.isfinite(self.level):
            msg = f"the level is a finite value on the metric's scale, not {self.level}"
            raise ValueError(msg)

    def update(self, batch: Histogram) -> OneMean:
        """Return the process after a batch."""
        if not batch.n:
            raise ValueError("an empty batch carries nothing: leave it out")
        points = batch.points
        z = self.claim.sign * (points - self.level) - self.claim.null
        lowest = float(z.min())
        if lowest >= 0:
            msg = f"the metric's range {points[0]} to {points[-1]} lies wholly above the null, which says nothing"
            raise ValueError(msg)
        variance = self.moments.variance(batch, self.level, self.spread)
        bets = stakes(np.asarray(variance), np.asarray(lowest), self.claim.scale)
        gain = np.log1p(bets[:, None] * z) @ batch.weights
        return msgspec.structs.replace(self, moments=self.moments.after(batch), log_wealth=grown(self.log_wealth, gain))

    @property
    def log_e(self) -> float:
        """The log of the e-value."""
        return log_e(self.log_wealth)
