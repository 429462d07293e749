"""Turns the stream of events into batches: each event to the rollout that it is about, each batch behind a watermark."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pilotage.counting.course import Course
from pilotage.records import Feedback, Finished, Started

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.counting.course import Followed
    from pilotage.decision.batch import Batch
    from pilotage.records import SpoolEvent

GRACE_SECONDS = 0.25
"""An event is appended at most so long after the time it carries, in real time; later, it may come late."""


class Observer:
    """Follows rollouts; events of anything else pass by. `unmatched` counts by use case feedback that joined nothing.

    The watermark is the clock's time some `grace` seconds (real ones: the clock may be a time-lapse) before the last pass
    began that read everything: whatever carries such a time had been appended by then, and has been read.
    """

    def __init__(self, *, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._courses: dict[str, Course] = {}
        self._of: dict[str, tuple[Course, ...]] = {}
        self._passes: deque[tuple[float, int]] = deque()
        self.unmatched: dict[str, int] = {}

    def follows(self, name: str, rollout: str) -> bool:
        known = self._courses.get(name)
        return known is not None and known.rollout == rollout

    def follow(self, rollouts: Mapping[str, Followed]) -> None:
        """Follow these, each by a name, and forget all others; a new one starts from its frontier.

        Call it after reading a batch of events and before feeding it: whoever was assigned by a rollout or a split in
        that batch was assigned after it was written, so it is known here.
        """
        for name in [name for name in self._courses if name not in rollouts]:
            self.forget(name)
        for name, followed in rollouts.items():
            if not self.follows(name, followed.rollout.id):
                self._courses[name] = Course(followed)
                self.unmatched[followed.use_case] = 0
            self._courses[name].tracker.allocations(followed.rollout.allocations)
        self._index()

    def forget(self, name: str) -> None:
        self._courses.pop(name, None)
        self._index()

    def course(self, name: str) -> Course:
        """Return what is followed by a name."""
        return self._courses[name]

    def feed(self, event: SpoolEvent) -> None:
        for course in self._of.get(event.use_case, ()):
            self.tell(course, event)

    def tell(self, course: Course, event: SpoolEvent) -> None:
        """Tell one course of an event."""
        # Exact types, for this is asked of every event.
        if type(event) is Finished:
            if not course.tracker.finished(event):
                course.waiting.put(event)
        elif type(event) is Feedback:
            if not course.feedback(event):
                course.waiting.put(event)
        elif type(event) is Started and course.started(event):
            for waited in course.waiting.release(event):
                self.tell(course, waited)

    def caught_up(self, at: int, real: float) -> None:
        """Say that all segments were read to their end by a pass that began `at` (the clock's time).

        `real` is when that was in real time (seconds, of any origin).
        """
        for use_case, courses in self._of.items():
            self.unmatched[use_case] += len(set.intersection(*(_let_go(course) for course in courses)))
        self._passes.append((real, at))
        while len(self._passes) > 1 and self._passes[1][0] <= real - self._grace:
            self._passes.popleft()
        then, watermark = self._passes[0]
        if then <= real - self._grace:
            for course in self._courses.values():
                course.reach(watermark)

    def batch(self, name: str, at: int) -> Batch | None:
        """Return what has matured of a followed rollout since its last batch; None where nothing has, or may have."""
        course = self._courses.get(name)
        if course is None or course.read_until is None:
            return None
        return course.tracker.batch(course.read_until, at)

    def _index(self) -> None:
        found: dict[str, list[Course]] = {}
        for course in self._courses.values():
            found.setdefault(course.use_case, []).append(course)
        self._of = {use_case: tuple(courses) for use_case, courses in found.items()}
        self.unmatched = {use_case: self.unmatched.get(use_case, 0) for use_case in self._of}


def _let_go(course: Course) -> set[str]:
    """Return the ids of the feedback that joined nothing, once that can be told."""
    gone = course.waiting.caught_up()
    if course.passes_untold:
        course.passes_untold -= 1
        return set()
    return gone
