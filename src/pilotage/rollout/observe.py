"""Turns the stream of events into batches: each event to the rollout that it is about, each batch behind a watermark."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from pilotage.records import Feedback, Finished, Started
from pilotage.rollout.tracker import Tracker
from pilotage.rollout.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.decision.batch import Batch
    from pilotage.records import SpoolEvent
    from pilotage.rollout.watched import Watched
    from pilotage.status import RolloutStatus

GRACE_SECONDS = 0.25
"""An event is appended at most so long after the time it carries, in real time; later, it may come late."""
_ARMS = ("baseline", "candidate")


class Followed(NamedTuple):
    """A rollout to follow. `frontier` is that of its recorded batches; it is read when the rollout is new here."""

    rollout: RolloutStatus
    metrics: Sequence[Watched]
    frontier: Mapping[str, int]


class _Course:
    """One followed rollout. `read_until` is its watermark, None until a pass was complete that began with it.

    Of a rollout that goes on, what is read again may be about units that nothing is read of any more: in its first two
    complete passes (`passes_untold`) nothing is said to be unmatched.
    """

    def __init__(self, followed: Followed) -> None:
        rollout = followed.rollout
        self.rollout = rollout.id
        self.tracker = Tracker(rollout.id, rollout.candidates, followed.metrics, resumed=followed.frontier)
        self.waiting = Waiting()
        self.read_until: int | None = None
        self.passes_untold = 2 if followed.frontier else 0


class Observer:
    """Follows rollouts; events of anything else pass by. `unmatched` counts by use case feedback that joined nothing.

    The watermark is the clock's time some `grace` seconds (real ones: the clock may be a time-lapse) before the last pass
    began that read everything: whatever carries such a time had been appended by then, and has been read.
    """

    def __init__(self, *, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._courses: dict[str, _Course] = {}
        self._passes: deque[tuple[float, int]] = deque()
        self.unmatched: dict[str, int] = {}

    def follows(self, use_case: str, rollout: str) -> bool:
        known = self._courses.get(use_case)
        return known is not None and known.rollout == rollout

    def follow(self, rollouts: Mapping[str, Followed]) -> None:
        """Follow these, by use case, and forget all others; a new one starts from its frontier.

        Call it after reading a batch of events and before feeding it: whoever was assigned by a rollout or a split in
        that batch was assigned after it was written, so it is known here.
        """
        for use_case in [name for name in self._courses if name not in rollouts]:
            self.forget(use_case)
        for use_case, followed in rollouts.items():
            if not self.follows(use_case, followed.rollout.id):
                self._courses[use_case] = _Course(followed)
                self.unmatched[use_case] = 0
            self._courses[use_case].tracker.allocations(followed.rollout.allocations)

    def forget(self, use_case: str) -> None:
        self._courses.pop(use_case, None)
        self.unmatched.pop(use_case, None)

    def tracker(self, use_case: str) -> Tracker:
        """Return the tracker of a rollout that is followed."""
        return self._courses[use_case].tracker

    def feed(self, event: SpoolEvent) -> None:
        course = self._courses.get(event.use_case)
        if course is None:
            return
        # Exact types, for this is asked of every event.
        if type(event) is Finished:
            if not course.tracker.finished(event):
                course.waiting.put(event)
        elif type(event) is Feedback:
            if not course.tracker.feedback(event):
                course.waiting.put(event)
        elif type(event) is Started and event.rollout == course.rollout and event.unit and event.arm in _ARMS:
            course.tracker.started(event)
            for waited in course.waiting.release(event):
                self.feed(waited)

    def caught_up(self, at: int, real: float) -> None:
        """Say that all segments were read to their end by a pass that began `at` (the clock's time).

        `real` is when that was in real time (seconds, of any origin).
        """
        for use_case, course in self._courses.items():
            let_go = course.waiting.caught_up()
            if course.passes_untold:
                course.passes_untold -= 1
            else:
                self.unmatched[use_case] += let_go
        self._passes.append((real, at))
        while len(self._passes) > 1 and self._passes[1][0] <= real - self._grace:
            self._passes.popleft()
        then, watermark = self._passes[0]
        if then <= real - self._grace:
            for course in self._courses.values():
                course.read_until = watermark

    def batch(self, use_case: str, at: int) -> Batch | None:
        """Return what has matured of a followed rollout since its last batch; None where nothing has, or may have."""
        course = self._courses.get(use_case)
        if course is None or course.read_until is None:
            return None
        return course.tracker.batch(course.read_until, at)
