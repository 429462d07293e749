"""Who decides: one control process at a time, by a lease in the store. The others stand by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pilotage.clock import SECOND, SystemClock
from pilotage.errors import Conflict

if TYPE_CHECKING:
    from pilotage.clock import Clock
    from pilotage.store.base.transaction import Store, Transaction

NAME = "controller"
LASTS = 10 * SECOND
RENEW_SECONDS = 2.0


class Mandate:
    """One process's claim to decide. `holder` names it; a process that takes its place by the same name goes on under it.

    Leases are of real time, which no time-lapse scales. Nothing wrong is written however clocks stand: each write checks
    the fence, in its own transaction.
    """

    def __init__(self, store: Store, holder: str, clock: Clock | None = None) -> None:
        self._store, self._holder = store, holder
        self._clock = clock or SystemClock()
        self._fence: int | None = None
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether this process may decide, as far as it can tell by itself."""
        return self._fence is not None and time.monotonic() < self._until

    def renew(self) -> bool:
        """Take the lease or make it last longer, if nobody else has it; return whether it is held."""
        # Counted from before the writing: a process that was stopped in between must not think that it has time left.
        until = time.monotonic() + LASTS / SECOND
        now = self._clock.now()
        with self._store.write() as tx:
            fence = tx.leases.take(NAME, self._holder, now, now + LASTS)
        self._fence, self._until = fence, until
        return fence is not None

    def check(self, tx: Transaction) -> None:
        """Raise Conflict unless what this transaction writes is this process's to write."""
        fence = self._fence
        try:
            tx.leases.check(NAME, -1 if fence is None else fence)
        except Conflict:
            self._fence = None
            raise

    def release(self) -> None:
        """Let the next one begin at once."""
        fence, self._fence = self._fence, None
        if fence is not None:
            with self._store.write() as tx:
                tx.leases.release(NAME, fence)


def free(store: Store) -> None:
    """Take the lease from whoever had it: for a server that has just locked the workspace, so that nobody is left in it.

    Should one of them be alive all the same, nothing that it writes is taken any more.
    """
    with store.write() as tx:
        held = tx.leases.held(NAME)
        if held is not None:
            tx.leases.release(NAME, held.fence)
