"""What each worker spent on shadow traffic today, where the others can read it: `run/<worker>.purse`.

The file is JSON, `{"day": days since 1970 in UTC, "spent": {use case: millionths}}`, replaced whole. It is written and
read when `exchange` is called, so workers know of each other's spending a moment late, and a worker that was killed has
forgotten what it spent since then. Where it cannot be written, nothing more may be spent.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import msgspec

from pilotage.clock import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from pilotage.clock import Clock

SUFFIX = ".purse"
log = logging.getLogger(__name__)


class _Day(msgspec.Struct):
    day: int = 0
    spent: dict[str, int] = {}


_DAY = msgspec.json.Decoder(_Day)


class PurseFile:
    """One worker's purse. `spent` and `spend` belong to its loop; `exchange` blocks, and any thread may call it."""

    def __init__(self, directory: Path, worker: str, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._path = directory / f"{worker}{SUFFIX}"
        self._mine = _read(self._path) or _Day()
        self._others: list[_Day] = []
        self._written: bytes | None = None
        self.usable = False

    def spent(self, use_case: str) -> int:
        """Return what all workers together have spent on a use case today, as far as it is known."""
        today = self._today()
        return sum(one.spent.get(use_case, 0) for one in (self._mine, *self._others) if one.day == today)

    def spend(self, use_case: str, cost: int) -> None:
        today = self._today()
        if self._mine.day != today:
            self._mine = _Day(today)
        self._mine.spent[use_case] = self._mine.spent.get(use_case, 0) + cost

    def exchange(self) -> None:
        """Say what was spent here, and learn what was spent elsewhere."""
        data = msgspec.json.encode(_Day(self._mine.day, dict(self._mine.spent)))
        if data != self._written:
            new = self._path.with_suffix(".purse-new")
            try:
                new.write_bytes(data)
                os.replace(new, self._path)  # noqa: PTH105 - one call, and it is atomic
            except OSError as fault:
                if self.usable:
                    log.error("%s cannot be written, so no request is copied: %s", self._path, fault)  # noqa: TRY400
                self.usable = False
                return
            self._written = data
        found = (_read(path) for path in self._directory.glob(f"*{SUFFIX}") if path != self._path)
        self._others = [one for one in found if one is not None]
        self.usable = True

    def _today(self) -> int:
        return self._clock.now() // DAY


def _read(path: Path) -> _Day | None:
    try:
        return _DAY.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
