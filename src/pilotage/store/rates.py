"""Who asked how much in this minute, and what whom has cost in this day and month, counted together by all workers of one
machine: `run/<worker>.rates`, and `.days` and `.months` where units have budgets.

Each worker counts in a file of its own that all others map too: two tables, one for even periods and one for odd, of
cells (subject, requests, amount) found by hashing. Who asks is counted first and then compared with the sum over all
tables, so of two workers that admit the last request at once neither does, rather than both. Nothing is locked, and what
a worker that was killed has counted stays.
"""

from __future__ import annotations

import logging
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pilotage.spec.period import Kind

MINUTES, DAYS, MONTHS = ".rates", ".days", ".months"
SLOTS = 1 << 16
"""Subjects in one minute that a worker can tell apart: beyond most of them, new ones are turned away."""
MANY = 1 << 18
"""The same, in one day or month."""
_CELL = 3
_PROBES = 64

log = logging.getLogger(__name__)


class Count:
    """One request in its worker's table, in the cell that begins at `cell`, and who has asked how much with it.

    `passed` says which limit it would pass; then it is not counted.
    """

    __slots__ = ("_cell", "_half", "_period", "_supposed", "_table", "amount", "passed", "requests")

    def __init__(self, table: memoryview, half: int, cell: int, period: int, supposed: int) -> None:
        self._table, self._half, self._cell, self._period = table, half, cell, period
        self._supposed = supposed
        self.requests = self.amount = 0
        self.passed = ""

    def correct(self, amount: int) -> None:
        """Say how much it was in place of what was supposed."""
        self.add(amount - self._supposed)
        self._supposed = amount

    def add(self, amount: int) -> None:
        """Count so much more for it, or less where that is below 0, as long as its period lasts."""
        if self._table[self._half] == self._period:
            self._table[self._cell + 2] = max(0, self._table[self._cell + 2] + amount)

    def undo(self) -> None:
        """Take it back: what it was counted for does not come to pass."""
        if self._table[self._half] == self._period:
            self._table[self._cell + 1] -= 1
        self.correct(0)


class Rates:
    """One worker's counting. One thread takes; `follow` may run in another."""

    def __init__(self, directory: Path, worker: str, suffix: str = MINUTES, slots: int = SLOTS) -> None:
        self._directory = directory
        self._suffix = suffix
        self._path = directory / f"{worker}{suffix}"
        self._mask = slots - 1
        self._half = 1 + _CELL * (slots + _PROBES)
        self._size = 2 * self._half * 8
        self._mine = self._made()
        self._others: dict[Path, memoryview] = {}
        self._full = False
        self.follow()

    def take(self, subject: int, period: int, amount: int, *, requests: int, most: int) -> Count:
        """Count one request of a subject (a hash of 64 bits), unless it would pass a limit: 0 is none."""
        table = self._mine
        half = (period & 1) * self._half
        cell = self._cell(subject, period, half)
        count = Count(table, half, cell, period, amount)
        if cell < 0:
            count.passed = "requests" if requests else "amount"
            return count
        table[cell + 1] += 1
        table[cell + 2] += amount
        asked, used = table[cell + 1], table[cell + 2]
        for other in self._others.values():
            place = self._found(other, subject, period, half)
            if place >= 0:
                asked += other[place + 1]
                used += other[place + 2]
        count.requests, count.amount = asked, used
        if requests and asked > requests:
            count.passed = "requests"
        elif most and used > most:
            count.passed = "amount"
        if count.passed:
            table[cell + 1] -= 1
            table[cell + 2] -= amount
        return count

    def follow(self) -> None:
        """Take in the tables of workers that have come. Those that went still count."""
        for path in self._directory.glob(f"*{self._suffix}"):
            if path != self._path and path not in self._others:
                try:
                    if path.stat().st_size == self._size:
                        self._others = {**self._others, path: _mapped(path)}
                except OSError as fault:
                    log.warning("%s cannot be read, so what that worker admits is not counted here: %s", path, fault)

    def _cell(self, subject: int, period: int, half: int) -> int:
        """Return where this worker counts a subject, or -1 where there is no room for one more."""
        table = self._mine
        if table[half] != period:
            # Nobody else reads it as this period's before it says so.
            table[half] = 0
            table[half + 1 : half + self._half] = memoryview(bytes((self._half - 1) * 8)).cast("Q")
            table[half] = period
        place = half + 1 + _CELL * (subject & self._mask)
        for cell in range(place, place + _CELL * _PROBES, _CELL):
            if table[cell] == subject:
                return cell
            if not table[cell]:
                table[cell] = subject
                return cell
        if not self._full:
            log.error("%s: more have asked at one time than can be told apart (about %d)", self._path, self._mask + 1)
            self._full = True
        return -1

    def _found(self, table: memoryview, subject: int, period: int, half: int) -> int:
        """Return where another worker counts a subject, or -1 where it does not."""
        if table[half] != period:
            return -1
        place = half + 1 + _CELL * (subject & self._mask)
        for cell in range(place, place + _CELL * _PROBES, _CELL):
            if table[cell] == subject:
                return cell
            if not table[cell]:
                return -1
        return -1

    def _made(self) -> memoryview:
        """Return this worker's table: the one that a worker of this name left, or a new one."""
        try:
            if not self._path.exists() or self._path.stat().st_size != self._size:
                new = self._path.with_name(f"{self._path.name}.new")
                file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
                try:
                    # With its space at once: a full disk later would be found by a signal, in the middle of a request.
                    os.posix_fallocate(file, 0, self._size)
                finally:
                    os.close(file)
                new.replace(self._path)
            return _mapped(self._path)
        except OSError as fault:
            log.error("%s cannot be made, so this worker counts alone: %s", self._path, fault)  # noqa: TRY400
            return memoryview(mmap.mmap(-1, self._size)).cast("Q")


class Counters:
    """A worker's counting of minutes, and of days and months from when they are first asked for."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._directory, self._worker = directory, worker
        self.minutes = Rates(directory, worker)
        self._periods: dict[str, Rates] = {}

    def __getitem__(self, kind: Kind) -> Rates:
        """Return what counts days, or months."""
        if kind not in self._periods:
            suffix = DAYS if kind == "day" else MONTHS
            self._periods = {**self._periods, kind: Rates(self._directory, self._worker, suffix, MANY)}
        return self._periods[kind]

    def follow(self) -> None:
        for one in (self.minutes, *self._periods.values()):
            one.follow()


def _mapped(path: Path) -> memoryview:
    file = os.open(path, os.O_RDWR)
    try:
        return memoryview(mmap.mmap(file, 0)).cast("Q")
    finally:
        os.close(file)
