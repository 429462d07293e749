"""Turns the stream of events into what a decision reads: one observation a rollout, kept up event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.observation import Observation
from pilotage.records import Feedback, Finished, Started
from pilotage.rollout.units import BASELINE, CANDIDATE, Units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.records import SpoolEvent
    from pilotage.rollout.watched import Watched


class Observer:
    """Counts the units of the rollouts that it follows; events of anything else pass by.

    Segments of several workers are read one after another, so feedback or an end can be read before the start that it
    belongs to. Such events wait until every segment was read to its end once more (`caught_up`): what was appended
    before them has been read by then, and what still joins nothing never will.
    """

    def __init__(self) -> None:
        self._rollouts: dict[str, tuple[str, Units]] = {}
        self._waiting: dict[tuple[str, str, str], list[Finished | Feedback]] = {}
        self._waiting_since_before: dict[tuple[str, str, str], list[Finished | Feedback]] = {}
        self._read_until = 0
        self.unmatched: dict[str, int] = {}

    def follows(self, use_case: str, rollout: str) -> bool:
        known = self._rollouts.get(use_case)
        return known is not None and known[0] == rollout

    def follow(self, rollouts: Mapping[str, tuple[str, Sequence[Watched]]]) -> None:
        """Follow these (use case -> rollout id and metrics) and forget all others; a new one starts from nothing.

        Call it after reading a batch of events and before feeding it: whoever was assigned by a rollout in that batch
        was assigned after the rollout was written, so it is known here.
        """
        for use_case in [name for name in self._rollouts if name not in rollouts]:
            del self._rollouts[use_case]
            self.unmatched.pop(use_case, None)
        for use_case, (rollout, metrics) in rollouts.items():
            if not self.follows(use_case, rollout):
                self._rollouts[use_case] = (rollout, Units(metrics))
                self.unmatched[use_case] = 0

    def feed(self, event: SpoolEvent) -> None:
        known = self._rollouts.get(event.use_case)
        if known is None:
            return
        rollout, units = known
        match event:
            case Started():
                if event.rollout == rollout and event.unit and event.arm in (BASELINE, CANDIDATE):
                    units.started(event)
                    self._release(event, units)
            case Finished():
                if not units.finished(event):
                    self._wait((event.use_case, "id", event.id), event)
            case Feedback():
                if not units.feedback(event):
                    self._wait(_joins(event), event)

    def caught_up(self, read_from: int) -> None:
        """Say that all segments were read to their end by a pass that began at `read_from` (microseconds)."""
        for events in self._waiting_since_before.values():
            for event in events:
                if isinstance(event, Feedback) and event.use_case in self.unmatched:
                    self.unmatched[event.use_case] += 1
        self._waiting_since_before, self._waiting = self._waiting, {}
        self._read_until = max(self._read_until, read_from)
        for _, units in self._rollouts.values():
            units.advance(self._read_until)

    def observe(self, use_case: str, step: int, *, now: int, lag: int = 0, lost: int = 0) -> Observation | None:
        """Return what is known of a followed rollout that stands at `step`, or None where it is not followed.

        `now` is the clock's; `lag` how old the oldest event is that was not fed yet, in microseconds of real time.
        """
        known = self._rollouts.get(use_case)
        if known is None:
            return None
        rollout, units = known
        return Observation(
            rollout=rollout,
            at=now,
            lag=lag,
            lost=lost,
            exposed=units.exposed(step),
            unheard=units.unheard(),
            metrics=units.strata(),
        )

    def _wait(self, key: tuple[str, str, str], event: Finished | Feedback) -> None:
        self._waiting.setdefault(key, []).append(event)

    def _release(self, started: Started, units: Units) -> None:
        """Give a start the events that came before it."""
        for kind, value in (("id", started.id), ("key", started.key), ("unit", started.unit)):
            for waiting in (self._waiting, self._waiting_since_before):
                for event in waiting.pop((started.use_case, kind, value), ()) if value else ():
                    if isinstance(event, Finished):
                        units.finished(event)
                    else:
                        units.feedback(event)


def _joins(event: Feedback) -> tuple[str, str, str]:
    for kind, value in (("id", event.inference), ("key", event.key)):
        if value:
            return event.use_case, kind, value
    return event.use_case, "unit", event.unit
