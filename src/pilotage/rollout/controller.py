"""The controller: observe, decide, write down. What a tick does not manage, the next one sees afresh."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pilotage.decision.transition import decide, worth_recording
from pilotage.errors import Conflict
from pilotage.governance.commands import record_decision
from pilotage.rollout.running import Running

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.governance.commands import Context
    from pilotage.rollout.observe import Observer
    from pilotage.status import Decision

log = logging.getLogger(__name__)


class Controller:
    """Holds no state of its own but the observer's counts, so it may stop and start at any moment.

    `lag` says how old the oldest uncounted event is (microseconds of real time); `lost` how many records could not be
    written, ever.
    """

    def __init__(
        self, context: Context, observer: Observer, *, lag: Callable[[], int], lost: Callable[[], int]
    ) -> None:
        self._context, self._observer = context, observer
        self._lag, self._lost = lag, lost
        self._running = Running()
        self._lost_before: dict[str, int] = {}

    def use_cases(self) -> list[str]:
        """Return the use cases with a rollout under way."""
        with self._context.store.read() as tx:
            return sorted(self._running.read(tx))

    def tick(self, use_case: str) -> Decision | None:
        """Judge one rollout once; return the decision if it was worth recording and was recorded."""
        now = self._context.clock.now()
        with self._context.store.read() as tx:
            rolling = self._running.read(tx).get(use_case)
            if rolling is None:
                return None
            evidence = tx.evidence.of(use_case, release=rolling.rollout.candidate)
            approvals = tx.approvals.of(use_case, release=rolling.rollout.candidate)
        lost = self._lost()
        observation = self._observer.observe(
            use_case,
            rolling.rollout.step,
            now=now,
            lag=self._lag(),
            lost=lost - self._lost_before.get(rolling.rollout.id, lost),
        )
        if observation is None:
            return None
        decision = decide(rolling.spec, rolling.status, observation, approvals, now, evidence=evidence)
        if not worth_recording(decision):
            self._lost_before[rolling.rollout.id] = lost
            return None
        try:
            record_decision(self._context, rolling.status, decision, observation)
        except Conflict:
            # Somebody else moved it between the reading and the writing: what they did is decided on next.
            return None
        self._lost_before[rolling.rollout.id] = lost
        log.info("%s: %s", use_case, decision.reason)
        return decision
