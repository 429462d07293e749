"""A process that is kept running: started, watched, started again when it dies, ended when asked."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STEADY = 10.0
"""Seconds after which a process counts as running well, so that the next death is followed by a short pause again."""
RETIRE = signal.SIGUSR1
"""Asks a worker to end as SIGTERM does, but not to hurry: another one has taken its place."""


class Child:
    """One process by its module and arguments, which inherits `fds`. `word` is written to its standard input at each start.

    With `tells`, it is given a descriptor in `--ready` to write to once it works.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        fds: Sequence[int],
        word: bytes = b"",
        tells: bool = False,
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", module, *arguments]
        self._fds, self._word, self._tells = fds, word, tells
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self._again = False
        self.ready = asyncio.Event()
        self.died = asyncio.Event()
        """Set when it ended unasked, once at least."""

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def keep(self) -> None:
        """Keep it running until `end` is called; return when it is gone."""
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                code = _described(await self._run())
            except OSError as fault:
                # No process or no memory for one: there may be, later.
                code = str(fault)
            if self._ending.is_set():
                return
            if self._again:
                self._again = False
                continue
            self.died.set()
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.error("%s ended with %s; it starts again in %.1f s", self.name, code, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def end(self, *, at_once: bool = False, retire: bool = False) -> None:
        self._ending.set()
        self._signal(signal.SIGKILL if at_once else RETIRE if retire else signal.SIGTERM)

    def renew(self) -> None:
        """End it and start it again."""
        self._again = True
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _run(self) -> int:
        ours, theirs = os.pipe() if self._tells else (-1, -1)
        passed = [*self._fds, theirs] if self._tells else [*self._fds]
        told = ["--ready", str(theirs)] if self._tells else []
        try:
            # A session of its own: Ctrl-C in a terminal reaches the parent alone, which then ends its children in order.
            process = await asyncio.create_subprocess_exec(
                *self._command, *told, stdin=asyncio.subprocess.PIPE, pass_fds=passed, start_new_session=True
            )
            self._process = process
            if self._tells:
                os.close(theirs)
                asyncio.get_running_loop().add_reader(ours, self._hear, ours)
            if self._ending.is_set():
                process.terminate()
            if process.stdin is not None:
                with suppress(ConnectionError):
                    process.stdin.write(self._word)
                    await process.stdin.drain()
                process.stdin.close()
            return await process.wait()
        finally:
            if self._tells:
                asyncio.get_running_loop().remove_reader(ours)
                os.close(ours)

    def _hear(self, ours: int) -> None:
        """The worker works, or is gone: either way there is no more to hear."""
        asyncio.get_running_loop().remove_reader(ours)
        if os.read(ours, 1):
            self.ready.set()


def _described(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
