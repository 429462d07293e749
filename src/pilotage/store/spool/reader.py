"""Reading the spool: whole frames only, damage put aside, the living told from the dead."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pilotage.records import SpoolEvent
from pilotage.store.disk import put_aside, sync_directory
from pilotage.store.spool.frames import HEADER, LARGEST, next_whole, torn, whole
from pilotage.store.spool.writer import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)


class Reader:
    """Every process's appends, each event once and in order within its segment.

    `cut` counts torn tails, `quarantined` the pieces put aside under `spool/quarantine`: damaged bytes, and whole
    events that this version does not know.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._quarantine = directory / "quarantine"
        self._decoder: msgspec.json.Decoder[SpoolEvent] = msgspec.json.Decoder(SpoolEvent)
        self._said: set[tuple[str, int]] = set()
        self.cut = 0
        self.quarantined = 0

    def segments(self) -> list[str]:
        return sorted(path.stem for path in self._directory.glob(f"*{SUFFIX}"))

    def read(
        self, segment: str, offset: int, *, limit: int = 4 << 20
    ) -> tuple[list[tuple[int, SpoolEvent]], int, bool]:
        """Return ([(offset, event), ...], next offset, whether the segment has ended); see base.SpoolReader."""
        with self._open(segment) as file:
            # Asked before the size is: a writer that is gone now has written all that it ever will.
            ended = _is_released(file)
            size = os.fstat(file).st_size
            data = os.pread(file, max(limit, HEADER + LARGEST), offset)
            events: list[tuple[int, SpoolEvent]] = []
            position = 0
            while end := whole(data, position):
                try:
                    events.append((offset + position, self._decoder.decode(data[position + HEADER : end])))
                except msgspec.MsgspecError as fault:
                    why = f"an event that this version cannot read ({fault})"
                    self._put_aside(segment, offset + position, data[position + HEADER : end], why)
                position = end
            if position == 0 and offset < size:
                return [], *self._pass_damage(file, segment, offset, ended=ended)
            return events, offset + position, ended and offset + position >= size

    def remove(self, segment: str) -> None:
        """Unlink a wholly sealed segment, durably: one that came back after a power loss would be sealed twice."""
        (self._directory / f"{segment}{SUFFIX}").unlink(missing_ok=True)
        sync_directory(self._directory)

    def _pass_damage(self, file: int, segment: str, offset: int, *, ended: bool) -> tuple[int, bool]:
        """There is no whole frame at `offset`: return where to go on, and whether that is the end."""
        rest = os.pread(file, os.fstat(file).st_size, offset)
        following = next_whole(rest, 0)
        if following is not None:
            # Frames are written in order, so what lies before a whole one is not about to become whole. A `following`
            # of 0 was: its last bytes arrived in between.
            if following:
                self._put_aside(segment, offset, rest[:following], "damaged bytes between whole frames")
            return offset + following, False
        if not ended:
            return offset, False
        if not torn(rest):
            self._put_aside(segment, offset, rest, "damaged bytes at the end")
        elif self._say(segment, offset, f"{len(rest)} bytes cut: its writer died over an unfinished write"):
            self.cut += 1
        return offset, True

    def _put_aside(self, segment: str, offset: int, data: bytes, why: str) -> None:
        if not self._say(segment, offset, f"{len(data)} bytes moved to {self._quarantine}: {why}"):
            return
        put_aside(self._quarantine, segment, offset, data)
        self.quarantined += 1

    def _say(self, segment: str, offset: int, what: str) -> bool:
        """Log once what is wrong at a place; return whether this was the first time."""
        if (segment, offset) in self._said:
            return False
        self._said.add((segment, offset))
        log.warning("spool segment %s at byte %d: %s", segment, offset, what)
        return True

    @contextmanager
    def _open(self, segment: str) -> Iterator[int]:
        file = os.open(self._directory / f"{segment}{SUFFIX}", os.O_RDONLY)
        try:
            yield file
        finally:
            os.close(file)


def _is_released(file: int) -> bool:
    """Return whether no writer holds this segment. A shared lock, so that readers do not take each other for writers."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True
