"""One thing to prove, and what a unit adds to the log-wealth of its five bets if the truth is as supposed.

A unit is one of 2 n outcomes: n values on the baseline's side, n on the candidate's. `gains` is what each outcome adds
to each component, computed by the processes' own functions, so that a plan and what it plans cannot drift apart.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from pilotage.stats import binary, bounded, one_sample
from pilotage.stats.claim import Claim, check_share
from pilotage.stats.mixture import Array, offsets

KNOWN = 50.0
"""Units that a declared level of today counts as, in the rate that bets are made on."""
_UNSURE = 0.01
"""A declared rate is taken to lie at least this far from 0 and 1."""
_EVENLY = np.asarray((-math.sqrt(3), 0.0, math.sqrt(3)))
_PARTS = np.asarray((1 / 6, 2 / 3, 1 / 6))
"""Three points that stand for a normal distribution (Gauss-Hermite)."""
_OVERSHOOT = 0.583
"""Of a normal walk, in its steps' standard deviations (Siegmund 1985, Sequential Analysis, equation 10.13)."""


def expected_rate(today: float, scale: float) -> float:
    """Return the pooled rate that bets begin at, where today's is known and effects of about `scale` matter.

    A rate that is expected too near to 0 or 1 costs more than one that is expected too far from them: bets on a rare
    event then stake too little on it.
    """
    return min(max(today + (scale if today < 0.5 else -scale), _UNSURE), 1 - _UNSURE)


class Law(msgspec.Struct, frozen=True):
    """How a unit's value is supposed to be distributed: `values`, and their chances on both sides."""

    values: tuple[float, ...]
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]

    def __post_init__(self) -> None:
        for side in (self.baseline, self.candidate):
            if len(side) != len(self.values) or min(side) < 0 or abs(sum(side) - 1) > 1e-6:
                raise ValueError("a law has a chance for every value, and they add up to 1")

    @property
    def means(self) -> tuple[float, float]:
        """Return both sides' means."""
        values = np.asarray(self.values)
        return float(values @ self.baseline), float(values @ self.candidate)

    @property
    def variances(self) -> tuple[float, float]:
        """Return both sides' variances."""
        values = np.asarray(self.values)
        means = self.means
        sides = (self.baseline, self.candidate)
        return tuple(float((values - m) ** 2 @ side) for m, side in zip(means, sides, strict=True))  # type: ignore[return-value]


