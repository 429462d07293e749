"""The units of one rollout: who was exposed to what first, and what came of it, as running counts.

Every number is a function of the set of events alone, whatever order they were read in, so that a rebuilt observer
gives the same numbers as one that never stopped. Values are summed as whole millionths, which no order can change.

A unit counts once, in the arm and step of its first exposure. What it meets later in the other arm (a rising share
moves some of the baseline's units over) counts in neither.

While the controller is not heard of, everybody gets the baseline, at a share of 0: no chance decided that. Such a
request belongs to no arm. It is nobody's first exposure (who comes back later is enrolled then, as someone who knew the
baseline before), and it ends the time in which an outcome that names only the unit can be told to be of its arm: for the
baseline's units too, or they would go on counting where the candidate's do not.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from pilotage.decision.observation import ArmCounts, Exposed, Stratum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.records import Feedback, Finished, Started
    from pilotage.rollout.watched import Watched

MILLION = 1_000_000
BASELINE, CANDIDATE, NEITHER = "baseline", "candidate", ""


@dataclass(slots=True, eq=False)
class Request:
    """One inference of a unit. `expired`: its deadline passed and no end of it was read."""

    id: str
    unit: Unit
    arm: str
    step: int
    at: int
    finished: Finished | None = None
    expired: bool = False

    def before(self, other: Request) -> bool:
        return (self.at, self.id) < (other.at, other.id)

    def crosses(self, first: Request) -> bool:
        """Return whether its unit, first exposed by `first`, left its arm with this request."""
        return self.arm != first.arm and first.before(self)


@dataclass(slots=True, eq=False)
class Unit:
    """`tallies` holds [how many values, their sum] by metric; `counted` what is in the counts now."""

    first: Request | None = None
    crossed: int | None = None
    requests: list[Request] = field(default_factory=list)
    outcomes: list[tuple[Feedback, Request | None]] = field(default_factory=list)
    tallies: dict[str, list[int]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


class Units:
    """Counts by metric, arm and step, kept up event by event."""

    def __init__(self, metrics: Iterable[Watched]) -> None:
        self._metrics = {metric.name: metric for metric in metrics}
        self._sources = [metric for metric in self._metrics.values() if metric.source != "feedback"]
        self._periods = {metric.matures_after for metric in self._metrics.values()}
        self._units: dict[str, Unit] = {}
        self._requests: dict[str, Request] = {}
        self._keys: dict[str, Request] = {}
        self._feedback: set[str] = set()
        self._unheard = {metric.name for metric in self._metrics.values() if metric.source == "feedback"}
        self._exposed: dict[tuple[str, int], int] = {}
        self._cells: dict[str, dict[tuple[str, int], list[int]]] = {name: {} for name in self._metrics}
        self._due: list[tuple[int, int, Request | Unit]] = []
        self._tie = count()
        self._watermark = 0

    def started(self, event: Started) -> None:
        if event.id in self._requests:
            return
        unit = self._units.setdefault(event.unit, Unit())
        request = Request(event.id, unit, event.arm if event.share else NEITHER, event.step, event.at)
        self._requests[event.id] = request
        unit.requests.append(request)
        if event.key:
            other = self._keys.get(event.key)
            if other is None or (request.at, request.id) < (other.at, other.id):
                self._keys[event.key] = request
        heapq.heappush(self._due, (event.deadline, next(self._tie), request))
        first = unit.first
        if request.arm != NEITHER and (first is None or request.before(first)):
            self._expose(unit, request)
        elif first is not None and request.crosses(first) and (unit.crossed is None or request.at < unit.crossed):
            unit.crossed = request.at
            self._recompute(unit)

    def finished(self, event: Finished) -> bool:
        """Return whether its start is known here."""
        request = self._requests.get(event.id)
        if request is None:
            return False
        if request.finished is None:
            self._settle(request, -1)
            request.finished = event
            self._settle(request, 1)
        return True

    def feedback(self, event: Feedback) -> bool:
        """Return whether it joins a request or unit that is known here. The same id again changes nothing."""
        request: Request | None = None
        if event.inference:
            request = self._requests.get(event.inference)
        elif event.key:
            request = self._keys.get(event.key)
        unit = request.unit if request else self._units.get(event.unit) if event.unit else None
        if unit is None:
            return False
        if event.id not in self._feedback and event.metric in self._metrics:
            self._feedback.add(event.id)
            self._unheard.discard(event.metric)
            unit.outcomes.append((event, request))
            if self._belongs(unit, event, request):
                self._tally(unit, self._metrics[event.metric], event.value, 1)
        return True

    def advance(self, watermark: int) -> None:
        """Let time pass: units mature, and requests without an end are errors once their deadline is behind."""
        self._watermark = max(self._watermark, watermark)
        while self._due and self._due[0][0] <= self._watermark:
            entry = heapq.heappop(self._due)[2]
            if isinstance(entry, Unit):
                for metric in self._metrics.values():
                    self._count(entry, metric)
            elif entry.finished is None:
                entry.expired = True
                self._settle(entry, 1)

    def unheard(self) -> tuple[str, ...]:
        """Return the metrics that live on feedback and have had none."""
        return tuple(sorted(self._unheard))

    def exposed(self, step: int) -> Exposed:
        return Exposed(self._exposed.get((BASELINE, step), 0), self._exposed.get((CANDIDATE, step), 0))

    def strata(self) -> dict[str, tuple[Stratum, ...]]:
        steps = sorted({step for _, step in self._exposed})
        return {
            name: tuple(
                Stratum(step=step, baseline=self._arm(name, BASELINE, step), candidate=self._arm(name, CANDIDATE, step))
                for step in steps
            )
            for name in self._metrics
        }

    def _arm(self, name: str, arm: str, step: int) -> ArmCounts:
        matured, total, squares = self._cells[name].get((arm, step), (0, 0, 0))
        return ArmCounts(
            units=self._exposed.get((arm, step), 0),
            matured=matured,
            total=total / MILLION,
            squares=squares / MILLION**2,
        )

    def _expose(self, unit: Unit, request: Request) -> None:
        """Make this the unit's first exposure; an earlier one that is read later takes its place."""
        if unit.first is not None:
            self._withdraw(unit)
            self._exposed[unit.first.arm, unit.first.step] -= 1
        unit.first = request
        cell = (request.arm, request.step)
        self._exposed[cell] = self._exposed.get(cell, 0) + 1
        for period in self._periods:
            heapq.heappush(self._due, (request.at + period, next(self._tie), unit))
        unit.crossed = min((other.at for other in unit.requests if other.crosses(request)), default=None)
        self._recompute(unit)

    def _recompute(self, unit: Unit) -> None:
        self._withdraw(unit)
        unit.tallies.clear()
        for request in unit.requests:
            self._settle(request, 1)
        for event, request_of in unit.outcomes:
            if self._belongs(unit, event, request_of):
                self._tally(unit, self._metrics[event.metric], event.value, 1)
        for metric in self._metrics.values():
            self._count(unit, metric)

    def _withdraw(self, unit: Unit) -> None:
        for name in list(unit.counted):
            self._put(unit, name, None)

    def _belongs(self, unit: Unit, event: Feedback, request: Request | None) -> bool:
        """Return whether an outcome is of the unit's own arm, and happened before its value is final."""
        first = unit.first
        if first is None:
            return False
        if request is not None:
            if request.arm != first.arm:
                return False
        elif event.at < first.at or (unit.crossed is not None and event.at >= unit.crossed):
            return False
        return self._metrics[event.metric].in_time(first.at, event.at)

    def _settle(self, request: Request, sign: int) -> None:
        """Add (or with -1 take back) what the gateway itself saw of one request."""
        first = request.unit.first
        if first is None or request.arm != first.arm or (request.finished is None and not request.expired):
            return
        for metric in self._sources:
            value = metric.seen(request.finished)
            if value is not None and metric.in_time(first.at, request.at):
                self._tally(request.unit, metric, value, sign)

    def _tally(self, unit: Unit, metric: Watched, value: float, sign: int) -> None:
        tally = unit.tallies.setdefault(metric.name, [0, 0])
        tally[0] += sign
        tally[1] += sign * round(min(value, metric.high) * MILLION)
        self._count(unit, metric)

    def _count(self, unit: Unit, metric: Watched) -> None:
        first = unit.first
        value: int | None = None
        if first is not None and first.at + metric.matures_after <= self._watermark:
            value = metric.value(*unit.tallies.get(metric.name, (0, 0)))
        self._put(unit, metric.name, value)

    def _put(self, unit: Unit, name: str, value: int | None) -> None:
        """Put a unit's value (millionths) into the counts in place of the one there; None takes it out."""
        old = unit.counted.get(name)
        first = unit.first
        if old == value or first is None:
            return
        cell = self._cells[name].setdefault((first.arm, first.step), [0, 0, 0])
        for sign, figure in ((-1, old), (1, value)):
            if figure is not None:
                cell[0] += sign
                cell[1] += sign * figure
                cell[2] += sign * figure * figure
        if value is None:
            del unit.counted[name]
        else:
            unit.counted[name] = value
