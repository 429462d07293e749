"""Each worker's figures in memory that all workers share, so that whoever is scraped can add them up.

`run/<worker>.figures` is taken at its whole size once and mapped into memory: counting is one addition there, without a
call to the system, and what was counted survives the worker, whose next of that name goes on counting. Little-endian:
a head (16 bytes that name the layout, then u64 bytes in use), then series one after the other: u32 bytes of its name,
u32 cells, the name in UTF-8, padded to 8 bytes, and the cells (f64 each). A series counts once the bytes in use cover it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import struct
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".figures"
ROOM = 1 << 20
_LAYOUT = 16
_USED = struct.Struct("<Q")
_SERIES = struct.Struct("<II")
_HEAD = _LAYOUT + _USED.size

log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """One worker's series by name; `alive` where that worker still runs."""

    alive: bool
    series: dict[str, tuple[float, ...]]


class FigureFile:
    """One worker's file. `cells` are counted in directly, from where `place` says. Where no file can be had, only this
    worker knows its figures.
    """

    def __init__(self, directory: Path, worker: str, layout: str) -> None:
        """`layout` says what the series mean; a file of another one begins anew."""
        self._path = directory / f"{worker}{SUFFIX}"
        self._layout = blake2b(layout.encode(), digest_size=_LAYOUT).digest()
        self._file = -1
        self._map = self._mapped()
        self.cells = memoryview(self._map).cast("d")
        self._places: dict[str, int] = {}
        used = _USED.unpack_from(self._map, _LAYOUT)[0]
        if self._map[:_LAYOUT] != self._layout or not _HEAD <= used <= ROOM:
            self._map[:] = bytes(ROOM)
            self._use(_HEAD)
            self._map[:_LAYOUT] = self._layout
        for name, at, count in _walk(self._map):
            del count
            self._places[name] = at // 8

    def place(self, name: str, cells: int) -> int:
        """Return the first cell of a series, making it where it is new; -1 where there is no room for another."""
        found = self._places.get(name)
        if found is not None:
            return found
        used = _USED.unpack_from(self._map, _LAYOUT)[0]
        said = name.encode()
        at = _aligned(used + _SERIES.size + len(said))
        end = at + cells * 8
        if end > ROOM:
            return -1
        _SERIES.pack_into(self._map, used, len(said), cells)
        self._map[used + _SERIES.size : used + _SERIES.size + len(said)] = said
        self._use(end)
        self._places[name] = at // 8
        return at // 8

    def all(self) -> list[Seen]:
        """Return what every worker counted, this one first. Reads files, so it blocks."""
        return [
            Seen(alive=True, series=_series(self._map[:])),
            *others(self._path.parent, but=self._path.name if self._file >= 0 else ""),
        ]

    def close(self) -> None:
        self.cells.release()
        self._map.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _mapped(self) -> mmap.mmap:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _fill(self._file)
            return mmap.mmap(self._file, ROOM)
        except OSError as fault:
            log.error("%s cannot be had, so only this worker shows its figures: %s", self._path, fault)  # noqa: TRY400
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            return mmap.mmap(-1, ROOM)

    def _use(self, end: int) -> None:
        _USED.pack_into(self._map, _LAYOUT, end)


def others(directory: Path, *, but: str = "") -> Iterator[Seen]:
    """Yield what each file says, less the one named."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if path.name == but:
            continue
        with suppress(OSError):
            file = os.open(path, os.O_RDONLY)
            try:
                data = os.pread(file, ROOM, 0)
                yield Seen(alive=_held(file), series=_series(data))
            finally:
                os.close(file)


def clear(directory: Path) -> None:
    """Remove the files of an earlier run."""
    for path in directory.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)


def _fill(file: int) -> None:
    """Take all of its room now: where a full disk could not give a page later, writing to it would end the process."""
    size = os.fstat(file).st_size
    if size < ROOM and os.pwrite(file, bytes(ROOM - size), size) < ROOM - size:
        raise OSError(errno.ENOSPC, "there is no room for it")


def _held(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _series(data: bytes) -> dict[str, tuple[float, ...]]:
    return {name: struct.unpack_from(f"<{count}d", data, at) for name, at, count in _walk(data)}


def _walk(data: bytes | mmap.mmap) -> Iterator[tuple[str, int, int]]:
    """Yield (name, byte at which its cells begin, their number); stop at what is no series."""
    if len(data) < _HEAD:
        return
    used, at = _USED.unpack_from(data, _LAYOUT)[0], _HEAD
    while at + _SERIES.size <= min(used, len(data)):
        length, count = _SERIES.unpack_from(data, at)
        cells = _aligned(at + _SERIES.size + length)
        if cells + count * 8 > len(data):
            return
        name = bytes(data[at + _SERIES.size : at + _SERIES.size + length]).decode(errors="replace")
        yield name, cells, count
        at = cells + count * 8


def _aligned(at: int) -> int:
    return (at + 7) & ~7
