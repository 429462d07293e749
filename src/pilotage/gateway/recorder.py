"""Records on their way to disk: events at once, texts by a thread that redacts and encrypts them."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from pilotage.guardrails.personal_data import redact

if TYPE_CHECKING:
    from pilotage.records import Finished, SpoolEvent, Started
    from pilotage.store.base.recorded import PlainText, SpoolWriter, TextWriter

_WAITING_TEXTS = 1_000
_WAITING_BYTES = 64 << 20
_BATCH = 64
_ALARM_SECONDS = 10


class Counter(Protocol):
    """Where other processes read what was lost. It neither blocks nor raises."""

    def put(self, events: int, texts: int) -> None: ...


class Recorder:
    """Never blocks a request and never raises: what cannot be kept is counted, and `losses` told so at once."""

    def __init__(self, spool: SpoolWriter, texts: TextWriter, losses: Counter) -> None:
        self._spool = spool
        self._texts = texts
        self._losses = losses
        self._queue: queue.SimpleQueue[tuple[PlainText, bool, int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._bytes = 0
        self._failed_at = -float("inf")
        self._dropped = 0
        self._thread = threading.Thread(target=self._keep, name="texts", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Return how many events were not recorded."""
        return self._spool.lost

    @property
    def dropped(self) -> int:
        """Return how many texts were not kept: too many waited, or they could not be written."""
        return self._dropped + self._texts.lost

    @property
    def losing(self) -> bool:
        """Return whether an event was lost within the last seconds."""
        return time.monotonic() - self._failed_at < _ALARM_SECONDS

    def started(self, event: Started) -> None:
        self._append(event)

    def finished(self, event: Finished, text: PlainText | None, *, redact: bool) -> None:
        self._append(event)
        if text is None:
            return
        size = len(text.request) + len(text.reply)
        with self._lock:
            if self._waiting >= _WAITING_TEXTS or self._bytes + size > _WAITING_BYTES:
                self._dropped += 1
                full = True
            else:
                self._waiting += 1
                self._bytes += size
                full = False
        if full:
            self._losses.put(self.lost, self.dropped)
        else:
            self._queue.put((text, redact, size))

    def close(self) -> None:
        """Write the texts that wait, then return. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _append(self, event: SpoolEvent) -> None:
        if not self._spool.append(event):
            self._failed_at = time.monotonic()
            self._losses.put(self.lost, self.dropped)

    def _keep(self) -> None:
        open_ = True
        while open_:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            open_ = None not in batch
            texts = [_redacted(text) if hide else text for text, hide, _ in filter(None, batch)]
            if texts:
                kept = self._texts.write(texts)
                for event in kept:
                    self._append(event)
                if len(kept) < len(texts):
                    self._losses.put(self.lost, self.dropped)
            with self._lock:
                self._waiting -= len(texts)
                self._bytes -= sum(size for _, _, size in filter(None, batch))


def _redacted(text: PlainText) -> PlainText:
    return msgspec.structs.replace(text, request=redact(text.request)[0], reply=redact(text.reply)[0])
