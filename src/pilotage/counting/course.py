"""What is followed, and which events are about it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.counting.tracker import Tracker
from pilotage.counting.waiting import Waiting
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pilotage.counting.watched import Watched
    from pilotage.records import Feedback, Started
    from pilotage.status import RolloutStatus

_ARMS = ("baseline", "candidate")


class Period(NamedTuple):
    """Units count anew each `length` (microseconds): what happens after a release goes on for months.

    `release` is the one that is looked at, whatever assigned it; of `holdback` (a rollout, and the release that a part of
    all units kept when it ended; else both empty) only those count that this rollout assigned.
    """

    length: int
    release: str
    holdback: tuple[str, str] = ("", "")


class Followed(NamedTuple):
    """A rollout to follow, or what goes on after one (`period`).

    `frontier` is that of its recorded batches; it is read when the rollout is new here. `segments` are the file's groups.
    """

    rollout: RolloutStatus
    metrics: Sequence[Watched]
    frontier: Mapping[str, int]
    period: Period | None = None
    segments: Mapping[str, Sequence[str]] = MappingProxyType({})

    @property
    def use_case(self) -> str:
        return self.rollout.candidate.partition("/")[0]


class Course:
    """One followed rollout. `read_until` is its watermark, None until a pass was complete that began with it.

    Of a rollout that goes on, what is read again may be about units that nothing is read of any more: in its first two
    complete passes (`passes_untold`) nothing is said to be unmatched.
    """

    def __init__(self, followed: Followed) -> None:
        rollout = followed.rollout
        self.rollout = rollout.id
        self.use_case = followed.use_case
        self.period = followed.period
        self.tracker = Tracker(
            rollout.id, rollout.candidates, followed.metrics, resumed=followed.frontier, segments=followed.segments
        )
        self.waiting = Waiting()
        self.read_until: int | None = None
        self.passes_untold = 2 if followed.frontier else 0
        self._turned = 0

    def started(self, event: Started) -> bool:
        """Take in a request if it is of this rollout; return whether it is."""
        period = self.period
        if period is None:
            mine = event.rollout == self.rollout and bool(event.unit) and event.arm in _ARMS
            if mine:
                self.tracker.started(event)
            return mine
        if event.source != "live" or event.arm == "pinned":
            return False
        if event.release == period.release:
            arm = "candidate"
        elif (event.rollout, event.release) == period.holdback:
            arm = "baseline"
        else:
            return False
        unit = of_period(event.unit or event.id, event.at, period.length)
        self.tracker.started(
            msgspec.structs.replace(event, rollout=self.rollout, arm=arm, unit=unit, share=MILLION, generation=1)
        )
        return True

    def feedback(self, event: Feedback) -> bool:
        """Return whether it joins anything that is known here."""
        return any(self.tracker.feedback(one) for one in self._about(event))

    def reach(self, watermark: int) -> None:
        """Say that everything up to a time was read."""
        self.read_until = watermark
        if self.period is not None and (turn := watermark // self.period.length) != self._turned:
            self._turned = turn
            self.tracker.turn()

    def _about(self, event: Feedback) -> Iterator[Feedback]:
        """Yield feedback as it is told here: about a unit, it is about that unit's newest time first."""
        if self.period is None or not event.unit or event.inference or event.key:
            yield event
            return
        for at in (event.at, event.at - self.period.length):
            yield msgspec.structs.replace(event, unit=of_period(event.unit, at, self.period.length))


def of_period(unit: str, at: int, length: int) -> str:
    """Return what a unit is called in the period of a time: another one in each."""
    return f"{unit}@{at // length}"
