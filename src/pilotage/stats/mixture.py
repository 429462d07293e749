"""The mixture over five effects that makes one e-process of five, in the log domain.

Each component k bets on the effect null + k s and is an e-process of its own; the weighted mean of e-processes is one
too (de la Pena, Klass & Lai 2004, Ann. Probab. 32:1902). An effect between s / 2 and 2.5 s costs little more than the
right bet would, and none costs more than ln(1 / weight).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MULTIPLES = (0.5, 0.75, 1.0, 1.5, 2.5)
WEIGHTS = (0.15, 0.2, 0.3, 0.2, 0.15)
START = (0.0,) * len(WEIGHTS)
"""The log-wealth of the components before any unit."""

_LOG_WEIGHTS = np.log(WEIGHTS)


def offsets(scale: float) -> Array:
    """Return k s for every component: how far its bet lies above the null."""
    return np.asarray(MULTIPLES) * scale


def log_mixture(log_wealth: ArrayLike) -> Array:
    """Return ln sum_k w_k exp(L_k) over the last axis, without overflow."""
    terms = np.asarray(log_wealth, dtype=np.float64) + _LOG_WEIGHTS
    top = terms.max(axis=-1)
    return np.asarray(top + np.log(np.exp(terms - top[..., None]).sum(axis=-1)))


def log_e(log_wealth: tuple[float, ...]) -> float:
    """Return the log of the mixture's e-value."""
    return float(log_mixture(log_wealth))


def grown(log_wealth: tuple[float, ...], increments: Array) -> tuple[float, ...]:
    """Return the log-wealth after one batch's increments."""
    return tuple((np.asarray(log_wealth) + increments).tolist())
