"""Who asked how much in this minute, counted together by all workers of one machine: `run/<worker>.rates`.

Each worker counts in a file of its own that all others map too: two tables, one for even minutes and one for odd, of
cells (subject, requests, tokens) found by hashing. Who asks is counted first and then compared with the sum over all
tables, so of two workers that admit the last request at once neither does, rather than both. Nothing is locked, and what
a worker that was killed has counted stays.
"""

from __future__ import annotations

import logging
import mmap
import os
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".rates"
SLOTS = 1 << 16
"""Subjects in one minute that a worker can tell apart: beyond most of them, new ones are turned away."""
_CELL = 3
_PROBES = 64
_HALF = 1 + _CELL * (SLOTS + _PROBES)
_SIZE = 2 * _HALF * 8
_MASK = SLOTS - 1
_NOTHING = bytes((_HALF - 1) * 8)

log = logging.getLogger(__name__)

Passed = Literal["requests", "tokens"]


class Count(NamedTuple):
    """One admitted request in its worker's table: `supposed` tokens, in the cell that begins at `cell`."""

    table: memoryview
    cell: int
    minute: int
    supposed: int

    def correct(self, tokens: int) -> None:
        """Say how many tokens it was, as long as its minute lasts."""
        if self.table[self.cell - self.cell % _HALF] == self.minute:
            self.table[self.cell + 2] = max(0, self.table[self.cell + 2] + tokens - self.supposed)


class Rates:
    """One worker's counting. One thread takes; `follow` may run in another."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._directory = directory
        self._path = directory / f"{worker}{SUFFIX}"
        self._mine = self._made()
        self._others: dict[Path, memoryview] = {}
        self._full = False
        self.follow()

    def take(self, subject: int, minute: int, tokens: int, *, requests: int, most: int) -> Count | Passed:
        """Count one request of a subject (a hash of 64 bits), or say which limit it would pass: 0 is none."""
        table = self._mine
        cell = self._cell(subject, minute)
        if cell < 0:
            return "requests"
        table[cell + 1] += 1
        table[cell + 2] += tokens
        asked, used = table[cell + 1], table[cell + 2]
        for other in self._others.values():
            place = _found(other, subject, minute)
            if place >= 0:
                asked += other[place + 1]
                used += other[place + 2]
        if (not requests or asked <= requests) and (not most or used <= most):
            return Count(table, cell, minute, tokens)
        table[cell + 1] -= 1
        table[cell + 2] -= tokens
        return "requests" if requests and asked > requests else "tokens"

    def follow(self) -> None:
        """Take in the tables of workers that have come. Those that went still count."""
        for path in self._directory.glob(f"*{SUFFIX}"):
            if path != self._path and path not in self._others:
                try:
                    if path.stat().st_size == _SIZE:
                        self._others = {**self._others, path: _mapped(path)}
                except OSError as fault:
                    log.warning("%s cannot be read, so what that worker admits is not counted here: %s", path, fault)

    def _cell(self, subject: int, minute: int) -> int:
        """Return where this worker counts a subject, or -1 where there is no room for one more."""
        table, half = self._mine, (minute & 1) * _HALF
        if table[half] != minute:
            # Nobody else reads it as this minute's before it says so.
            table[half] = 0
            table[half + 1 : half + _HALF] = memoryview(_NOTHING).cast("Q")
            table[half] = minute
        place = half + 1 + _CELL * (subject & _MASK)
        for cell in range(place, place + _CELL * _PROBES, _CELL):
            if table[cell] == subject:
                return cell
            if not table[cell]:
                table[cell] = subject
                return cell
        if not self._full:
            log.error("more than about %d have asked in one minute, and more are not told apart", SLOTS)
            self._full = True
        return -1

    def _made(self) -> memoryview:
        """Return this worker's table: the one that a worker of this name left, or a new one."""
        try:
            if not self._path.exists() or self._path.stat().st_size != _SIZE:
                new = self._path.with_suffix(".new")
                file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
                try:
                    # With its space at once: a full disk later would be found by a signal, in the middle of a request.
                    os.posix_fallocate(file, 0, _SIZE)
                finally:
                    os.close(file)
                new.replace(self._path)
            return _mapped(self._path)
        except OSError as fault:
            log.error("%s cannot be made, so this worker counts alone: %s", self._path, fault)  # noqa: TRY400
            return memoryview(mmap.mmap(-1, _SIZE)).cast("Q")


def _found(table: memoryview, subject: int, minute: int) -> int:
    """Return where another worker counts a subject, or -1 where it does not."""
    half = (minute & 1) * _HALF
    if table[half] != minute:
        return -1
    place = half + 1 + _CELL * (subject & _MASK)
    for cell in range(place, place + _CELL * _PROBES, _CELL):
        if table[cell] == subject:
            return cell
        if not table[cell]:
            return -1
    return -1


def _mapped(path: Path) -> memoryview:
    file = os.open(path, os.O_RDWR)
    try:
        return memoryview(mmap.mmap(file, _SIZE)).cast("Q")
    finally:
        os.close(file)
