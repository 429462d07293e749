"""The sealer of whichever process decides: taken when there is something to seal, given back when another one decides."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.records import SpoolEvent
    from pilotage.store.base.erasable import Erasure
    from pilotage.store.events import Sealer


class Seal:
    """Only one process at a time has a workspace's sealer, and one that hangs has it still. Deciding waits for neither."""

    def __init__(self, take: Callable[[], Sealer]) -> None:
        self._take = take
        self._sealer: Sealer | None = None
        self._lock = threading.Lock()
        self._quarantined = 0

    @property
    def quarantined(self) -> int:
        """Return how many events were put aside in this process's time."""
        sealer = self._sealer
        return self._quarantined + (sealer.quarantined if sealer else 0)

    def seal(
        self, segment: str, start: int, end: int, events: Sequence[tuple[int, SpoolEvent]], *, finished: bool
    ) -> None:
        """Seal, as `Sealer.seal` says; raise WorkspaceUnusable also where another process has the sealer."""
        with self._lock:
            if self._sealer is None:
                self._sealer = self._take()
            self._sealer.seal(segment, start, end, events, finished=finished)

    def erase(self, erasure: Erasure) -> dict[str, int]:
        """Erase, as `Sealer.erase` says; raise WorkspaceUnusable also where another process has the sealer."""
        with self._lock:
            if self._sealer is None:
                self._sealer = self._take()
            return self._sealer.erase(erasure)

    def give_back(self) -> None:
        with self._lock:
            if self._sealer is not None:
                self._quarantined += self._sealer.quarantined
                sealer, self._sealer = self._sealer, None
                sealer.close()
