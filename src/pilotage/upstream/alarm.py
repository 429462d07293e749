"""A timer that is moved often and rings seldom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

NEVER = float("inf")


class Alarm:
    """Rings once, at or after the time it was last set to (the loop's seconds).

    Moving it later costs a comparison: the system's timer stays where it is, and on going off too early it is wound up
    again. What is set for each request and hardly ever rings would otherwise cost two system timers a request.
    """

    __slots__ = ("_armed", "_due", "_handle", "_loop", "_ring")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._due = self._armed = NEVER
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Ring at this time, and not when it was to ring before; NEVER is a time too."""
        self._due = at
        if at < self._armed:
            self._arm(at)

    def close(self) -> None:
        self._due = self._armed = NEVER
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = at
        self._handle = self._loop.call_at(at, self._off)

    def _off(self) -> None:
        self._handle, self._armed = None, NEVER
        if self._due > self._loop.time():
            if self._due != NEVER:
                self._arm(self._due)
            return
        self._due = NEVER
        self._ring()
