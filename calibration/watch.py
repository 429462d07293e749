"""The detector after release: time between false alarms, and its delay beside the CUSUM that knows the change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.stats import detector, one_sample
from pilotage.stats.claim import Claim
from pilotage.stats.mixture import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNITS = 20
"""Units that mature in a tick, on average."""


class Change(msgspec.Struct, frozen=True):
    """A rate that rises from `before` to `after` at a tick; the detector's claim bets on `scale`."""

    before: float
    after: float
    scale: float
    at: int = 0

    def draw(self, rng: np.random.Generator, tick: int, runs: int) -> tuple[Array, Array]:
        n = rng.poisson(UNITS, runs)
        successes = rng.binomial(n, self.before if tick < self.at else self.after)
        return successes.astype(np.float64), (n - successes).astype(np.float64)


def shiryaev_roberts(
    change: Change, lines: float, rng: np.random.Generator, *, runs: int, longest: int
) -> NDArray[np.float64]:
    """Return the ticks to the first alarm of the e-detector at A = `lines`; infinite beyond `longest`."""
    claim = Claim(0.0, change.scale)
    state = np.zeros((runs, 5))
    alarm = np.full(runs, math.inf)
    for tick in range(longest):
        successes, failures = change.draw(rng, tick, runs)
        state = detector.step(state, one_sample.rate_increments(successes, failures, change.before, claim))
        hit = (detector.level(state) >= detector.line(lines)) & ~np.isfinite(alarm)
        alarm[hit] = tick + 1
        if np.isfinite(alarm).all():
            break
    return alarm


def cusum(
    change: Change, heights: NDArray[np.float64], rng: np.random.Generator, *, runs: int, longest: int, told: Change
) -> NDArray[np.float64]:
    """Return the ticks to the first alarm of the CUSUM told both rates, at every height: shape (heights, runs)."""
    up = math.log(told.after / told.before)
    down = math.log((1 - told.after) / (1 - told.before))
    level = np.zeros(runs)
    alarm = np.full((len(heights), runs), math.inf)
    for tick in range(longest):
        successes, failures = change.draw(rng, tick, runs)
        level = np.maximum(level + successes * up + failures * down, 0)
        alarm[(level >= heights[:, None]) & ~np.isfinite(alarm)] = tick + 1
        if np.isfinite(alarm[-1]).all():
            break
    return alarm


def height_for(run_length: float, told: Change, rng: np.random.Generator, *, runs: int) -> float:
    """Return the CUSUM's height at which its simulated mean time to a false alarm is `run_length` ticks."""
    heights = np.linspace(1.0, 9.0, 161)
    quiet = Change(told.before, told.before, told.scale)
    longest = int(20 * run_length)
    ticks = cusum(quiet, heights, rng, runs=runs, longest=longest, told=told)
    means = np.minimum(ticks, longest).mean(axis=1)
    return float(np.interp(run_length, means, heights))


def delay(ticks: NDArray[np.float64], change: Change) -> float:
    """Return the mean delay after the change of those that were quiet until then."""
    return float((ticks[ticks > change.at] - change.at).mean())
