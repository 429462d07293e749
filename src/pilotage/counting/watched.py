"""What is watched of every unit: a metric of the file, reduced to what counting needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pilotage.decision.method import Rate, method_of
from pilotage.decision.verdict import judged
from pilotage.spec.route import GREATEST

if TYPE_CHECKING:
    from pilotage.decision.method import Method
    from pilotage.records import Finished
    from pilotage.spec.use_case import UseCase

MILLION = 1_000_000
TOLD = "|told"
"""Ends the name of what tells whether a metric was reported on."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One metric. All values are whole millionths on its scale, so that no order of adding changes a sum.

    `most` is the greatest that counts. One that is `of` another is about whether anything was said of that at all.
    """

    name: str
    source: str
    kind: str
    most: int
    silence: float | None
    matures_after: int
    limit: int | None
    method: Method
    of: str = ""

    @property
    def by_gateway(self) -> bool:
        """Whether the gateway itself sees it."""
        return self.source != "feedback"

    def seen(self, finished: Finished | None) -> int | None:
        """Return what the gateway saw of one settled request; None as the request means that it never ended.

        Of a call that the application made itself (no attempt is recorded) it saw no cost. An error, a fallback or a
        slow answer of such a call is told by feedback, which counts beside what is seen here.
        """
        match self.source:
            case "errors":
                return MILLION if finished is None or finished.error else 0
            case "fallbacks":
                return MILLION if finished is not None and finished.fallback else 0
            case "slow":
                slow = finished is None or (self.limit is not None and finished.duration > self.limit)
                return MILLION if slow else 0
            case "filtered":
                return MILLION if finished is not None and finished.hits else 0
            case "cost":
                return min(finished.cost, self.most) if finished is not None and finished.attempts else None
            case _:
                return None

    def fixed(self, value: float) -> int:
        """Return a value in millionths, within what can be computed with."""
        return min(round(max(-GREATEST, min(value, GREATEST)) * MILLION), self.most)

    def value(self, n: int, total: int) -> int | None:
        """Return one unit's value of n values: whether any (binary), the sum (count), else the mean.

        None: it does not count, for nothing is known of it and the file gives silence no value.
        """
        if not n:
            return None if self.silence is None or self.by_gateway else round(self.silence * MILLION)
        if self.of:
            return MILLION
        match self.kind:
            case "binary":
                return MILLION if total > 0 else 0
            case "count":
                return total
            case _:
                # Whole numbers only, a half upwards: a float would not hold the sum of many large values.
                return (2 * total + n) // (2 * n)


def told(metric: Watched) -> Watched:
    """Return what tells whether units say anything about a metric of feedback."""
    return replace(metric, name=f"{metric.name}{TOLD}", kind="binary", silence=0.0, method=Rate(), of=metric.name)


def watched(spec: UseCase) -> tuple[Watched, ...]:
    """Return everything that a use case's rollout is judged on, and its signals."""
    return tuple(
        Watched(
            name=name,
            source=metric.source,
            kind=metric.kind,
            most=round(min(metric.bounds[1], GREATEST) * MILLION),
            silence=metric.silence,
            matures_after=metric.matures_after,
            limit=metric.limit,
            method=method_of(metric),
        )
        for name, metric in {**spec.signals, **judged(spec)}.items()
    )
