"""A ramp as it is run: hourly looks, a base rate that drifts, conversions that take hours, units that are moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calibration.units import Z
from pilotage.stats import binary, mixture
from pilotage.stats.claim import Claim, threshold
from pilotage.stats.mixture import Array
from pilotage.stats.tilt import TILTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75)


class Ramp(msgspec.Struct, frozen=True):
    """`hours` a step, `arrivals` new units an hour, the base rate from `start` to `end`, outcomes within `window` hours.

    The conversion's delay is geometric over the window's hours with the mean `delay`, cut off at the window.
    """

    hours: int
    arrivals: float
    start: float
    end: float
    window: int = 0
    delay: float = 4.0
    effect: float = 0.0

    @property
    def length(self) -> int:
        return self.hours * len(SHARES)

    def share(self, hour: int) -> float:
        return SHARES[min(hour // self.hours, len(SHARES) - 1)]

    def rate(self, hour: int) -> float:
        return self.start + (self.end - self.start) * hour / (self.length - 1)


class Outcome(msgspec.Struct, frozen=True):
    """Whether each repetition called at any hour, by rule."""

    called: dict[str, NDArray[np.bool_]]
    naive: NDArray[np.bool_]
    ratio: NDArray[np.bool_]


def run(ramp: Ramp, claims: dict[str, Claim], rng: np.random.Generator, *, runs: int, alpha: float) -> Outcome:
    """Return the calls when units enter at maturity by the interval rule, and when totals are pooled as they come."""
    wealth = {name: np.zeros((runs, len(mixture.WEIGHTS))) for name in claims}
    called = {name: np.zeros(runs, dtype=bool) for name in claims}
    seen = np.zeros((runs, 4))
    pooled = np.zeros((runs, 4))
    naive = np.zeros(runs, dtype=bool)
    tilt = np.zeros((runs, len(TILTS)))
    ratio = np.zeros(runs, dtype=bool)
    waiting: list[tuple[int, NDArray[np.float64]]] = []
    late: dict[int, NDArray[np.float64]] = {}
    for hour in range(ramp.length):
        lo = ramp.share(hour)
        arrived = rng.poisson(ramp.arrivals, runs)
        candidate = rng.binomial(arrived, lo)
        tilt += candidate[:, None] * np.asarray(TILTS) - arrived[:, None] * np.log1p(lo * np.expm1(TILTS))
        top = tilt.max(axis=1)
        ratio |= top + np.log(np.exp(tilt - top[:, None]).mean(axis=1)) >= threshold(0.001)
        arms = {"B": (arrived - candidate, ramp.rate(hour)), "C": (candidate, ramp.rate(hour) + ramp.effect)}
        # Units whose hash lies in [lo, hi) may be moved before they mature; which they are is settled by then.
        hi = max(ramp.share(h) for h in range(hour, hour + ramp.window + 1))
        kept = rng.binomial(arms["B"][0], (1 - hi) / (1 - lo))
        s_kept = rng.binomial(kept, arms["B"][1])
        s_moved = rng.binomial(arms["B"][0] - kept, arms["B"][1])
        s_c = rng.binomial(*arms["C"])
        waiting.append((hour + ramp.window, np.stack((s_kept, kept - s_kept, s_c, candidate - s_c), axis=1)))
        # Counted as they come: everybody is a failure at once, and turns into a success when the conversion arrives.
        pooled += np.stack((np.zeros(runs), arms["B"][0], np.zeros(runs), candidate), axis=1)
        to_come = np.stack((s_kept + s_moved, s_c), axis=1)
        for wait, part in enumerate(_arrivals(ramp)):
            converting = rng.binomial(to_come, part)
            to_come = to_come - converting
            late[hour + wait] = late.get(hour + wait, np.zeros((runs, 2))) + converting
        came = late.pop(hour)
        pooled += np.stack((came[:, 0], -came[:, 0], came[:, 1], -came[:, 1]), axis=1)
        naive |= np.abs(_z(pooled)) > Z
        while waiting and waiting[0][0] <= hour:
            due, counts = waiting.pop(0)
            for name, claim in claims.items():
                wealth[name] += _gain(ramp, due - ramp.window, counts, seen, claim)
            seen += counts
        for name in claims:
            called[name] |= mixture.log_mixture(wealth[name]) >= threshold(alpha)
    return Outcome(called, naive, ratio)


def _gain(ramp: Ramp, hour: int, counts: NDArray[np.float64], seen: NDArray[np.float64], claim: Claim) -> Array:
    """Return what the units that were first exposed in `hour` add, with pi = lo / (lo + 1 - hi)."""
    lo = ramp.share(hour)
    hi = max(ramp.share(h) for h in range(hour, hour + ramp.window + 1))
    share = lo / (lo + 1 - hi)
    order = [0, 1, 2, 3] if claim.sign > 0 else [2, 3, 0, 1]
    pi = share if claim.sign > 0 else 1 - share
    arms = seen[:, order]
    n = arms.sum(axis=1) + 4
    rate = (arms[:, 0] + arms[:, 2] + 2) / n
    part = (arms[:, 2] + arms[:, 3] + 4 * pi) / n
    return binary.increments(counts[:, order], rate, part, pi, claim)


def _arrivals(ramp: Ramp) -> list[float]:
    """Return the chance that a conversion arrives after 0, 1, ... hours, given that it has not before."""
    if not ramp.window:
        return [1.0]
    return [1 / (ramp.delay + 1)] * ramp.window + [1.0]


def _z(pooled: NDArray[np.float64]) -> NDArray[np.float64]:
    n_b, n_c = np.maximum(pooled[:, :2].sum(axis=1), 1), np.maximum(pooled[:, 2:].sum(axis=1), 1)
    p_b, p_c = pooled[:, 0] / n_b, pooled[:, 2] / n_c
    error = np.sqrt(p_b * (1 - p_b) / n_b + p_c * (1 - p_c) / n_c)
    return np.asarray(np.where((error > 0) & (n_c >= 100), (p_c - p_b) / np.where(error > 0, error, 1), 0))
