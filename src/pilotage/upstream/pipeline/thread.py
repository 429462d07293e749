"""A thread with an event loop of its own, so that a pipeline which blocks or computes holds up nobody else's requests."""

from __future__ import annotations

import asyncio
import inspect
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pilotage.errors import UpstreamError
from pilotage.upstream.complaints import Complaints

if TYPE_CHECKING:
    from collections.abc import Callable

AHEAD = 32
"""Pieces that a pipeline may be ahead of its caller."""


class Run:
    """One call of a pipeline. Its pieces are read in the caller's loop, in the order in which they were made."""

    def __init__(self, thread: Thread, function: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> None:
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._ahead = asyncio.Semaphore(AHEAD)
        self._left = False
        thread.loop.call_soon_threadsafe(self._begin, function, request)

    async def next(self) -> Any:
        """Return the next piece, or None at the end; raise UpstreamError where the pipeline raised."""
        piece = await self._pieces.get()
        if isinstance(piece, UpstreamError):
            raise piece
        if piece is not None:
            self._thread.loop.call_soon_threadsafe(self._ahead.release)
        return piece

    def leave(self) -> None:
        """Cancel it: nobody reads what it still makes."""
        self._thread.loop.call_soon_threadsafe(self._cancel)

    # In the pipeline's thread.

    def _begin(self, function: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> None:
        if not self._left:
            self._task = asyncio.get_running_loop().create_task(self._make(function, request))

    def _cancel(self) -> None:
        self._left = True
        if self._task is not None:
            self._task.cancel()

    async def _make(self, function: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> None:
        try:
            made = function(request)
            if inspect.isasyncgen(made):
                async for piece in made:
                    if piece is not None:
                        await self._ahead.acquire()
                        self._give(piece)
            else:
                self._give(await made)
        except Exception as raised:  # noqa: BLE001 - it is the team's own code, and its faults are its release's
            # Its text may repeat what the caller wrote; its kind and place do not.
            where = traceback.extract_tb(raised.__traceback__)[-1]
            kind = type(raised).__name__
            place = f"{kind} in {where.name}, line {where.lineno} of {where.filename}"
            self._thread.complaints.say(f"the pipeline {self._thread.name}", kind, place)
            self._give(UpstreamError("pipeline", f"the pipeline of this release failed ({kind})"))
        else:
            self._give(None)

    def _give(self, piece: Any) -> None:
        # At the worker's end its loop is closed, and nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)


class Thread:
    def __init__(self, name: str) -> None:
        self.name = name
        self.complaints = Complaints()
        self.loop = asyncio.new_event_loop()
        # A daemon, for a pipeline that never returns must not keep the worker from ending.
        self._thread = threading.Thread(target=self._run, name=f"pipeline {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
