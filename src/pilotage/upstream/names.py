"""Who finds names in texts: Presidio, in a process of its own, for it takes hundreds of megabytes and its time."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from pilotage.upstream.base import Unfound

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = "pilotage.upstream.presidio"
_LINE_MOST = 64 << 20
_BEHIND = 8 << 20
"""Bytes of questions that it has not taken yet."""
_AGAIN_SECONDS = 10.0
"""One that ended is begun again after that."""
log = logging.getLogger(__name__)


class Question(msgspec.Struct):
    """`until` is when nobody waits for the answer any more, as `time.monotonic` tells it; `model` is named as spaCy does."""

    number: int
    model: str
    texts: list[str]
    until: float


class Found(msgspec.Struct):
    number: int
    names: list[str] = []
    fault: str = ""


_FOUND = msgspec.json.Decoder(Found)


class PresidioNames:
    """One process for all, begun when it is first needed; it ends when its input does, so never later than this process."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Found]] = {}
        self._number = 0
        self._begun = -_AGAIN_SECONDS
        self._starting = asyncio.Lock()

    async def prepare(self, model: str) -> None:
        """Load a model before anybody waits for it; say why where that cannot be."""
        try:
            await self.of(model, [""], seconds=600)
        except Unfound as fault:
            log.error("names cannot be looked for: %s", fault)  # noqa: TRY400
        except TimeoutError:
            log.error("names cannot be looked for: the model %s does not load", model)  # noqa: TRY400

    async def of(self, model: str, texts: Sequence[str], *, seconds: float) -> list[str]:
        """Return the names in these texts; raise Unfound, or TimeoutError where it takes longer than that."""
        async with asyncio.timeout(seconds):
            process = await self._running()
            self._number += 1
            number = self._number
            answer = self._waiting[number] = asyncio.get_running_loop().create_future()
            question = Question(number, model, list(texts), time.monotonic() + seconds)
            try:
                assert process.stdin is not None, "it was made with one"
                if process.stdin.transport.get_write_buffer_size() > _BEHIND:
                    raise Unfound("its process is behind with what it was asked")
                process.stdin.write(msgspec.json.encode(question) + b"\n")
                await process.stdin.drain()
                found: Found = await answer
            except OSError:
                raise Unfound("its process has ended") from None
            finally:
                self._waiting.pop(number, None)
        if found.fault:
            raise Unfound(found.fault)
        return found.names

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return self._process
            now = time.monotonic()
            if now - self._begun < _AGAIN_SECONDS:
                raise Unfound("its process has ended")
            self._begun = now
            pipe = asyncio.subprocess.PIPE
            self._process = process = await asyncio.create_subprocess_exec(
                self._python, "-m", _PROGRAM, stdin=pipe, stdout=pipe, limit=_LINE_MOST
            )
            self._reading = asyncio.create_task(self._read(process))
            return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was made with one"
        try:
            while line := await process.stdout.readline():
                found = _FOUND.decode(line)
                waiting = self._waiting.get(found.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(found)
        except (msgspec.MsgspecError, ValueError):
            process.kill()
        await process.wait()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrokenPipeError())

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._reading is not None:
            await self._reading
