"""How far the controller sees each rollout, for workers to read: `run/<rollout>.beat`, written in place and never synced.

A beat is a time of the system's monotonic clock, which all processes of one machine share and nobody can set: whole
microseconds, u64, little-endian. `serve` removes those of an earlier run, so every beat that is found is of this one.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

SUFFIX = ".beat"
_TIME = struct.Struct("<Q")


class Heartbeats:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def beat(self, rollout: str, at: int) -> None:
        """Say that what happened up to `at` (monotonic microseconds) was counted and judged."""
        file = os.open(self._path(rollout), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, _TIME.pack(max(0, at)), 0)
        finally:
            os.close(file)

    def heard(self, rollout: str) -> int | None:
        """Return the time of the newest beat, or None where none can be read."""
        try:
            data = self._path(rollout).read_bytes()
        except OSError:
            return None
        return int(_TIME.unpack(data)[0]) if len(data) == _TIME.size else None

    def retain(self, rollouts: Collection[str]) -> None:
        """Remove the beats of all rollouts but these."""
        for path in self._directory.glob(f"*{SUFFIX}"):
            if path.stem not in rollouts:
                path.unlink(missing_ok=True)

    def _path(self, rollout: str) -> Path:
        return self._directory / f"{rollout}{SUFFIX}"
