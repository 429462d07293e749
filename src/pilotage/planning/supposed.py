"""What is supposed about a metric's values where the file does not say it; every supposition comes with its words."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from pilotage.decision.comparison import scale_of
from pilotage.decision.method import Bounded, Rate, Unbounded, method_of
from pilotage.decision.verdict import SEEN_BY_THE_GATEWAY
from pilotage.stats.demand import KNOWN, Law, expected_rate
from pilotage.stats.special import beta_cdf

if TYPE_CHECKING:
    from pilotage.spec.metric import Goal, Guardrail, Metric

STEADINESS = 3.0
"""a + b of the supposed beta distribution: its standard deviation is half of the most that its mean allows."""
_PARTS = 24
_NOTHING_KNOWN = 4.0


class Unplannable(ValueError):
    """Nothing can be said about a metric; the message says what the file would have to say."""


class Supposed(msgspec.Struct, frozen=True):
    """A metric's level today and the spread of its values, `assumed` where the file does not give them."""

    today: float
    method: Literal["rate", "bounded", "moments"]
    low: float
    high: float
    edges: tuple[float, ...] = ()
    guess: float | None = None
    known: float = KNOWN
    assumed: tuple[str, ...] = ()

    def law(self, effect: float) -> Law:
        """Return the law under which the candidate's mean differs from today's by `effect`."""
        after = self.today + effect
        if not self.low <= after <= self.high or (self.method == "moments" and after <= 0):
            msg = f"{self.today:g} today and {effect:+g} would be {after:g}, beyond {self.low:g} to {self.high:g}"
            raise Unplannable(msg)
        if self.method == "rate":
            return Law((0.0, 1.0), (1 - self.today, self.today), (1 - after, after))
        if self.method == "bounded":
            return Law(self.edges, *(beta_hats(self.edges, mean) for mean in (self.today, after)))
        ones, none = (1 / _PARTS,) * _PARTS, (0.0,) * _PARTS
        middles = _exponential_middles()
        values = (*(middles * self.today).tolist(), *(middles * after).tolist())
        return Law(values, ones + none, none + ones)

    def deviation(self) -> float:
        """Return the standard deviation of a unit's value today."""
        return math.sqrt(self.law(0.0).variances[0])


def supposed(metric: Goal | Guardrail) -> Supposed:
    """Return what a plan supposes about a metric; raise Unplannable where nothing sensible can be."""
    match method_of(metric):
        case Rate():
            return _rate(metric)
        case Bounded(scale):
            return _bounded(metric, tuple(scale.points.tolist()))
        case Unbounded():
            return _unbounded(metric)


def _unbounded(metric: Metric) -> Supposed:
    if metric.today is None or metric.today <= 0:
        msg = "its values have no bound, so nothing can be said before there are some; give it a cap (high), or today"
        raise Unplannable(msg)
    says = f"values without a bound: a standard deviation as large as today's {metric.today:g} is assumed; a cap (high) makes the test exact"
    return Supposed(metric.today, "moments", -math.inf, math.inf, assumed=(says,))


def _rate(metric: Goal | Guardrail) -> Supposed:
    least = (metric.margin or metric.minimum_effect or 0.02) / 10
    if metric.today is None and metric.source not in SEEN_BY_THE_GATEWAY:
        says = "today's rate is not in the file: one half is assumed, the worst case"
        return Supposed(0.5, "rate", 0.0, 1.0, guess=0.5, known=_NOTHING_KNOWN, assumed=(says,))
    today = metric.today or 0.0
    if today < least or today > 1 - least:
        kept = least if today < least else 1 - least
        what = "is not in the file" if metric.today is None else f"is given as {100 * metric.today:g} %"
        return Supposed(
            kept,
            "rate",
            0.0,
            1.0,
            guess=expected_rate(today, scale_of(metric)),
            assumed=(f"today's rate {what}: {100 * kept:.2g} % is assumed",),
        )
    return Supposed(today, "rate", 0.0, 1.0, guess=expected_rate(today, scale_of(metric)))


def _bounded(metric: Metric, edges: tuple[float, ...]) -> Supposed:
    assumed = []
    low, high = edges[0], edges[-1]
    today = metric.today
    if today is None:
        today = (low + high) / 2
        assumed.append(f"today's level is not in the file: the middle of its range, {today:g}, is assumed")
    rim = (high - low) / 100
    today = min(max(today, low + rim), high - rim)
    deviation = math.sqrt((today - low) * (high - today) / (STEADINESS + 1))
    quarter = math.isclose(deviation, (high - low) / 4, rel_tol=0.02)
    words = "a quarter of its range" if quarter else "half of the most that its level allows"
    assumed.append(f"a standard deviation of {deviation:.2g} is assumed ({words})")
    return Supposed(today, "bounded", low, high, edges, assumed=tuple(assumed))


@lru_cache(maxsize=4096)
def beta_hats(edges: tuple[float, ...], mean: float) -> tuple[float, ...]:
    """Return the chances of the edges when a beta distribution is spread over neighbours: its mean is kept exactly."""
    points = np.asarray(edges)
    low, width = points[0], points[-1] - points[0]
    m = min(max((mean - low) / width, 1e-6), 1 - 1e-6)
    a, b = STEADINESS * m, STEADINESS * (1 - m)
    at = (points - low) / width
    mass = np.diff([beta_cdf(float(x), a, b) for x in at])
    moment = np.diff([m * beta_cdf(float(x), a + 1, b) for x in at])
    weights = np.zeros(len(points))
    weights[:-1] += (mass * at[1:] - moment) / np.diff(at)
    weights[1:] += (moment - mass * at[:-1]) / np.diff(at)
    weights = np.maximum(weights, 0.0)
    return tuple((weights / weights.sum()).tolist())


def _exponential_middles() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the means of equally likely parts of the exponential distribution of mean 1; the last part is its tail."""
    cuts = np.concatenate((-np.log1p(-np.arange(_PARTS) / _PARTS), [np.inf]))
    below = np.append((cuts[:-1] + 1) * np.exp(-cuts[:-1]), 0.0)
    return np.asarray((below[:-1] - below[1:]) * _PARTS)
