"""The units of one rollout on their way into its batches: who was exposed to what first, and what came of it.

A unit enters a metric once: in its generation, when its window has closed, and in order of maturity. Each metric has a
frontier, the maturity up to which units have entered; a unit that is read later with such a maturity is late and never
enters. So what enters follows from the events, and where the frontiers stand: after a restart, with the frontiers
of the recorded batches, reading the same events in whatever order goes on as if nothing had happened.

Memory grows with the units that are open in some metric (about 400 bytes each with one request, and 200 for each more
or for each feedback), and by 8 bytes for every unit that is closed in all of them. `bench/ingest.py` measures both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest as hashed

from pilotage.counting.closed import Closed
from pilotage.counting.groups import Groups
from pilotage.counting.lane import START, Gathered, Lane, lanes
from pilotage.counting.order import SPAN, Timeline, hash_of
from pilotage.counting.register import Register
from pilotage.counting.sight import Sight
from pilotage.counting.splits import Blind, Splits
from pilotage.counting.unit import VOID, Outcome, Unit
from pilotage.decision.batch import BASELINE, EXPOSED, Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pilotage.counting.watched import Watched
    from pilotage.decision.batch import Cell
    from pilotage.records import Feedback, Finished, Started
    from pilotage.status import Allocated

NO_ARM = -1
FLAG = "flag"
_GONE = -1
_FRESH = 1 << 16


class Tracker:
    """Takes events as they are read, gives what has matured. `resumed` is the recorded frontier by metric."""

    def __init__(
        self,
        rollout: str,
        candidates: tuple[str, ...],
        metrics: Sequence[Watched],
        *,
        resumed: Mapping[str, int] | None = None,
        segments: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        frontier = resumed or {}
        self._rollout = rollout
        self._arms = {release: arm for arm, release in enumerate(candidates, 1)}
        self._index = {metric.name: index for index, metric in enumerate(metrics) if not metric.of}
        self._metrics = tuple(metrics)
        self._sight = Sight(metrics)
        self._groups = Groups(segments or {})
        self._lanes = lanes(metrics, frontier)
        self._lane_of = {index: lane for lane in self._lanes for index, _, _ in lane.metrics}
        self._exposed = Lane(0, False, (), frontier.get(EXPOSED, START))
        self._splits, self._blind = Splits(candidates), Blind()
        self._open, self._closed = Register(), Closed()
        self._timeline = Timeline()
        self._fresh: dict[int, Unit] = {}
        self._heard: set[str] = set()
        self._unheard = {index for index, metric in enumerate(metrics) if not metric.by_gateway}
        self._late = 0
        self._live = False

    @property
    def sizes(self) -> tuple[int, int]:
        """Return how many units are open and how many are closed."""
        return len(self._open.units), len(self._closed)

    @property
    def bound(self) -> int:
        """Return the exposure up to which all units have entered everything: nothing about them is needed any more."""
        return min(lane.cursor for lane in (self._exposed, *self._lanes))

    def allocations(self, allocations: tuple[Allocated, ...]) -> None:
        """Tell all splits so far, before the first batch and whenever they changed."""
        self._splits.tell(allocations)

    def closed(self, units: Iterable[str]) -> None:
        """Tell of units (their digests) first exposed until `bound`: none of their events need be read again."""
        self._closed.add(hash_of(self._rollout, unit) for unit in units)

    def turn(self) -> None:
        """Forget units that were closed before the last turn: none of these names comes again."""
        self._closed.turn()

    def started(self, event: Started) -> None:
        """Take in a request that this rollout assigned to one of its arms."""
        request = hashed(event.id.encode())
        if not event.share:
            # Nobody's exposure, and no part of any value: no chance decided who got what.
            self._blind.note(event.at)
            self._open.pass_by(request, event.key)
            return
        if request in self._open.requests:
            return
        number = hash_of(self._rollout, event.unit)
        unit = self._open.units.get(number)
        arm = BASELINE if event.arm == "baseline" else self._arms.get(event.release, NO_ARM)
        flag = event.surface == FLAG
        if unit is None:
            # Perhaps it is closed: asked of many at once, before anything enters.
            unit = Unit(number, request, event.at, arm, event.generation, event.deadline, flag, event.segment)
            self._open.units[number] = self._fresh[number] = unit
            self._timeline.add(unit)
        elif (event.at, request) < (unit.at, unit.id):
            before = unit.at
            unit.add(unit.id, before, unit.deadline, unit.seen)
            unit.id, unit.at, unit.arm, unit.generation = request, event.at, arm, event.generation
            unit.deadline, unit.flag, unit.segment, unit.seen = event.deadline, flag, event.segment, None
            self._moved_up(unit, before)
        else:
            unit.add(request, event.at, event.deadline)
        self._open.requests[request] = unit
        if event.key:
            self._open.name(unit, event.key)
        if len(self._fresh) >= _FRESH:
            self._weed()

    def finished(self, event: Finished) -> bool:
        """Return whether its start is known here."""
        request = hashed(event.id.encode())
        unit = self._open.requests.get(request)
        if unit is None:
            return request in self._open.past
        unit.settle(request, event.at, self._sight.of(event), self._sight.expired)
        return True

    def feedback(self, event: Feedback) -> bool:
        """Return whether it joins a request or unit that is known here. Of several with one id, the first received counts."""
        unit = self._subject(event)
        if not isinstance(unit, Unit):
            return unit
        index = self._index.get(event.metric)
        if index is None or math.isnan(event.value):
            return True
        received = event.at if event.received == event.at else event.received
        number = hashed(event.id.encode())
        outcome = Outcome(number, index, event.at, received, self._metrics[index].fixed(event.value))
        known = self._open.feedback.get(number)
        if known is not None:
            if not outcome.precedes(known):
                return True
            known.metric = VOID
        self._open.feedback[number] = outcome
        if unit.outcomes is None:
            unit.outcomes = [outcome]
        else:
            unit.outcomes.append(outcome)
        if self._unheard and unit.hash not in self._fresh:
            self._hear(unit, outcome)
        return True

    def batch(self, watermark: int, at: int) -> Batch | None:
        """Return what has matured since the last batch, or None where nothing has. What is returned never comes again.

        All events up to the watermark have been read, and all splits up to it told.
        """
        self._weed()
        # What was read before the first batch is what had been read before a restart; it was said then who is late.
        self._live = True
        moved, frontier = 0, {}
        metrics: dict[str, tuple[Cell, ...]] = {}
        groups: dict[str, dict[str, tuple[Cell, ...]]] = {}
        exposed = self._exposures(watermark)
        if exposed is not None:
            frontier[EXPOSED] = self._exposed.cursor
        for lane in self._lanes:
            before = lane.cursor
            gathered, by_group, dropped = self._gather(lane, watermark)
            if lane.cursor == before:
                continue
            frontier.update({metric.name: lane.cursor + lane.period for _, metric, _ in lane.metrics})
            metrics.update(lane.cells(gathered))
            for group, theirs in sorted(by_group.items()):
                groups.setdefault(group, {}).update(lane.cells(theirs))
            if lane is self._lanes[-1]:
                # Who is moved within some time is moved within a longer one, so this counts each unit once.
                moved = dropped
        heard, late = tuple(sorted(self._heard)), self._late
        if not (frontier or heard or late):
            return None
        self._heard, self._late = set(), 0
        self._close()
        return Batch(
            at=at,
            frontier=frontier,
            exposed=exposed or (),
            metrics=metrics,
            moved=moved,
            late=late,
            heard=heard,
            groups=groups,
        )

    def _exposures(self, watermark: int) -> tuple[tuple[int, int, int], ...] | None:
        """Return first exposures by generation and arm; None where there are no new ones."""
        units = self._exposed.mature(self._timeline, watermark)
        if not units:
            return None
        counts: dict[tuple[int, int], int] = {}
        for unit in units:
            counts[unit.generation, unit.arm] = counts.get((unit.generation, unit.arm), 0) + 1
        return tuple(
            (generation, arm, count)
            for (generation, arm), count in sorted(counts.items())
            if arm != NO_ARM and self._splits.knows(generation)
        )

    def _gather(self, lane: Lane, watermark: int) -> tuple[Gathered, dict[str, Gathered], int]:
        """Return the values of those whose turn has come in a lane, of all and by group, and how many were dropped."""
        gathered: Gathered = {}
        by_group: dict[str, Gathered] = {}
        dropped = 0
        for unit in lane.mature(self._timeline, watermark):
            maturity = unit.at + lane.period
            last = self._splits.last_met(unit.hash, unit.generation, maturity)
            if last is None or unit.arm == NO_ARM or self._blind.within(unit.at, maturity):
                dropped += 1
            else:
                cell = unit.generation, last, unit.arm
                lane.put(gathered, cell, unit, self._sight.expired)
                for group in self._groups.of(unit.segment):
                    lane.put(by_group.setdefault(group, {}), cell, unit, self._sight.expired)
        return gathered, by_group, dropped

    def _subject(self, event: Feedback) -> Unit | bool:
        """Return the open unit that feedback is about, else whether it is about something of before."""
        if event.inference:
            return self._open.of_request(event.inference)
        if event.key:
            return self._open.of_key(event.key)
        number = hash_of(self._rollout, event.unit)
        unit = self._open.units.get(number)
        return number in self._closed if unit is None else unit

    def _moved_up(self, unit: Unit, before: int) -> None:
        """Put a unit in its place, whose first exposure turned out to be earlier than `before`."""
        self._timeline.touch(before)
        if unit.at >> SPAN != before >> SPAN:
            self._timeline.add(unit)
        if unit.hash not in self._fresh and self._behind(unit.at, before):
            self._late += self._live

    def _behind(self, at: int, before: int) -> bool:
        """Return whether a place in the order has passed for some metric, but not that of `before`."""
        return any(at <= lane.cursor < before for lane in (self._exposed, *self._lanes))

    def _weed(self) -> None:
        """Of the units that were new since the last time, forget those that were closed before."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        for number in self._closed.among(list(fresh)):
            self._forget(fresh.pop(number))
        if self._live:
            newest = max(lane.cursor for lane in (self._exposed, *self._lanes))
            self._late += sum(unit.at <= newest for unit in fresh.values())
        if self._unheard:
            for unit in fresh.values():
                for outcome in unit.outcomes or ():
                    self._hear(unit, outcome)

    def _hear(self, unit: Unit, outcome: Outcome) -> None:
        """Note that a metric was told of for the first time; of somebody who has entered it, that would change nothing."""
        if outcome.metric in self._unheard and unit.at > self._lane_of[outcome.metric].cursor:
            self._unheard.discard(outcome.metric)
            self._heard.add(self._metrics[outcome.metric].name)

    def _forget(self, unit: Unit) -> None:
        self._timeline.touch(unit.at)
        unit.at = _GONE
        self._open.forget(unit)

    def _close(self) -> None:
        """Keep of the units that are through with everything no more than that they were here."""
        bound = self.bound
        gone = []
        for unit in self._timeline.pop(bound):
            gone.append(unit.hash)
            self._forget(unit)
        self._closed.add(gone)
        self._blind.forget(bound)
