"""Which rollouts nobody watches any more, as one worker sees it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pilotage.spec.route import Route
    from pilotage.store.heartbeats import Heartbeats

log = logging.getLogger(__name__)


def monotonic() -> int:
    """Return real microseconds: a time-lapse makes no controller slower."""
    return time.monotonic_ns() // 1000


class Sight:
    """Compares each rollout's newest heartbeat with its file's `blind_after`.

    A rollout whose controller was not heard of yet counts from when this worker first read of it: at the start of
    everything, the controller gets as long as at any other time.
    """

    def __init__(self, heartbeats: Heartbeats, *, timer: Callable[[], int] = monotonic) -> None:
        self._heartbeats = heartbeats
        self._timer = timer
        self._since: dict[str, int] = {}
        self._blind: frozenset[str] = frozenset()

    def blind(self, routes: Iterable[Route]) -> frozenset[str]:
        """Return the ids of the rollouts whose controller was not heard of for too long. Reads files, so it blocks."""
        now = self._timer()
        since, blind = {}, set()
        for route in routes:
            if route.allocation is None or route.allocation.over:
                continue
            rollout = route.allocation.rollout
            since[rollout] = self._since.get(rollout, now)
            heard = self._heartbeats.heard(rollout)
            silent = now - (since[rollout] if heard is None else heard)
            if silent > route.blind_after:
                blind.add(rollout)
                if rollout not in self._blind:
                    log.error(
                        "%s: the controller has not been heard of for %d s; all of its rollout's units get the baseline",
                        route.use_case,
                        silent // 1_000_000,
                    )
            elif rollout in self._blind:
                log.info("%s: the controller is heard of again; the rollout goes on", route.use_case)
        self._since, self._blind = since, frozenset(blind)
        return self._blind
