"""The few special functions that intervals need, in plain floats."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NORMAL = NormalDist()
_TINY = 1e-300
_PRECISION = 1e-15


def normal_quantile(p: float) -> float:
    """Return z with P(Z <= z) = p for a standard normal Z and 0 < p < 1."""
    return _NORMAL.inv_cdf(p)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0.

    The continued fraction of DLMF 8.17.22, evaluated by Lentz's method on the side where it converges fast.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    ratio, forward, backward = 1.0, 1.0, 0.0
    for index in range(100_000):
        m = index // 2
        if index == 0:
            term = 1.0
        elif index % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        backward = 1 / _away_from_zero(1 + term * backward)
        forward = _away_from_zero(1 + term / forward)
        ratio *= forward * backward
        if abs(forward * backward - 1) < _PRECISION:
            break
    return min(1.0, max(0.0, front * (ratio - 1)))


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return x with I_x(a, b) = p, by bisection to the last bit."""
    return _bisect(lambda x: beta_cdf(x, a, b), p, 0.0, 1.0)


def t_quantile(p: float, freedom: float) -> float:
    """Return t with P(T <= t) = p for Student's T; `freedom` may be any number above 0, or infinite."""
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    if freedom > 1e7:  # the two agree to seven digits there
        return normal_quantile(p)
    if p == 0.5:
        return 0.0
    # P(|T| > t) = I_x(freedom / 2, 1 / 2) with x = freedom / (freedom + t^2).
    x = beta_quantile(2 * (1 - p), freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x) if x > 0 else math.inf


def _bisect(function: Callable[[float], float], goal: float, low: float, high: float) -> float:
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if function(middle) < goal:
            low = middle
        else:
            high = middle