class Demand(msgspec.Struct, frozen=True):
    """A claim, the law under which it is to be shown, and the process that will judge it.

    A rate's bets begin at the pooled rate `guess` (the baseline's, if not given), which counts as `known` units.
    `correlation` is that of the value with a prediction made before the outcome; `design_effect` is above 1 where units
    are less than independent.
    Without a baseline's arm (`compared` false) the baseline's mean is the level that is compared with.
    """

    claim: Claim
    law: Law
    method: Literal["rate", "bounded", "moments"]
    compared: bool = True
    guess: float | None = None
    known: float = KNOWN
    correlation: float = 0.0
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.distance) and self.distance > 0):
            msg = f"the effect to show must lie beyond the null, not {self.distance:g} from it"
            raise ValueError(msg)
        if not (-1 < self.correlation < 1 and 0 < self.design_effect < math.inf):
            raise ValueError("a correlation lies between -1 and 1 and a design effect above 0")

    @property
    def distance(self) -> float:
        """D: how far the true effect lies beyond the null."""
        baseline, candidate = self.law.means
        return self.claim.sign * (candidate - baseline) - self.claim.null

    def variance(self, share: float) -> float:
        """Return V = (s_C^2 / pi + s_B^2 / (1 - pi)) (1 - rho^2) deff."""
        check_share(share)
        baseline, candidate = self.law.variances
        whole = candidate / share + (baseline / (1 - share) if self.compared else 0.0)
        return whole * self.information_a_unit

    @property
    def information_a_unit(self) -> float:
        """What predictions save and clustering costs, in units."""
        return (1 - self.correlation**2) * self.design_effect

    def chances(self, share: float) -> Array:
        """Return the chance of every outcome of one unit: the baseline's values, then the candidate's."""
        check_share(share)
        sides = (1 - share) * np.asarray(self.law.baseline), share * np.asarray(self.law.candidate)
        return np.concatenate(sides)

    def gains(self, share: float) -> Array:
        """Return what each outcome adds to each component, once the level is known: shape (5, outcomes)."""
        if self.method == "rate":
            pooled = self._pooled(share)
            return self._rate_gains(np.asarray(pooled), np.asarray(share), share)
        return self._mean_gains(share)

    def learning(self, share: float, part: Array, units: Array, pooled: Array) -> Array:
        """Return the mean gain of one unit for each component after `units` units: shape (N, 5).

        A rate's bets rest on the pooled rate so far, which is near the truth only after a while: its expectation is taken
        over three points of the pooled rate's distribution, on the scale of its square root. `part` is the candidate's
        in those units and `pooled` their true rate, both of shape (N,).
        """
        chances = self.chances(share)
        if self.method != "rate" or not self.compared:
            return np.broadcast_to(self.gains(share) @ chances, (len(units), 5))
        known, guess = self.known, self.law.means[0] if self.guess is None else self.guess
        mean = (guess * known + pooled * units) / (known + units)
        error = np.sqrt(pooled * (1 - pooled) * units) / (known + units)
        root = np.sqrt(mean)[:, None] + _EVENLY * (error / (2 * np.sqrt(mean)))[:, None]
        rates = np.clip(np.maximum(root, 0.0) ** 2, binary.CLIP, 1 - binary.CLIP)
        table = self._rate_gains(rates, np.broadcast_to(part[:, None], rates.shape), share)
        return np.asarray(np.einsum("nhko,o,h->nk", table, chances, _PARTS))

    def overshoot(self, share: float) -> float:
        """Return by how much the log-wealth passes the bar on average when it does: lumps of rare events, mostly."""
        table, chances = self.gains(share), self.chances(share)
        best = table[int(np.argmax(table @ chances))]
        away = best - best @ chances
        square = float(away**2 @ chances)
        return _OVERSHOOT * math.sqrt(square) + max(0.0, float(away**3 @ chances)) / (3 * square)

    def quiet(self, share: float) -> Array:
        """Return what a unit adds on average while everybody has the commonest outcome of their side: shape (5,).

        Where bad events are rare, no path is quicker than the one on which none has happened.
        """
        table = self.gains(share)
        n = len(self.law.values)
        usual = int(np.argmax(self.law.baseline)), n + int(np.argmax(self.law.candidate))
        return np.asarray((1 - share) * table[:, usual[0]] + share * table[:, usual[1]])

    def _pooled(self, share: float) -> float:
        baseline, candidate = self.law.means
        return (1 - share) * baseline + share * candidate

    def _rate_gains(self, rate: Array, part: Array, share: float) -> Array:
        """Return the gains at the predicted pooled rates: shape (..., 5, 4), outcomes (fB, sB, fC, sC)."""
        if not self.compared:
            return self._one_rate_gains()
        sign = self.claim.sign
        part, pi = (part, share) if sign > 0 else (1 - part, 1 - share)
        effects = offsets(self.claim.scale) + self.claim.null
        table = binary.log_ratios(rate, part, pi, self.claim.null, effects)
        return table[..., [1, 0, 3, 2] if sign > 0 else [3, 2, 1, 0]]

    def _one_rate_gains(self) -> Array:
        level = self.law.means[0]
        gains = one_sample.rate_increments(np.asarray((0.0, 1.0)), np.asarray((1.0, 0.0)), level, self.claim)
        return np.concatenate((np.zeros((5, 2)), gains.T), axis=1)

    def _mean_gains(self, share: float) -> Array:
        values = np.asarray(self.law.values)
        n = len(values)
        if self.method == "moments":
            return self._moment_gains(share)
        one, none = np.eye(n), np.zeros((n, n))
        if not self.compared:
            level = self.law.means[0]
            z = self.claim.sign * (values - level) - self.claim.null
            spread = float((values - level) ** 2 @ self.law.candidate)
            bets = bounded.stakes(np.asarray(spread), np.asarray(z.min()), self.claim.scale)
            return np.concatenate((np.zeros((5, n)), np.log1p(bets[:, None] * z)), axis=1)
        centre = self._pooled(share)
        variance = float(
            (values - centre) ** 2
            @ ((1 - share) * np.asarray(self.law.baseline) + share * np.asarray(self.law.candidate))
        )
        sides = [
            bounded.increments(
                weights,
                values,
                centre=np.full(n, centre),
                variance=np.full(n, variance),
                share=share,
                claim=self.claim,
            ).T
            for weights in ((one, none), (none, one))
        ]
        return np.concatenate(sides, axis=1)

    def _moment_gains(self, share: float) -> Array:
        """Return the gains of the likelihood ratio between two normal means, which the asymptotic method comes near."""
        values = np.asarray(self.law.values)
        if not self.compared:
            away = self.claim.sign * (values - self.law.means[0]) - self.claim.null
            return np.concatenate((np.zeros((5, len(values))), self._normal_gains(away, self.law.variances[1])), axis=1)
        spread = (1 - share) * self.law.variances[0] + share * self.law.variances[1]
        away = self.claim.sign * (values - self._pooled(share))
        z = np.concatenate((-away / (1 - share), away / share)) - self.claim.null
        return self._normal_gains(z, spread / share + spread / (1 - share))

    def _normal_gains(self, away: Array, variance: float) -> Array:
        stakes = offsets(self.claim.scale)[:, None] / variance
        return np.asarray(stakes * away - stakes**2 * variance / 2)
