"""The controller: observe, decide, write down. What a tick does not manage, the next one sees afresh."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from pilotage.decision.transition import decide, worth_recording
from pilotage.errors import Conflict
from pilotage.governance.commands import record_decision
from pilotage.rollout.running import Running

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pilotage.decision.observation import Observation
    from pilotage.governance.commands import Context
    from pilotage.rollout.observe import Observer
    from pilotage.rollout.running import Rolling
    from pilotage.status import Decision

log = logging.getLogger(__name__)


class Heartbeats(Protocol):
    """Tells the workers up to when (monotonic microseconds) each rollout was watched."""

    def beat(self, rollout: str, at: int) -> None: ...
    def retain(self, rollouts: Collection[str]) -> None: ...


class Controller:
    """Holds no state of its own but the observer's counts, so it may stop and start at any moment.

    `lag` says how old the oldest uncounted event is (microseconds of real time); `lost` how many records could not be
    written of late.
    """

    def __init__(
        self,
        context: Context,
        observer: Observer,
        heartbeats: Heartbeats,
        *,
        lag: Callable[[], int],
        lost: Callable[[], int],
    ) -> None:
        self._context, self._observer, self._heartbeats = context, observer, heartbeats
        self._lag, self._lost = lag, lost
        self._running = Running()

    def use_cases(self) -> list[str]:
        """Return the use cases with a rollout under way."""
        with self._context.store.read() as tx:
            running = self._running.read(tx)
        self._heartbeats.retain([rolling.rollout.id for rolling in running.values()])
        return sorted(running)

    def tick(self, use_case: str) -> Decision | None:
        """Judge one rollout once; return the decision if it was worth recording and was recorded.

        It is a heartbeat once it came to its end: a decision that could not be written down moved nobody.
        """
        now = self._context.clock.now()
        with self._context.store.read() as tx:
            rolling = self._running.read(tx).get(use_case)
            if rolling is None:
                return None
            evidence = tx.evidence.of(use_case, release=rolling.rollout.candidate)
            approvals = tx.approvals.of(use_case, release=rolling.rollout.candidate)
        lag = self._lag()
        seen = time.monotonic_ns() // 1000 - lag
        observation = self._observer.observe(use_case, rolling.rollout.step, now=now, lag=lag, lost=self._lost())
        if observation is None:
            return None
        decision = decide(rolling.spec, rolling.status, observation, approvals, now, evidence=evidence)
        recorded = worth_recording(decision) and self._record(rolling, decision, observation)
        self._heartbeats.beat(rolling.rollout.id, seen)
        return decision if recorded else None

    def _record(self, rolling: Rolling, decision: Decision, observation: Observation) -> bool:
        try:
            record_decision(self._context, rolling.status, decision, observation)
        except Conflict:
            # Somebody else moved it between the reading and the writing: what they did is decided on next.
            return False
        log.info("%s: %s", rolling.spec.name, decision.reason)
        return True
