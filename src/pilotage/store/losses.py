"""What each worker could not record, where other processes can read it even while the disk is full.

`run/<worker>.health` is made at its whole size once and from then on written in place, which takes no space: the events
and the texts that were lost (u64 each, little-endian), then the CRC-32 of these 16 bytes. It outlives its worker and the
next one of that name goes on counting, so the counts only grow.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".health"
_COUNTS = struct.Struct("<QQ")
_SUM = struct.Struct("<I")
_SIZE = _COUNTS.size + _SUM.size

log = logging.getLogger(__name__)


class Losses(NamedTuple):
    """Events that were not recorded, and texts that were not kept, ever."""

    events: int = 0
    texts: int = 0


class LossFile:
    """One worker's file. Any thread may call `put`, which never raises: serving goes on without it."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._path = directory / f"{worker}{SUFFIX}"
        self._before = _read(self._path) or Losses()
        self._now = Losses()
        self._file = -1
        self._failing = False
        self._lock = threading.Lock()
        with self._lock:
            self._write()

    @property
    def events(self) -> int:
        """Return how many events workers of this name had lost before this process."""
        return self._before.events

    def put(self, events: int, texts: int) -> None:
        """Say what this process has lost since its start."""
        with self._lock:
            # Two threads may come here in the other order than they counted.
            now = Losses(max(events, self._now.events), max(texts, self._now.texts))
            if now != self._now or self._failing:
                self._now = now
                self._write()

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _write(self) -> None:
        data = _COUNTS.pack(self._before.events + self._now.events, self._before.texts + self._now.texts)
        try:
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            made = os.fstat(self._file).st_size < _SIZE
            os.pwrite(self._file, data + _SUM.pack(zlib.crc32(data)), 0)
            if made:
                # Until then some file systems have only promised the space.
                os.fsync(self._file)
        except OSError as fault:
            if not self._failing:
                log.error("%s cannot be written, so nobody learns of what is lost here: %s", self._path, fault)  # noqa: TRY400
            self._failing = True
            return
        self._failing = False


class LossReader:
    """All workers' losses, also of workers that are gone. One thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[str, Losses] = {}
        self.last = Losses()

    def by_worker(self) -> dict[str, int]:
        """Return how many events each worker has lost, as `read` last found it."""
        return {name.removesuffix(SUFFIX): counts.events for name, counts in self._seen.items()}

    def read(self) -> Losses:
        """Return the sum of what every file says, which is `last` from then on.

        A file that is being written, or is gone, counts as it last did.
        """
        for path in self._directory.glob(f"*{SUFFIX}"):
            counts = _read(path)
            if counts is not None:
                self._seen[path.name] = counts
        found = self._seen.values()
        self.last = Losses(sum(one.events for one in found), sum(one.texts for one in found))
        return self.last


def _read(path: Path) -> Losses | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) != _SIZE or _SUM.unpack_from(data, _COUNTS.size)[0] != zlib.crc32(data[: _COUNTS.size]):
        return None
    return Losses(*_COUNTS.unpack_from(data))
