"""A process that is kept running: started, watched, started again when it dies, ended when asked."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import suppress

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STEADY = 10.0
"""Seconds after which a process counts as running well, so that the next death is followed by a short pause again."""


class Child:
    """One process by its module and arguments. `word` is written to its standard input at each start."""

    def __init__(self, name: str, module: str, arguments: list[str], *, fd: int, word: bytes = b"") -> None:
        self.name = name
        self._command = [sys.executable, "-m", module, *arguments, "--fd", str(fd)]
        self._fd, self._word = fd, word
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self.starts = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def keep(self) -> None:
        """Keep it running until `end` is called; return when it is gone."""
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            began = time.monotonic()
            code = await self._run()
            if self._ending.is_set():
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.error("%s ended with %s; it starts again in %.1f s", self.name, _described(code), pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def end(self, *, at_once: bool = False) -> None:
        self._ending.set()
        if self._process is not None and self._process.returncode is None:
            if at_once:
                self._process.kill()
            else:
                self._process.terminate()

    async def _run(self) -> int:
        # A session of its own: Ctrl-C in a terminal reaches the parent alone, which then ends its children in order.
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, pass_fds=(self._fd,), start_new_session=True
        )
        self._process = process
        self.starts += 1
        if self._ending.is_set():
            process.terminate()
        if process.stdin is not None:
            with suppress(ConnectionError):
                process.stdin.write(self._word)
                await process.stdin.drain()
            process.stdin.close()
        return await process.wait()


def _described(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
