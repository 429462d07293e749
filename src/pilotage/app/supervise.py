"""The parent's work while it serves: its workers and its control process, kept, replaced and ended in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from pilotage.app.child import Child
from pilotage.app.doors import terminal
from pilotage.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

START_SECONDS = 60
DRAIN_SECONDS = 40
"""Above the 30 s that a worker gives the answers it has begun."""

log = logging.getLogger(__name__)


class Slot:
    """The place of one worker. Two take turns in it, by two names, so that the next one may start beside the last."""

    def __init__(self, make: Callable[[str], Child], name: str) -> None:
        self._make = make
        self._names = (name, f"{name}b")
        self._turn = 0
        self.child = make(name)
        self.kept = asyncio.ensure_future(self.child.keep())

    async def replace(self) -> tuple[Child, asyncio.Future[None]] | None:
        """Start the next one and, once it works, let the last one end; return that, or None where the next would not start."""
        name = self._names[1 - self._turn]
        new = self._make(name)
        kept = asyncio.ensure_future(new.keep())
        try:
            await _first(new.ready.wait(), new.died.wait(), seconds=START_SECONDS)
        except asyncio.CancelledError:
            new.end(at_once=True)
            await kept
            raise
        if not new.ready.is_set() or new.died.is_set():
            new.end(at_once=True)
            await kept
            return None
        last = self.child, self.kept
        self._turn = 1 - self._turn
        self.child, self.kept = new, kept
        last[0].end(retire=True)
        return last


class Supervisor:
    def __init__(self, make: Callable[[str], Child], workers: int, keeper: Child) -> None:
        """`make` gives a worker of a name."""
        self._slots = [Slot(make, f"w{number}") for number in range(workers)]
        self._keeper = keeper
        self._kept = asyncio.ensure_future(keeper.keep())
        self._leaving: list[tuple[Child, asyncio.Future[None]]] = []
        self._reload = asyncio.Event()
        self._asked = asyncio.Event()

    async def run(self, answering: Callable[[], Awaitable[None]], running: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP replaces every process. `running` is called once `answering` returned."""
        loop = asyncio.get_running_loop()
        terminal_at_start = terminal()

        def hung_up() -> None:
            # A terminal that closes says the same as who asks for a reload; but then there is nobody left to serve for.
            (self._asked if terminal_at_start and not terminal() else self._reload).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked.set)
        loop.add_signal_handler(signal.SIGHUP, hung_up)
        try:
            if not await _first(_within(answering), self._asked.wait()):
                raise Refused(
                    f"the gateway or the control process did not start within {START_SECONDS} s",
                    hint="the log above says why",
                )
            if not self._asked.is_set():
                running()
                await self._until_asked()
                log.info("ending: answering what was begun")
        finally:
            # A second signal ends everything at once.
            self._asked.clear()
            workers = [(slot.child, slot.kept) for slot in self._slots] + self._leaving
            for group in (workers, [(self._keeper, self._kept)]):
                for child, _ in group:
                    child.end()
                await _gone(group, self._asked)

    async def _until_asked(self) -> None:
        while not self._asked.is_set():
            await _first(self._asked.wait(), self._reload.wait())
            if self._reload.is_set() and not self._asked.is_set():
                self._reload.clear()
                await _first(self._replace_all(), self._asked.wait())

    async def _replace_all(self) -> None:
        began = time.monotonic()
        for slot in self._slots:
            last = await slot.replace()
            if last is None:
                log.error("a new worker did not start, so the others stay as they are; the log above says why")
                return
            self._leaving.append(last)
        self._keeper.renew()
        log.info("every worker was replaced within %.1f s; the last ones end their answers", time.monotonic() - began)
        # Their names are taken until they are gone.
        await _gone(self._leaving, asyncio.Event())
        self._leaving.clear()


async def _gone(children: Sequence[tuple[Child, asyncio.Future[None]]], hurry: asyncio.Event) -> None:
    """Wait until these are gone that were asked to end; end at once what takes too long, or when `hurry` is set."""
    gone = asyncio.gather(*(kept for _, kept in children))
    await _first(asyncio.shield(gone), hurry.wait(), seconds=DRAIN_SECONDS)
    if not gone.done():
        for child, _ in children:
            child.end(at_once=True)
    await gone


async def _first(*waits: Awaitable[Any], seconds: float | None = None) -> bool:
    """Wait for the first of these, which are then given up; return whether it gave something else than False."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return all(task.result() is not False for task in done)
    finally:
        for task in tasks:
            task.cancel()


async def _within(work: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(START_SECONDS):
            await work()
    except TimeoutError:
        return False
    return True
