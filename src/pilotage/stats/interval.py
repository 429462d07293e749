"""Confidence intervals for one sample, two samples and pairs, measured once at a fixed size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.stats.special import beta_quantile, normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


class Interval(msgspec.Struct, frozen=True):
    """`value` with its two-sided bounds, on the scale of the data; `n` is what it rests on (cases, units or pairs)."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a rate (Wilson 1927, JASA 22).

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    """
    _check_binomial(successes, n)
    z = _z(confidence)
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The ends are exact where nothing or everything succeeded; rounding would put them a hair off.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return Interval(p, low, high, n)


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the exact interval of a rate (Clopper & Pearson 1934, Biometrika 26), by beta quantiles."""
    _check_binomial(successes, n)
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, successes, n - successes + 1) if successes else 0.0
    return Interval(successes / n, low, _exact_upper(successes, n, tail), n)


def clopper_pearson_upper(successes: int, n: int, confidence: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a rate: with nothing in n, 1 - (1 - confidence)^(1/n)."""
    _check_binomial(successes, n)
    return _exact_upper(successes, n, 1 - confidence)


def newcombe(successes: int, n: int, other: int, other_n: int, confidence: float = 0.95) -> Interval:
    """Return the interval of p1 - p2 for independent rates (Newcombe 1998, Stat. Med. 17:873, method 10).

    With d = p1 - p2 and Wilson bounds l, u of each:
    d - sqrt((p1-l1)^2 + (u2-p2)^2)  to  d + sqrt((u1-p1)^2 + (p2-l2)^2)
    """
    one, two = wilson(successes, n, confidence), wilson(other, other_n, confidence)
    difference = one.value - two.value
    low = difference - math.hypot(one.value - one.low, two.high - two.value)
    high = difference + math.hypot(one.high - one.value, two.value - two.low)
    return Interval(difference, low, high, n + other_n)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return Student's interval of a mean: m -+ t(n-1) s / sqrt(n). Needs two values (Student 1908, Biometrika 6)."""
    data = np.asarray(values, dtype=np.float64)
    n = len(data)
    if n < 2:
        msg = f"a mean's interval needs two values or more, not {n}"
        raise ValueError(msg)
    mean = float(data.mean())
    half = t_quantile(0.5 + confidence / 2, n - 1) * float(data.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(
    candidate: Sequence[float], baseline: Sequence[float], *, span: float | None = 1.0, confidence: float = 0.95
) -> Interval:
    """Return the interval of the mean of candidate - baseline over the same cases.

    `span` is the width of the scale (1 for scores from 0 to 1). Where a pair differs by all of it or not at all, as rates
    do, the interval is `tango`'s. Otherwise two pairs are added, half a pair at +span, half at -span and one at 0 (as
    Agresti & Min, 2005, Stat. Med. 24:729, do for rates), so that a handful of equal pairs is not taken for certainty.
    Without a span the interval is Student's on the differences.
    """
    if len(candidate) != len(baseline):
        msg = f"pairs need as many candidate values ({len(candidate)}) as baseline values ({len(baseline)})"
        raise ValueError(msg)
    difference = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if span is None:
        return mean_interval(difference.tolist(), confidence)
    n = len(difference)
    if n == 0:
        msg = "a paired difference needs a pair or more"
        raise ValueError(msg)
    mean, square = float(difference.mean()), float(np.square(difference).mean())
    low, high = difference_bounds(mean, square, n, _z(confidence), span=span, whole=of_rates(difference, span))
    return Interval(mean, low, high, n)


def of_rates(differences: NDArray[np.float64], span: float) -> bool:
    """Return whether each pair differs by all of the scale or not at all."""
    return bool(np.isin(np.abs(differences), (0.0, span)).all())


def difference_bounds(
    mean: float, square: float, n: float, z: float, *, span: float, whole: bool
) -> tuple[float, float]:
    """Return the bounds of a mean difference from its mean, its mean square and the number of pairs, which may be an effective one.

    `whole`: each pair differs by `span` or not at all.
    """
    if whole:
        unequal, more = square / span**2 * n, mean / span * n
        low, high = tango((unequal + more) / 2, (unequal - more) / 2, n, z)
        return low * span, high * span
    added = n + 2
    centre = mean * n / added
    half = z * math.sqrt(((square * n + span * span) / added - centre * centre) / added)
    return max(-span, centre - half), min(span, centre + half)


def tango(better: float, worse: float, n: float, z: float) -> tuple[float, float]:
    """Return the score interval of p12 - p21 (Tango 1998, Stat. Med. 17:891, eq. 8), from the pairs in which one side alone succeeded.

    All d with |b - c - n d| <= z sqrt(n (2 q + d (1 - d))), q the most likely p21 where the difference is d:
    q = (sqrt(B^2 + 8 n c d (1 - d)) - B) / 4n, B = (2n - b + c) d - b - c. Counts may be fractions (an effective n).
    """

    def beyond(d: float) -> float:
        at = (2 * n - better + worse) * d - better - worse
        q = (math.sqrt(max(0.0, at * at + 8 * n * worse * d * (1 - d))) - at) / (4 * n)
        return abs(better - worse - n * d) - z * math.sqrt(n * max(0.0, 2 * q + d * (1 - d)))

    middle = min(1.0, max(-1.0, (better - worse) / n))
    return _edge(beyond, middle, -1.0), _edge(beyond, middle, 1.0)


def _edge(beyond: Callable[[float], float], inside: float, outside: float) -> float:
    """Return where a bound that holds `inside` ceases to hold on the way `outside`, by bisection."""
    if beyond(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if beyond(middle) <= 0 else (inside, middle)
    return inside


def _exact_upper(successes: int, n: int, tail: float) -> float:
    return beta_quantile(1 - tail, successes + 1, n - successes) if successes < n else 1.0


def _z(confidence: float) -> float:
    return normal_quantile(0.5 + confidence / 2)


def _check_binomial(successes: int, n: int) -> None:
    if not 0 <= successes <= n or n == 0:
        msg = f"a rate needs 0 <= successes <= n and n > 0, not {successes} of {n}"
        raise ValueError(msg)
