"""What one coroutine waits for until it is rung: like a future, but whoever drives the coroutine itself hears it at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context


class Bell:
    """For one waiting, by a task of the loop's (which hears it in its next turn) or by a lane of the gateway's."""

    __slots__ = ("_asyncio_future_blocking", "_call", "_context", "_gone", "_loop", "_rung")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = self._gone = self._asyncio_future_blocking = False
        self._call: Callable[[Bell], object] | None = None
        self._context: Context | None = None

    def ring(self) -> None:
        if not self._rung:
            self._rung = True
            call, self._call = self._call, None
            if call is not None and self._context is None:
                call(self)
            elif call is not None:
                self._loop.call_soon(call, self, context=self._context)

    # What a task, or a lane, asks of whatever it is told to wait for.

    def __await__(self) -> Generator[Bell, None, None]:
        if not self._rung:
            self._asyncio_future_blocking = True
            yield self
        if self._gone:
            raise asyncio.CancelledError

    def add_done_callback(self, call: Callable[[Bell], object], *, context: Context | None = None) -> None:
        """Call it when rung: at once, or where a context is given, in it and in the loop's next turn."""
        self._call, self._context = call, context

    def cancel(self, msg: object = None) -> bool:
        del msg
        if self._rung:
            return False
        self._rung = self._gone = True
        call, self._call = self._call, None
        if call is not None:
            # Never at once: who cancels may have more to do before it is heard, as asyncio's timeouts do.
            self._loop.call_soon(call, self, context=self._context)
        return True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def result(self) -> None:
        if self._gone:
            raise asyncio.CancelledError
