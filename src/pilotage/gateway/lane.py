"""What answers one request: a coroutine that goes on as soon as what it waits for is there, and not in a later turn of the loop.

A task of the loop's costs more than many a step of the work, and each of its waits a turn of the loop. Within a lane a task's
own timeouts and the like work: it is made known to asyncio as a task is ("Extending asyncio" in Python's documentation).
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Lane:
    """`ended` is called with it when the coroutine is over, however that came. What the coroutine raises is its loop's to tell."""

    __slots__ = ("__weakref__", "_cancels", "_coroutine", "_ended", "_loop", "_owes", "_waits")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, None, None],
        ended: Callable[[Lane], None],
    ) -> None:
        self._loop = loop
        self._coroutine: Coroutine[Any, None, None] | None = coroutine
        self._ended = ended
        self._waits: Any = None
        self._cancels = 0
        self._owes = False
        """Whether it is cancelled, and the coroutine has not heard of it yet."""

    def start(self) -> None:
        self._go_on()

    # What asyncio asks of a task.

    def cancel(self, msg: object = None) -> bool:
        del msg
        if self._coroutine is None:
            return False
        self._cancels += 1
        if self._waits is None or not self._waits.cancel():
            self._owes = True
        return True

    def cancelling(self) -> int:
        return self._cancels

    def uncancel(self) -> int:
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    def done(self) -> bool:
        return self._coroutine is None

    def _go_on(self, _: object = None) -> None:
        """Go on now, or in the loop's next turn where another task or lane is under way."""
        if asyncio.current_task(self._loop) is not None:
            self._loop.call_soon(self._go_on)
            return
        coroutine = self._coroutine
        if coroutine is None:
            return
        self._waits = None
        known = cast("asyncio.Task[None]", self)
        _enter_task(self._loop, known)
        try:
            if self._owes:
                self._owes = False
                waits = coroutine.throw(asyncio.CancelledError())
            else:
                waits = coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            self._end()
        except BaseException:
            self._end()
            raise
        else:
            self._wait(waits)
        finally:
            _leave_task(self._loop, known)

    def _wait(self, waits: Any) -> None:
        """Go on when this future, or bell, is done; for None, in the loop's next turn."""
        if waits is None:
            self._loop.call_soon(self._go_on)
            return
        waits._asyncio_future_blocking = False  # noqa: SLF001 - asyncio's own way to tell what waits from what was only yielded
        self._waits = waits
        waits.add_done_callback(self._go_on)
        if self._owes and waits.cancel():
            self._owes = False

    def _end(self) -> None:
        self._coroutine = None
        self._ended(self)
