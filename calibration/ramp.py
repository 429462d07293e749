"""A ramp as it is run: hourly looks, a base rate that drifts, conversions that take hours, units that are moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calibration import peers
from pilotage.stats import binary, mixture
from pilotage.stats.claim import Claim, threshold
from pilotage.stats.tilt import TILTS

if TYPE_CHECKING:
    from pilotage.stats.mixture import Array

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75)


class Ramp(msgspec.Struct, frozen=True):
    """`hours` a step, `arrivals` an hour, the base rate from `start` to `end`, outcomes within `window` hours.

    The conversion's delay is geometric over the window's hours with the mean `delay`, cut off at the window.
    """

    hours: int
    arrivals: float
    start: float
    end: float
    window: int = 0
    delay: float = 4.0
    effect: float = 0.0
    shares: tuple[float, ...] = SHARES

    @property
    def length(self) -> int:
        return self.hours * len(self.shares)

    def share(self, hour: int) -> float:
        return self.shares[min(hour // self.hours, len(self.shares) - 1)]

    def highest(self, hour: int) -> float:
        """Return the highest share before those first exposed in `hour` mature; ramps only rise."""
        return self.share(hour + self.window)

    def rate(self, hour: int) -> float:
        return self.start + (self.end - self.start) * hour / (self.length - 1)


class Seen(msgspec.Struct, frozen=True):
    """What each repetition saw in each hour: arrays of shape (runs, hours, ...).

    `entered` are sB, fB, sC, fC of the units first exposed in that hour, without those that may have been moved;
    `exposed` are first exposures on both sides; `came` are sB, fB, sC, fC as a test would count them that pools
    whatever has come.
    """

    entered: Array
    exposed: Array
    came: Array


def simulate(ramp: Ramp, rng: np.random.Generator, runs: int) -> Seen:
    """Simulate units that come once each."""
    seen = Seen(*(np.zeros((runs, ramp.length, n)) for n in (4, 2, 4)))
    late = np.zeros((runs, ramp.length + ramp.window + 1, 2))
    for hour in range(ramp.length):
        lo, hi = ramp.share(hour), ramp.highest(hour)
        arrived = rng.poisson(ramp.arrivals, runs)
        candidate = rng.binomial(arrived, lo)
        baseline = arrived - candidate
        # Units whose hash lies in [lo, hi) may be moved before they mature; which they are is settled by then.
        kept = rng.binomial(baseline, (1 - hi) / (1 - lo))
        s_kept = rng.binomial(kept, ramp.rate(hour))
        s_moved = rng.binomial(baseline - kept, ramp.rate(hour))
        s_c = rng.binomial(candidate, ramp.rate(hour) + ramp.effect)
        seen.entered[:, hour] = np.stack((s_kept, kept - s_kept, s_c, candidate - s_c), axis=1)
        seen.exposed[:, hour] = np.stack((baseline, candidate), axis=1)
        # Counted as they come: everybody is a failure at once, and turns into a success when the conversion arrives.
        to_come = np.stack((s_kept + s_moved, s_c), axis=1)
        for wait, part in enumerate(_arrivals(ramp)):
            converting = rng.binomial(to_come, part)
            to_come = to_come - converting
            late[:, hour + wait] += converting
        came = late[:, hour]
        seen.came[:, hour] = np.stack((came[:, 0], baseline - came[:, 0], came[:, 1], candidate - came[:, 1]), axis=1)
    return seen


def judge(
    ramp: Ramp, seen: Seen, claims: dict[str, Claim], *, alpha: float, limit: float | None = None
) -> dict[str, Array]:
    """Return by rule the hour after which each repetition first called; infinite where it never did.

    The claims' processes take units at maturity by the interval rule; `ratio` is the sample-ratio alarm at .001; the
    others look at whatever has come, pooled over the steps.
    """
    runs = len(seen.entered)
    first = {rule: np.full(runs, math.inf) for rule in (*claims, "ratio", *peers.RULES, "limit")}
    wealth = {name: np.zeros((runs, len(mixture.WEIGHTS))) for name in claims}
    tilt = np.zeros((runs, len(TILTS)))
    known = np.zeros((runs, 4))
    windows = peers.Limit(1e300 if limit is None else limit, runs)
    pooled = np.cumsum(seen.came, axis=1)
    for hour in range(ramp.length):
        calls = {name: rule(peers.of_counts(pooled[:, hour])) for name, rule in peers.RULES.items()}
        calls["limit"] = windows.after(seen.exposed[:, hour, 1], seen.came[:, hour, 2])
        tilt += _tilts(seen.exposed[:, hour], ramp.share(hour))
        top = tilt.max(axis=1)
        calls["ratio"] = top + np.log(np.exp(tilt - top[:, None]).mean(axis=1)) >= threshold(0.001)
        if hour >= ramp.window:
            due = hour - ramp.window
            for name, claim in claims.items():
                wealth[name] += _gain(ramp, due, seen.entered[:, due], known, claim)
                calls[name] = mixture.log_mixture(wealth[name]) >= threshold(alpha)
            known += seen.entered[:, due]
        for name, called in calls.items():
            first[name] = np.minimum(first[name], np.where(called, hour + 1.0, math.inf))
    return first


def _tilts(exposed: Array, share: float) -> Array:
    tilts = np.asarray(TILTS)
    return np.asarray(
        exposed[:, 1:] * tilts - exposed.sum(axis=1)[:, None] * np.log1p(share * np.expm1(tilts)), dtype=np.float64
    )


def _gain(ramp: Ramp, hour: int, counts: Array, known: Array, claim: Claim) -> Array:
    """Return what the units that were first exposed in `hour` add, with pi = lo / (lo + 1 - hi)."""
    lo = ramp.share(hour)
    share = lo / (lo + 1 - ramp.highest(hour))
    order = [0, 1, 2, 3] if claim.sign > 0 else [2, 3, 0, 1]
    pi = share if claim.sign > 0 else 1 - share
    arms = known[:, order]
    n = arms.sum(axis=1) + 4
    rate = (arms[:, 0] + arms[:, 2] + 2) / n
    part = (arms[:, 2] + arms[:, 3] + 4 * pi) / n
    return binary.increments(counts[:, order], rate, part, pi, claim)


def _arrivals(ramp: Ramp) -> list[float]:
    """Return the chance that a conversion arrives after 0, 1, ... hours, given that it has not before."""
    if not ramp.window:
        return [1.0]
    return [1 / (ramp.delay + 1)] * ramp.window + [1.0]
