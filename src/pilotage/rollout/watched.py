"""What is watched of every unit: a metric of the file, reduced to what counting needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotage.decision.verdict import judged

if TYPE_CHECKING:
    from pilotage.records import Finished
    from pilotage.spec.use_case import UseCase

MILLION = 1_000_000
_DEAREST = 10**18


@dataclass(frozen=True, slots=True)
class Watched:
    """One metric. Values of requests and units are floats on the metric's scale; sums are whole millionths of it."""

    name: str
    source: str
    kind: str
    high: float
    silence: float | None
    matures_after: int
    limit: int | None

    def in_time(self, exposed: int, at: int) -> bool:
        """Return whether something that happened at `at` counts; without `matures_after`, everything does."""
        return not self.matures_after or at <= exposed + self.matures_after

    def seen(self, finished: Finished | None) -> float | None:
        """Return what the gateway saw of one settled request; None as the request means that it never ended.

        Of a call that the application made itself (no attempt is recorded) it saw no cost. An error, a fallback or a
        slow answer of such a call is told by feedback, which counts beside what is seen here.
        """
        match self.source:
            case "errors":
                return float(finished is None or bool(finished.error))
            case "fallbacks":
                return float(finished is not None and finished.fallback)
            case "slow":
                return float(finished is None or (self.limit is not None and finished.duration > self.limit))
            case "cost":
                if finished is None or not finished.attempts:
                    return None
                return min(finished.cost, _DEAREST) / MILLION
            case _:
                return None

    def value(self, n: int, total: int) -> int | None:
        """Return one unit's value in millionths: whether any (binary), the sum (count), else the mean.

        None: it does not count, for nothing is known of it and the file gives silence no value.
        """
        if not n:
            return None if self.silence is None or self.source != "feedback" else round(self.silence * MILLION)
        match self.kind:
            case "binary":
                return MILLION if total > 0 else 0
            case "count":
                return total
            case _:
                return round(total / n)


def watched(spec: UseCase) -> tuple[Watched, ...]:
    """Return everything that a use case's rollout is judged on, and its signals."""
    return tuple(
        Watched(
            name=name,
            source=metric.source,
            kind=metric.kind,
            high=metric.bounds[1],
            silence=metric.silence,
            matures_after=metric.matures_after,
            limit=metric.limit,
        )
        for name, metric in {**spec.signals, **judged(spec)}.items()
    )
