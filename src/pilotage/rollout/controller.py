"""The controller: take what has matured, decide, write it all down. What a tick does not manage, the next one does."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pilotage.decision.observation import Observation
from pilotage.decision.rules import NO_RULES
from pilotage.decision.statistics import readings
from pilotage.decision.transition import decide, worth_recording
from pilotage.governance import batches
from pilotage.governance.context import moment
from pilotage.governance.decisions import Seen, record_decision
from pilotage.governance.organisation import rules_of
from pilotage.governance.progress import standing_of
from pilotage.governance.trail import begun, keep_trail, kept_trail, longer, point_of
from pilotage.rollout import gaps
from pilotage.rollout import tally as tallies
from pilotage.rollout.running import Running

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pilotage.decision.batch import Batch
    from pilotage.governance.batches import Link
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.rollout.running import Rolling
    from pilotage.rollout.tally import Tally
    from pilotage.status import Decision
    from pilotage.store.base.transaction import Transaction

KEEP_SECONDS = 2.0
"""After a kill, at most the batches of so many seconds are computed again."""
SAY_SECONDS = 1.0
"""What a rollout waits for is written down at most so often."""

log = logging.getLogger(__name__)


class Heartbeats(Protocol):
    """Tells the workers up to when (monotonic microseconds) each rollout was watched."""

    def beat(self, rollout: str, at: int) -> None: ...
    def retain(self, rollouts: Collection[str]) -> None: ...


class Matured(Protocol):
    """Hands out what has matured. A batch that was taken is final: it does not come again."""

    def follows(self, use_case: str, rollout: str) -> bool: ...
    def batch(self, use_case: str, at: int) -> Batch | None: ...


@dataclass(slots=True)
class Course:
    """One rollout between two ticks.

    `tally` is what is in the store. `taken` is a batch that was taken from the observer and is not in the store yet: it is
    final, so it and no other comes next. `kept` and `says` tell what was kept last, at `kept_at` (real seconds).
    """

    tally: Tally
    taken: Batch | None = None
    kept: int = -1
    says: str = ""
    kept_at: float = float("-inf")


@dataclass(slots=True, frozen=True)
class Outcome:
    """What one tick came to, before any of it is written."""

    tally: Tally
    decision: Decision
    seen: Seen
    batch: tuple[Link, int, bytes] | None = None


class Controller:
    """Decides under `mandate` alone. What it holds in memory is what the store holds, so it may stop at any moment.

    `lag` says how old the oldest uncounted event is (microseconds of real time); `lost` how many records could not be
    written of late.
    """

    def __init__(
        self,
        context: Context,
        observer: Matured,
        heartbeats: Heartbeats,
        mandate: Mandate,
        *,
        lag: Callable[[], int],
        lost: Callable[[], int],
    ) -> None:
        self._context, self._observer, self._heartbeats, self._mandate = context, observer, heartbeats, mandate
        self._lag, self._lost = lag, lost
        self._running = Running()
        self._courses: dict[str, Course] = {}

    def use_cases(self) -> list[str]:
        """Return the use cases with a rollout under way."""
        with self._context.store.read() as tx:
            running = self._running.read(tx)
        ids = {rolling.rollout.id for rolling in running.values()}
        self._heartbeats.retain(ids)
        self._courses = {rollout: course for rollout, course in self._courses.items() if rollout in ids}
        return sorted(running)

    def tick(self, use_case: str) -> Decision | None:
        """Judge one rollout once; return the decision if it was worth recording and was recorded.

        It is a heartbeat once it came to its end: a decision that could not be written down moved nobody. Raise Conflict,
        with nothing written, where somebody else has the mandate now.
        """
        with self._context.store.read() as tx:
            now = moment(self._context, tx)
            rolling = self._running.read(tx).get(use_case)
            if rolling is None or not self._observer.follows(use_case, rolling.rollout.id):
                return None
            course = self._course(tx, rolling)
            candidates = rolling.rollout.candidates
            approvals = [given for given in tx.approvals.of(use_case) if given.release in candidates]
            evidence = [fact for fact in tx.evidence.of(use_case) if fact.release in candidates]
            registered = tx.use_cases.get(use_case)
            rules = rules_of(tx, registered, rolling.spec) if registered is not None else NO_RULES
        lag = self._lag()
        watched_until = time.monotonic_ns() // 1000 - lag
        observation = Observation(rollout=rolling.rollout.id, at=now, lag=lag, lost=self._lost(), rules=rules)
        if course.taken is None:
            course.taken = self._observer.batch(use_case, now)
        tally, batch = course.tally, None
        if course.taken is not None:
            body = batches.encode(course.taken)
            link = course.tally.link.to(body)
            batch = link, course.taken.at, body
            tally = course.tally.and_then(course.taken, link, rolling.spec, rolling.rollout)
        decision = decide(
            rolling.spec, rolling.status, tally.statistics, observation, approvals, now, evidence=evidence
        )
        seen = Seen(tally.link, observation, approvals, evidence)
        recorded = self._write(course, rolling, Outcome(tally, decision, seen, batch))
        self._heartbeats.beat(rolling.rollout.id, watched_until)
        return decision if recorded else None

    def _course(self, tx: Transaction, rolling: Rolling) -> Course:
        course = self._courses.get(rolling.rollout.id)
        if course is None:
            course = Course(tallies.resumed(tx, rolling.spec, rolling.rollout))
            self._courses[rolling.rollout.id] = course
        return course

    def _write(self, course: Course, rolling: Rolling, outcome: Outcome) -> bool:
        """Write batch, standing and decision in one transaction; return whether a decision was recorded.

        Where somebody else moved the status between the reading and the writing, nothing is written: the same batch
        comes with the next tick, which decides on what they did.
        """
        rollout, tally, decision = rolling.rollout.id, outcome.tally, outcome.decision
        acts = worth_recording(decision)
        keeps = acts or _keep_due(course, outcome)
        if outcome.batch is not None or keeps:
            with self._context.store.write() as tx:
                self._mandate.check(tx)
                if acts and _moved_on(tx, rolling):
                    return False
                if outcome.batch is not None:
                    _append(tx, rollout, *outcome.batch)
                if keeps:
                    standing = standing_of(rolling.spec, rolling.rollout, tally.statistics, decision)
                    tx.batches.keep(rollout, tally.statistics.seq, tallies.encode(tally), standing)
                    gaps.tell(tx, self._context.clock, rolling, tally.statistics, decision.at)
                    _leave(tx, rolling, tally, decision.at)
                if acts:
                    record_decision(tx, rolling.status, decision, outcome.seen)
        course.tally, course.taken = tally, None
        if keeps:
            course.kept, course.says, course.kept_at = tally.statistics.seq, decision.reason, time.monotonic()
        if acts:
            log.info("%s: %s", rolling.spec.name, decision.reason)
        return acts


def _moved_on(tx: Transaction, rolling: Rolling) -> bool:
    status = tx.statuses.get(rolling.status.use_case)
    return status is None or status.version != rolling.status.version


def _append(tx: Transaction, rollout: str, link: Link, at: int, body: bytes) -> None:
    # A commit that was said to have failed may have been made all the same.
    if tx.batches.last(rollout) != link:
        tx.batches.append(rollout, link.seq, at, body, link.digest)


def _leave(tx: Transaction, rolling: Rolling, tally: Tally, at: int) -> None:
    """Leave what is known now on the rollout's trail."""
    known = kept_trail(tx, rolling.spec.name, rolling.rollout.id) or begun(rolling.spec.name, rolling.rollout)
    point = point_of(at, rolling.rollout, readings(tally.statistics, rolling.spec, rolling.rollout))
    trail = longer(known, point)
    if trail is not known:
        keep_trail(tx, trail)


def _keep_due(course: Course, outcome: Outcome) -> bool:
    since = time.monotonic() - course.kept_at
    if outcome.decision.reason != course.says and since >= SAY_SECONDS:
        return True
    return outcome.tally.statistics.seq != course.kept and since >= KEEP_SECONDS
