"""A release that fails again and again is not asked for a while, and then by one request at a time.

One breaker a release, not a provider: a candidate that makes its provider fail must not take the baseline away.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pilotage.clock import SECOND
from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.tally import Tally

WINDOW = 10.0
"""Seconds; what is counted is one to two of these old at most."""
_KEPT = 1_000
_FAULTS = frozenset({"connect", "timeout", "broken", "protocol", "pipeline"})
_UNTOLD = frozenset({"busy", "prompt", "internal"})
"""The provider was not asked, or what it said was not understood by us."""

log = logging.getLogger(__name__)


def is_failure(kind: str) -> bool:
    """Return whether a fault says that the provider cannot answer now: not what a caller or a prompt did wrong."""
    return kind in _FAULTS or kind.startswith("status:5")


class Breaker:
    """Opens at `failures` within the window, if these are half of the calls; `now` gives seconds."""

    def __init__(self, failures: int, pause: float, now: Callable[[], float]) -> None:
        self._most = failures
        self._pause = pause
        self._now = now
        self._since = now()
        self._calls = [0, 0]
        self._failed = [0, 0]
        self._until = 0.0
        self.is_open = False
        self._probing = False

    def closed_for(self) -> float:
        """Return 0 where the release may be asked, else for how many seconds it may not."""
        if not self.is_open:
            return 0.0
        left = self._until - self._now()
        if left > 0:
            return left
        if self._probing:
            # One request finds out; the others need not fail with it.
            return min(self._pause, 1.0)
        self._probing = True
        return 0.0

    def succeeded(self) -> None:
        self._turn()
        self._calls[0] += 1
        if self.is_open and self._probing:
            self.is_open = self._probing = False
            self._calls, self._failed = [0, 0], [0, 0]

    def failed(self) -> None:
        self._turn()
        self._calls[0] += 1
        self._failed[0] += 1
        failed = sum(self._failed)
        if self._probing or (not self.is_open and failed >= self._most and failed * 2 >= sum(self._calls)):
            self.is_open, self._probing = True, False
            self._until = self._now() + self._pause

    def untold(self) -> None:
        """Note that a request ended without saying anything about the provider."""
        self._probing = False

    def _turn(self) -> None:
        now = self._now()
        passed = int((now - self._since) / WINDOW)
        if passed:
            self._calls = [0, self._calls[0] if passed == 1 else 0]
            self._failed = [0, self._failed[0] if passed == 1 else 0]
            self._since += passed * WINDOW


class Breakers:
    def __init__(self, now: Callable[[], float], tally: Tally) -> None:
        self._now = now
        self._tally = tally
        self._kept: dict[str, Breaker] = {}

    def check(self, reference: str, address: UpstreamAddress) -> Breaker | None:
        """Return the release's breaker, None where it has none; raise UpstreamError where it is open."""
        if not address.breaker_failures:
            return None
        breaker = self._kept.get(reference)
        if breaker is None:
            if len(self._kept) >= _KEPT:
                self._kept = {name: kept for name, kept in self._kept.items() if kept.is_open}
            breaker = Breaker(address.breaker_failures, address.breaker_pause / SECOND, self._now)
            self._kept[reference] = breaker
        left = breaker.closed_for()
        if left:
            fault = UpstreamError("open", "the provider failed again and again and is not asked for now", status=503)
            fault.retry_after = left
            raise fault
        return breaker

    def told(self, reference: str, breaker: Breaker | None, kind: str | None) -> None:
        """Take in how a request ended: by an answer or a refusal (an empty kind), by a fault, or (None) by nobody waiting any more."""
        if breaker is None:
            return
        before = breaker.is_open
        if kind is None or kind in _UNTOLD:
            breaker.untold()
        elif is_failure(kind):
            breaker.failed()
        else:
            breaker.succeeded()
        if breaker.is_open != before:
            self._tally.open += 1 if breaker.is_open else -1
            self._tally.opened += breaker.is_open
            log.warning(
                "%s %s", reference, "fails and is not asked for a while" if breaker.is_open else "answers again"
            )
