"""When a mixture over five bets will have reached its bar: the first passage of a Brownian motion over a curve.

The log-wealths of the five components are near L_k = M_k + r_k X, with X a Brownian motion, M_k the drift and r_k the
slope, for all of them bet on the same sums. So the mixture reaches the bar when X reaches the curve c at which
ln sum w_k exp(M_k + r_k c) = bar. With F the chance of having done so and Q the upper tail of the normal distribution,

    Q(c(t) / sqrt(t)) = integral over s <= t of Q((c(t) - c(s)) / sqrt(t - s)) dF(s)

(Peskir 2002, J. Appl. Probab. 39, "On integral equations arising in the first-passage problem for Brownian motion",
equation 1.1 for n = 0), which is solved step by step. One bet alone gives the known formula for a straight line
(Siegmund 1985, Sequential Analysis, equation 3.15), which is some 12 % too hopeful about the slower part of the paths:
they are carried by the small bets of the mixture, not by the one that fits best.
"""

from __future__ import annotations

import math

import numpy as np

from pilotage.stats.mixture import Array, log_mixture

_HALVINGS = 60
_erfc = np.frompyfunc(math.erfc, 1, 1)


def chances(time: Array, drift: Array, slope: Array, bar: float) -> Array:
    """Return the chance of having reached the bar by every point of `time` (Brownian time, rising, above 0): shape (N,).

    `drift` and `slope` are those of the components at these points, of shape (N, 5).
    """
    curve = _curve(time, drift, slope, bar)
    before = np.concatenate(([0.0], time[:-1]))
    middle = (before + time) / 2
    between = np.concatenate((curve[:1], (curve[:-1] + curve[1:]) / 2))
    past = _tail(curve / np.sqrt(time))
    gained = np.zeros(len(time))
    for i in range(len(time)):
        reach = _tail((curve[i] - between[: i + 1]) / np.sqrt(time[i] - middle[: i + 1]))
        gained[i] = max(0.0, (past[i] - reach[:i] @ gained[:i]) / reach[i])
    return np.minimum(np.cumsum(gained), 1.0)


def _curve(time: Array, drift: Array, slope: Array, bar: float) -> Array:
    """Return the X at which the mixture stands at the bar, by bisection; it rises with X, for every slope is above 0."""
    far = 40 * math.sqrt(float(time[-1])) + 40
    low, high = np.full(len(time), -far), np.full(len(time), far)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = log_mixture(drift + slope * middle[:, None]) > bar
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray((low + high) / 2)


def _tail(x: Array) -> Array:
    return np.asarray(_erfc(x / math.sqrt(2)), dtype=np.float64) / 2
