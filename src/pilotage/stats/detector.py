"""Has it got worse since release? Shiryaev-Roberts e-detectors, with a promised time between false alarms.

On every tick of a fixed clock, M <- (M + 1) e, with e the e-value of what matured in that tick against the reference
(`one_sample.rate_increments`, or any other; 1 for an empty tick). While the level is at the reference or better, M - n
is a supermartingale, so an alarm at sum_k w_k M_k >= A comes after A ticks or more on average, whatever the
distribution and without calibration (Shin, Ramdas & Rinaldo 2024, New England J. Stat. Data Sci. 2:229, theorem 2.4).
A mean of detectors is one too: `fleet_level` gives many streams one alarm budget.

The promise rests on the reference: use the upper confidence limit of the level that was proven at release, or a
holdback of 5 to 20 % and its two-sided comparison. Kept is ln(1 + M), which starts at 0 and stays finite.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from pilotage.stats.mixture import START, WEIGHTS, Array


def step(state: Array, log_e: Array) -> Array:
    """Return ln(1 + M) after a tick with the components' log e-values: any shape (..., 5), a row for each stream."""
    return np.logaddexp(0.0, state + log_e)


def level(state: Array) -> Array:
    """Return ln sum_k w_k M_k of every stream."""
    top = state.max(axis=-1)
    rest = (np.asarray(WEIGHTS) * (np.exp(state - top[..., None]) - np.exp(-top)[..., None])).sum(axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(np.maximum(rest, 0.0)))


def fleet_level(state: Array) -> float:
    """Return ln of the mean of the streams' detectors: one detector for the whole fleet."""
    levels = level(state)
    top = float(levels.max())
    if top == -math.inf:
        return top
    return top + math.log(float(np.exp(levels - top).mean()))


def line(ticks: float) -> float:
    """Return ln A for a mean of at least `ticks` ticks between false alarms."""
    if not 1 < ticks < math.inf:
        msg = f"a run length is more than one tick (a month of five-minute ticks is 8640), not {ticks}"
        raise ValueError(msg)
    return math.log(ticks)


class Detector(msgspec.Struct, frozen=True):
    """One stream's detector with its two lines, both in ticks: `warn` tells people, `act` pauses or rolls back."""

    warn: float
    act: float
    state: tuple[float, ...] = START

    def __post_init__(self) -> None:
        if not line(self.warn) <= line(self.act):
            msg = f"the line to warn at ({self.warn} ticks) lies at or below the line to act at ({self.act})"
            raise ValueError(msg)

    def tick(self, log_e: Array | None = None) -> Detector:
        """Return the detector after one tick; None where nothing matured in it."""
        gains = np.zeros(len(WEIGHTS)) if log_e is None else np.asarray(log_e, dtype=np.float64)
        if gains.shape != (len(WEIGHTS),) or not bool(np.isfinite(gains).all()):
            msg = f"a tick gives {len(WEIGHTS)} finite log e-values, one for each effect, not {gains.tolist()}"
            raise ValueError(msg)
        after = step(np.asarray(self.state), gains)
        return msgspec.structs.replace(self, state=tuple(after.tolist()))

    @property
    def level(self) -> float:
        """Return ln sum_k w_k M_k; minus infinity before the first tick."""
        return float(level(np.asarray(self.state)))

    @property
    def alarm(self) -> str:
        """Say "act", "warn" or nothing."""
        if self.level >= line(self.act):
            return "act"
        return "warn" if self.level >= line(self.warn) else ""
