"""One open unit: its first exposure, what it asked for, and what was said of it. As light as can be: there are many.

The structs are not tracked by the garbage collector, so none of them may lead back to itself.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.counting.watched import Watched

NOTHING = -1
"""Stands for no value among what the gateway saw, of which nothing is below 0."""


class Outcome(msgspec.Struct, gc=False, eq=False):
    """One feedback, `metric` by its place among those watched. VOID: another one with the same id came before it."""

    id: int
    metric: int
    at: int
    received: int
    value: int

    def precedes(self, other: Outcome) -> bool:
        """Return whether this is the one that counts of two with the same id, whichever is read first."""
        mine = (self.received, self.at, self.metric, self.value)
        return mine < (other.received, other.at, other.metric, other.value)


VOID = -1


class Others(msgspec.Struct, gc=False, eq=False):
    """A unit's requests beside its first. `ids` are all of them, `unsettled` maps an id to (start, deadline).

    `log` has a row for each that ended: its start, then what the gateway saw of it, metric by metric.
    """

    ids: array[int]
    log: array[int]
    unsettled: dict[int, tuple[int, int]]


class Unit(msgspec.Struct, gc=False, eq=False):
    """`at`, `id`, `arm` (-1: of no release of this rollout), `generation` and `deadline` are its first request's.

    `segment` is what was said of its groups then. `seen` is what the gateway saw of that one (None: it has not ended). `flag` tells that the application made the call
    itself, and has until the deadline to say what came of it. Ids and `hash` are 64-bit hashes.
    """

    hash: int
    id: int
    at: int
    arm: int
    generation: int
    deadline: int
    flag: bool
    segment: str = ""
    seen: tuple[int, ...] | None = None
    others: Others | None = None
    outcomes: list[Outcome] | None = None
    keys: list[int] | None = None

    def ids(self) -> Iterator[int]:
        yield self.id
        if self.others is not None:
            yield from self.others.ids

    def add(self, request: int, at: int, deadline: int, seen: tuple[int, ...] | None = None) -> None:
        """Add a request that is not its first one; `seen` if that is known already."""
        others = self.others
        if others is None:
            others = self.others = Others(array("Q"), array("q"), {})
        others.ids.append(request)
        if seen is None:
            others.unsettled[request] = (at, deadline)
        else:
            others.log.extend((at, *seen))

    def settle(self, request: int, at: int, seen: tuple[int, ...], expired: tuple[int, ...]) -> None:
        """Take in that one of its requests ended; past its deadline that is too late. An end that comes again is none."""
        if request == self.id:
            if self.seen is None:
                self.seen = seen if at <= self.deadline else expired
        elif self.others is not None:
            found = self.others.unsettled.pop(request, None)
            if found is not None:
                began, deadline = found
                self.others.log.extend((began, *(seen if at <= deadline else expired)))

    def settled(self, period: int, watermark: int) -> bool:
        """Return whether everything is known that the gateway sees of it within `period` (0: of its first request)."""
        if self.deadline > watermark and (self.seen is None or (self.flag and not period)):
            return False
        if not period or self.others is None:
            return True
        until = self.at + period
        return all(deadline <= watermark or at > until for at, deadline in self.others.unsettled.values())

    def value(self, index: int, metric: Watched, column: int, expired: tuple[int, ...]) -> int | None:
        """Return its value in millionths. `column` is the metric's among those that the gateway sees, `expired` their row.

        A call that the application makes itself may be told of until its deadline, where the metric asks for no longer.
        """
        n = total = 0
        until = self.at + metric.matures_after
        if metric.by_gateway:
            for row in self._rows(metric.matures_after, expired):
                if row[column] != NOTHING:
                    n, total = n + 1, total + row[column]
            if self.flag and not metric.matures_after:
                until = self.deadline
        if self.outcomes is not None:
            for outcome in self.outcomes:
                if outcome.metric == index and self.at <= outcome.at <= until:
                    n, total = n + 1, total + outcome.value
        return metric.value(n, total)

    def _rows(self, period: int, expired: tuple[int, ...]) -> Iterator[tuple[int, ...] | array[int]]:
        yield self.seen if self.seen is not None else expired
        if not period or self.others is None:
            return
        until, log, width = self.at + period, self.others.log, len(expired) + 1
        for start in range(0, len(log), width):
            if log[start] <= until:
                yield log[start + 1 : start + width]
        for at, _ in self.others.unsettled.values():
            if at <= until:
                yield expired
