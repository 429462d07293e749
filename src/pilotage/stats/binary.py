"""Two rates, compared at any moment: the e-process by reverse information projection.

A unit goes to the candidate with the predictable chance pi. A component bets that the rates are (a, b = a + delta); its
e-value for one unit is the likelihood ratio of (a, b) to the null point (a0, b0 = a0 + d) that minimises

    (1 - pi) kl(a, a0) + pi kl(b, b0),    kl(x, y) = x ln(x / y) + (1 - x) ln((1 - x) / (1 - y))

which has expectation at most 1 at every (theta_B, theta_C) of the null theta_C - theta_B <= d (Gruenwald, de Heide &
Koolen 2024, JRSS-B 86:1091, theorem 1; Turner, Ly & Gruenwald 2024, J. Stat. Plan. Inference 230). Valid for any drift
of the rates and any allocation, given that pi and the bet are fixed before the unit is seen.

The expectation is linear in (theta_B, theta_C), so it is largest at a vertex of the null's polygon; whatever exceeds 1
there, by rounding or a search that ended early, is taken off again for each unit. Validity therefore does not rest on
the search.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pilotage.stats.claim import Claim, check_share
from pilotage.stats.mixture import START, Array, grown, log_e, offsets

CLIP = 1e-4
"""Rates that are bet on stay this far from 0 and 1, so that one surprising unit costs a bounded amount."""
_ROUNDS = 80
_PRECISION = 1e-8
"""A Newton step this small (relative) leaves an error of its square; what a bisection leaves, certification takes off."""


class Batch(msgspec.Struct, frozen=True):
    """Units that matured since the last look: integer sums, which merge in any order."""

    baseline_successes: int = 0
    baseline_failures: int = 0
    candidate_successes: int = 0
    candidate_failures: int = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            count = getattr(self, name)
            if not isinstance(count, int) or count < 0:
                msg = f"{name} counts units, so it is a whole number of 0 or more, not {count}"
                raise ValueError(msg)

    def __add__(self, other: Batch) -> Batch:
        return Batch(*(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """sB, fB, sC, fC."""
        return (
            self.baseline_successes,
            self.baseline_failures,
            self.candidate_successes,
            self.candidate_failures,
        )

    @property
    def swapped(self) -> Batch:
        return Batch(*self.counts[2:], *self.counts[:2])


class BinaryProcess(msgspec.Struct, frozen=True):
    """The e-process of one claim about two rates: five log-wealths and four counts, whatever the traffic.

    `rate` is the pooled rate that is expected before there are data and counts as `units` units: a half as 4 where
    nothing is known, a goal's value of today as 50. It changes only how fast evidence grows, never the error rate; one
    that is too near 0 or 1 costs more than one that is too far from them.
    """

    claim: Claim
    rate: float = 0.5
    units: float = 4.0
    seen: Batch = Batch()
    log_wealth: tuple[float, ...] = START

    def __post_init__(self) -> None:
        if not (0 < self.rate < 1 and math.isfinite(self.units) and self.units > 0):
            msg = f"the expected rate lies between 0 and 1 and counts as some units, not {self.rate} as {self.units}"
            raise ValueError(msg)
        check_difference(self.claim.null)

    def update(self, batch: Batch, share: float) -> BinaryProcess:
        """Return the process after a batch whose units went to the candidate with the chance `share`."""
        check_share(share)
        if not any(batch.counts):
            raise ValueError("an empty batch carries nothing: leave it out, so that batches are what was decided on")
        merged = self.seen + batch
        if self.claim.sign < 0:
            batch, share = batch.swapped, 1 - share
        rate, part = self._prediction(share)
        gain = increments(batch.counts, rate, part, share, self.claim)
        return msgspec.structs.replace(self, seen=merged, log_wealth=grown(self.log_wealth, gain))

    @property
    def log_e(self) -> float:
        """The log of the e-value: H0 is rejected at alpha where it reaches ln(1 / alpha)."""
        return log_e(self.log_wealth)

    def _prediction(self, share: float) -> tuple[float, float]:
        """Return the pooled rate so far and the part of it that came from the (possibly swapped) candidate."""
        s_b, f_b, s_c, f_c = (self.seen.swapped if self.claim.sign < 0 else self.seen).counts
        n = s_b + f_b + s_c + f_c + self.units
        return (s_b + s_c + self.rate * self.units) / n, (s_c + f_c + share * self.units) / n


def check_difference(null: float) -> None:
    """Refuse a null that every pair of rates fulfils, or none."""
    if not -1 < null < 1:
        msg = f"rates differ by less than 1, so a null of {null} says nothing: give margins as fractions (0.03, not 3)"
        raise ValueError(msg)


def increments(
    counts: ArrayLike, rate: Array | float, part: Array | float, share: Array | float, claim: Claim
) -> Array:
    """Return what a batch adds to the log-wealth of every component: shape (..., 5).

    `counts` (..., 4) are sB, fB, sC, fC of arms already swapped where the claim says so; `rate`, `part` and `share`
    are the predictable pooled rate p, the candidate's part q in it, and pi, of shape (...).
    """
    table = log_ratios(rate, part, share, claim.null, offsets(claim.scale) + claim.null)
    return np.asarray((np.asarray(counts, dtype=np.float64)[..., None, :] * table).sum(axis=-1))


def log_ratios(
    rate: Array | float, part: Array | float, share: Array | float, null: Array | float, effects: Array
) -> Array:
    """Return each component's certified log e-value for one unit that is sB, fB, sC or fC: shape (..., K, 4).

    `effects` has the shape (..., K) and all others (...): many claims cost little more than one.
    """
    rate, part, share, null = (np.asarray(x, dtype=np.float64)[..., None] for x in (rate, part, share, null))
    a, b = bet(rate, part, effects)
    a0 = null_point(a, b, share, null)
    b0 = a0 + null
    usable = (b - a > null) & (a0 > 0) & (a0 < 1) & (b0 > 0) & (b0 < 1)
    a0, b0 = np.where(usable, a0, a), np.where(usable, b0, b)
    excess = _log_excess((a, b), (a0, b0), share, null)
    table = np.stack(
        (np.log(a / a0), np.log1p(-a) - np.log1p(-a0), np.log(b / b0), np.log1p(-b) - np.log1p(-b0)), axis=-1
    )
    # A component whose bet the clipping pushed into the null stakes nothing.
    return np.where(usable[..., None], table - excess[..., None], 0.0)


def bet(rate: Array, part: Array, effects: Array) -> tuple[Array, Array]:
    """Return the rates a = p - q delta and b = a + delta, moved together so that both stay within the clip."""
    low = np.maximum(CLIP, CLIP - effects)
    high = np.minimum(1 - CLIP, 1 - CLIP - effects)
    a = np.clip(rate - part * effects, np.minimum(low, 1 - CLIP), np.maximum(high, CLIP))
    return a, np.clip(a + effects, CLIP, 1 - CLIP)


def null_point(a: Array, b: Array, share: Array, null: Array | float) -> Array:
    """Return a0, the projection of (a, b) on the line (x, x + d), by Newton's method kept within a bisection.

    The derivative (1-pi)(x-a) / (x(1-x)) + pi(x+d-b) / ((x+d)(1-x-d)) rises through one zero; multiplied by its
    denominators it is a cubic without poles, with the same zero between the ends of the segment.
    """
    null = np.asarray(null, dtype=np.float64)
    if not null.any():
        return np.asarray((1 - share) * a + share * b)
    a, b, share, null = np.broadcast_arrays(a, b, share, null)
    rest, target = 1 - share, b - null
    low = np.maximum(np.minimum(a, target), np.maximum(0.0, -null))
    high = np.minimum(np.maximum(a, target), np.minimum(1.0, 1 - null))
    x = np.clip(_cubic_root(rest * a + share * b, share, share * b, null), low, high)
    for _ in range(_ROUNDS):
        y = x + null
        left, right = x * (1 - x), y * (1 - y)
        from_a, from_b = rest * (x - a), share * (x - target)
        value = from_a * right + from_b * left
        slope = rest * right + from_a * (1 - 2 * y) + share * left + from_b * (1 - 2 * x)
        low, high = np.where(value <= 0, x, low), np.where(value >= 0, x, high)
        newton = x - value / np.where(slope == 0, 1.0, slope)
        before, x = x, np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if bool((np.abs(x - before) <= _PRECISION * x).all()):
            break
    return np.asarray(x)


def _cubic_root(pooled: Array, share: Array, part: Array, null: Array) -> Array:
    """Return about a0 in closed form (Farrington & Manning 1990, Stat. Med. 9:1447, appendix); rounding spoils digits."""
    square = -(1 + pooled + null * (1 + share))
    linear = share * null * null + null * (2 * part + 1) + pooled
    constant = -part * null * (1 + null)
    third = square / 3
    v = third * third * third - third * linear / 2 + constant / 2
    u = np.copysign(np.sqrt(np.maximum(third * third - linear / 3, 1e-30)), v)
    angle = (math.pi + np.arccos(np.clip(v / (u * u * u), -1.0, 1.0))) / 3
    return np.asarray(2 * u * np.cos(angle) - third - null)


def _log_excess(rates: tuple[Array, Array], null_rates: tuple[Array, Array], share: Array, null: Array) -> Array:
    """Return ln max(1, E[e]) of one unit over the vertices of {0 <= x, y <= 1, y - x <= d}."""
    (a, b), (a0, b0) = rates, null_rates
    # Written as excesses over 1, so that rounding does not hide what is left.
    won, lost = (1 - share) * (a / a0 - 1), (1 - share) * ((1 - a) / (1 - a0) - 1)
    gained, missed = share * (b / b0 - 1), share * ((1 - b) / (1 - b0) - 1)
    left, right = np.maximum(0.0, -null), np.minimum(1.0, 1 - null)
    bottom, top = np.maximum(0.0, null), np.minimum(1.0, 1 + null)
    worst = np.maximum(won + missed, won + top * gained + (1 - top) * missed)
    at_left = left * won + (1 - left) * lost
    worst = np.maximum(worst, at_left + missed)
    worst = np.maximum(worst, at_left + bottom * gained + (1 - bottom) * missed)
    worst = np.maximum(worst, right * won + (1 - right) * lost + top * gained + (1 - top) * missed)
    return np.asarray(np.log1p(np.maximum(worst, 0.0)))
