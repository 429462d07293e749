"""Appending to the spool: segments, each with one writing process.

A writer holds a lock (flock) on its open segment for as long as it lives, which is how a reader tells a frame that is
still being written from one whose writer died over it. A segment's name is never used twice.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import msgspec

from pilotage.clock import SystemClock, new_id
from pilotage.errors import WorkspaceUnusable, WrongCall
from pilotage.store.disk import sync_directory
from pilotage.store.spool.frames import frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pilotage.records import SpoolEvent

SUFFIX = ".spool"
SEGMENT_SIZE = 8 << 20
SEGMENT_SECONDS = 3_600.0
"""A segment ends after this long however little is in it: what it holds of people leaves it when it is sealed."""
_UNSYNCED_SEGMENTS = 4

log = logging.getLogger(__name__)


class Writer:
    """One process's appends; any thread may call.

    A segment is made at the first append, rolled at `size` bytes, and ended by a sync once it is `seconds` old.
    """

    def __init__(
        self, directory: Path, worker: str, *, size: int = SEGMENT_SIZE, seconds: float = SEGMENT_SECONDS
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_]+", worker):
            raise ValueError(f"a worker's name is letters, digits and _, not {worker!r}: it begins its segments' names")
        self._directory = directory
        self._worker = worker
        self._size, self._seconds = size, seconds
        self._begun = 0.0
        self._encoder = msgspec.json.Encoder()
        self._lost = 0
        self._failing = False
        self._writing = threading.Lock()
        self._file = -1
        self._end = 0
        # What the next sync owes: segments rolled since the last one, the directory's entries, and how often it failed.
        self._syncing = threading.Lock()
        self._rolled: list[int] = []
        self._directory_changed = False
        self._failures = 0

    @property
    def lost(self) -> int:
        return self._lost

    def append(self, event: SpoolEvent) -> bool:
        """Append by one unbuffered write; return whether that worked (`lost` counts what did not)."""
        try:
            data = frame(self._encoder.encode(event))
            with self._writing:
                if self._file < 0 or self._end >= self._size:
                    self._roll()
                written = os.write(self._file, data)
                if written != len(data):
                    self._mend([data], written)
                self._end += written
        except (OSError, ValueError) as fault:
            self._lost += 1
            if not self._failing:
                log.error("the spool %s cannot be written, events are being lost: %s", self._directory, fault)  # noqa: TRY400
            self._failing = True
            return False
        self._failing = False
        return True

    def append_durably(self, events: Sequence[SpoolEvent]) -> None:
        """Append and make durable before returning. Blocks, so call it in a thread, for a group of events at once.

        Raises WorkspaceUnusable where it failed: some of the events may be stored all the same, none was promised.
        """
        try:
            frames = [frame(self._encoder.encode(event)) for event in events]
        except ValueError as fault:
            raise WrongCall(f"not recorded: {fault}", hint="send shorter values") from fault
        try:
            with self._writing:
                self._write(frames)
                failures = self._failures
            self._sync()
        except OSError as fault:
            raise self._unusable(fault) from fault
        if self._failures != failures:
            # Another thread's sync took the segment that holds these events, and failed.
            raise self._unusable(OSError(errno.EIO, "an earlier sync failed"))

    def sync(self) -> None:
        """Make everything appended so far survive power loss. Blocks, so call it in a thread."""
        with self._writing:
            if self._file >= 0 and time.monotonic() - self._begun >= self._seconds:
                self._leave()
        try:
            self._sync()
        except OSError as fault:
            raise self._unusable(fault) from fault

    def close(self) -> None:
        """End the segment. What was appended is with the system; call `sync` first to have it on the disk."""
        with self._syncing, self._writing:
            for file in (*self._rolled, self._file):
                if file >= 0:
                    os.close(file)
            self._rolled, self._file = [], -1

    def _write(self, frames: list[bytes]) -> None:
        """Append frames by one write."""
        if self._file < 0 or self._end >= self._size:
            self._roll()
        data = b"".join(frames)
        written = os.write(self._file, data)
        if written != len(data):
            self._mend(frames, written)
        self._end += written

    def _mend(self, frames: list[bytes], written: int) -> NoReturn:
        """Cut off the torn frame that a write left which came out short, and raise."""
        # Whole frames stay, for a reader may have taken them already: what it saw must never be overwritten.
        kept = 0
        for one in frames:
            if kept + len(one) > written:
                break
            kept += len(one)
        self._end += kept
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            self._leave()
        raise OSError(errno.ENOSPC, "the write came out short: the disk is full")

    def _roll(self) -> None:
        """Begin a new segment; where that fails and there is an old one, go on in it."""
        segment = f"{self._worker}-{new_id(SystemClock())}"
        new, name = self._directory / f"{segment}.new", self._directory / f"{segment}{SUFFIX}"
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            try:
                # Locked before it has its name, so that no reader ever finds it free while its writer lives.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                new.rename(name)
            except OSError:
                os.close(file)
                new.unlink(missing_ok=True)
                raise
        except OSError:
            if self._file < 0:
                raise
            return
        self._leave()
        self._file, self._end, self._begun = file, 0, time.monotonic()
        self._directory_changed = True

    def _leave(self) -> None:
        """End the current segment for readers; its bytes are still owed to the next sync."""
        if self._file < 0:
            return
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._rolled.append(self._file)
        self._file = -1
        if len(self._rolled) > _UNSYNCED_SEGMENTS:
            os.close(self._rolled.pop(0))

    def _sync(self) -> None:
        # One at a time: who waits here has its events on the disk when the other is done, or syncs them itself.
        with self._syncing:
            with self._writing:
                files, self._rolled = self._rolled, []
                if self._file >= 0:
                    # A copy, for the segment may be rolled meanwhile; writing goes on during the sync.
                    files.append(os.dup(self._file))
                directory, self._directory_changed = self._directory_changed, False
            try:
                for file in files:
                    os.fdatasync(file)
                if directory:
                    sync_directory(self._directory)
            except OSError:
                with self._writing:
                    # The system forgets pages that it failed to write; a second sync of this file would lie.
                    self._failures += 1
                    self._directory_changed |= directory
                    self._leave()
                raise
            finally:
                for file in files:
                    os.close(file)

    def _unusable(self, fault: OSError) -> WorkspaceUnusable:
        return WorkspaceUnusable(
            f"the spool {self._directory} cannot be written: {fault}",
            hint="free space on that disk, then send it again with the same id",
        )
