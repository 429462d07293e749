"""Retained texts: encrypted, apart from all else, one file a worker and day of a use case, so that a day expires whole.

`texts/<use case>/<yyyy-mm-dd>/<worker>.text` holds pieces of a 12-byte nonce and AES-256-GCM's output; a `Text` event
says where each lies. The key is the unit's; inference and use case are bound in, so no piece passes for another's.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilotage.clock import DAY
from pilotage.errors import NotFound, WorkspaceUnusable
from pilotage.records import SpoolEvent, Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pilotage.clock import Clock
    from pilotage.store.base.recorded import PlainText
    from pilotage.store.base.transaction import Store, Transaction

_NONCE = 12
_SAFE = re.compile(r"[A-Za-z0-9_-]+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


class TextWriter:
    """One worker's texts. Any thread may call `write`, one at a time."""

    def __init__(self, directory: Path, worker: str, store: Store, clock: Clock) -> None:
        self._directory = directory
        self._worker = _safe(worker)
        self._store = store
        self._clock = clock
        self._lost = 0

    @property
    def lost(self) -> int:
        return self._lost

    def write(self, texts: Sequence[PlainText]) -> list[SpoolEvent]:
        """Encrypt and append; return a `Text` event for each that was written. Blocks, so call it in a thread."""
        events: list[SpoolEvent] = []
        try:
            with self._store.write() as tx:
                units = {(text.use_case, text.unit) for text in texts}
                keys = tx.unit_keys.get_or_create(units, at=self._clock.now())
            for text in texts:
                events.append(self._append(text, *keys[text.use_case, text.unit]))  # noqa: PERF401 (keeps those before a fault)
        except (OSError, WorkspaceUnusable) as fault:
            # Serving goes on without them; what is lost is counted.
            self._lost += len(texts) - len(events)
            log.error("texts are being lost: %s", fault)  # noqa: TRY400
        return events

    def close(self) -> None:
        """Nothing is held open between writes, so that a day may expire at any time."""

    def _append(self, text: PlainText, key_id: str, key: bytes) -> Text:
        nonce = os.urandom(_NONCE)
        bound = _bound(text.inference, text.use_case)
        piece = nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode((text.request, text.reply)), bound)
        day = (_EPOCH + timedelta(microseconds=text.at)).date().isoformat()
        folder = self._directory / _safe(text.use_case) / day
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / f"{self._worker}.text", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            written = os.write(file, piece)
            # After an appending write the position is the end of what was written, whoever else appends.
            end = os.lseek(file, 0, os.SEEK_CUR)
        finally:
            os.close(file)
        if written != len(piece):
            raise OSError(f"only {written} of {len(piece)} bytes were written: the disk is full")
        return Text(
            id=text.inference,
            use_case=text.use_case,
            at=text.at,
            unit_key=key_id,
            segment=f"{day}/{self._worker}",
            offset=end - written,
            length=written,
        )


class Texts:
    """Reading retained texts back, and letting them expire."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, text: Text, key: bytes) -> tuple[str, str]:
        """Return (request, reply); raise NotFound where it expired, was erased or does not decrypt."""
        day, _, worker = text.segment.partition("/")
        # A search reads thousands of them.
        path = f"{self._directory}/{_safe(text.use_case)}/{_safe(day)}/{_safe(worker)}.text"
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                piece = os.pread(file, text.length, text.offset)
            finally:
                os.close(file)
        except FileNotFoundError as fault:
            raise NotFound(f"the text of inference {text.id} has expired") from fault
        try:
            plain = AESGCM(key).decrypt(piece[:_NONCE], piece[_NONCE:], _bound(text.id, text.use_case))
        except (InvalidTag, ValueError) as fault:
            raise NotFound(
                f"the text of inference {text.id} does not decrypt",
                hint="its key is another, or the file was altered or cut",
            ) from fault
        request, reply = msgspec.json.decode(plain, type=tuple[str, str])
        return request, reply

    def use_cases(self) -> list[str]:
        """Return the use cases of which there are texts."""
        found = self._directory.iterdir() if self._directory.is_dir() else ()
        return sorted(path.name for path in found if path.is_dir() and _SAFE.fullmatch(path.name))

    def expire(self, use_case: str, before: int) -> int:
        """Unlink the files of days that ended at or before this time (microseconds UTC); return how many."""
        gone = 0
        folder = self._directory / _safe(use_case)
        for day in sorted(folder.iterdir()) if folder.is_dir() else []:
            if not _DAY.fullmatch(day.name):
                # Nobody's texts: whoever put it there may want it.
                continue
            ends = (date.fromisoformat(day.name) - _EPOCH.date()).days * DAY + DAY
            if ends > before:
                continue
            for path in day.iterdir():
                path.unlink()
                gone += 1
            try:
                day.rmdir()
            except OSError as fault:
                # A late text of that day came meanwhile; it goes the next time.
                if fault.errno != errno.ENOTEMPTY:
                    raise
        return gone


def read_text(tx: Transaction, texts: Texts, text: Text) -> tuple[str, str]:
    """Return (request, reply) under the unit's own key; raise NotFound where that was destroyed."""
    key = tx.unit_keys.by_id([text.unit_key]).get(text.unit_key)
    if key is None:
        raise NotFound(f"the text of inference {text.id} was erased: its unit's key was destroyed")
    return texts.read(text, key)


def _bound(inference: str, use_case: str) -> bytes:
    return f"{use_case}\0{inference}".encode()


def _safe(name: str) -> str:
    """Return a name that is one path component, or raise."""
    if not _SAFE.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a folder of texts: letters, digits, _ and - only")
    return name
