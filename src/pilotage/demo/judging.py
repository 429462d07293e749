"""The judge's other end: questions and replies go down its pipe, outcomes come back."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Self

import msgspec

from pilotage.demo.judge import Asked, Judged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class JudgeProcess:
    """Runs `pilotage.demo.judge` for as long as the context lasts."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [str(path) for path in files]
        self._waiting: dict[int, asyncio.Future[int | None]] = {}
        self._number = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "pilotage.demo.judge", *self._files),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C in the terminal is the parent's to handle.
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def resolved(self, question: str, reply: str) -> int | None:
        """Return 1 or 0, or None for a question without facts; raise ConnectionError where the judge is gone."""
        if self._process.stdin is None or self._reading.done():
            msg = "the judge has ended"
            raise ConnectionError(msg)
        self._number += 1
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        self._process.stdin.write(msgspec.json.encode(Asked(self._number, question, reply)) + b"\n")
        return await future

    async def _read(self) -> None:
        if self._process.stdout is None:
            return
        async for line in self._process.stdout:
            judged = msgspec.json.decode(line, type=Judged)
            future = self._waiting.pop(judged.id)
            if not future.done():
                future.set_result(judged.resolved)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the judge has ended"))
