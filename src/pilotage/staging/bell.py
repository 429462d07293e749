"""Waking at a moment, to within a tenth of a millisecond or so: the loops' own timers know whole milliseconds only.

Linux has a timer that is a file (timerfd_create(2)), which a loop can watch like a socket. Who waits there sleeps, so the
system lets it run as soon as the moment is there; waiting awake instead takes a core from those that are to be measured, and is
punished by the scheduler for it. Where there is none, the last milliseconds are waited for awake.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from contextlib import suppress
from typing import Self

AWAKE = 0.002
"""Seconds before the moment from which on nothing sleeps, where only the loop's timers are there."""
_MONOTONIC, _ABSOLUTE = 1, 1
_NONBLOCK = 0o4000
_LEAST = 20e-6
"""Seconds that are not worth sleeping for."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Bell:
    """Wakes one waiter; used as a context manager, within a running loop. Times are of `time.monotonic`."""

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._file = -1
        with suppress(OSError, AttributeError, NotImplementedError):
            self._file = self._made()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)

    async def until(self, moment: float) -> None:
        """Return when it is there, or at once where it has passed."""
        left = moment - time.monotonic()
        if left <= _LEAST:
            # Answers that have come are taken in even so.
            await asyncio.sleep(0)
        elif self._file < 0:
            await asyncio.sleep(max(0.0, left - AWAKE))
        else:
            self._rung.clear()
            self._set(moment)
            await self._rung.wait()

    def _made(self) -> int:
        if sys.platform != "linux":
            raise NotImplementedError
        self._system = ctypes.CDLL(None, use_errno=True)
        file = int(self._system.timerfd_create(_MONOTONIC, _NONBLOCK | os.O_CLOEXEC))
        if file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop.add_reader(file, self._ring)
        return file

    def _set(self, moment: float) -> None:
        whole = int(moment)
        value = _Timespec(whole, max(1, int((moment - whole) * 1e9)))
        setting = _Setting(_Timespec(0, 0), value)
        if self._system.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(setting), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._file, 8)
        self._rung.set()
