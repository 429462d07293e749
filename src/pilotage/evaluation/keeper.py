"""Keeps answers as they come in: the next ones are written as soon as those before are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from pilotage.evaluation.plan import call

if TYPE_CHECKING:
    from pilotage.evaluation.plan import Command

MOST = 200
"""Answers that are written with one command."""


class Keeper:
    """Results of one run, used as an async context manager: on leaving, everything that came in is kept.

    What a kill -9 can cost is what came in while the last command was being written: nothing waits for more to come.
    """

    def __init__(self, command: Command, use_case: str, run: str) -> None:
        self._command, self._use_case, self._run = command, use_case, run
        self._unkept: dict[str, Any] = {}
        self._come = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False

    async def kept(self) -> dict[str, Any]:
        """Return what earlier runs have kept, by key."""
        found: dict[str, Any] = (await self._call("results"))["results"]
        return found

    def put(self, key: str, result: Any) -> None:
        """Keep a result; raise what went wrong with writing those before."""
        if self._writer is not None and self._writer.done():
            self._writer.result()
        self._unkept[key] = result
        self._come.set()

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._come.set()
        assert self._writer is not None, "it was entered"
        await asyncio.shield(self._writer)

    async def _write(self) -> None:
        while not (self._closing and not self._unkept):
            if not self._unkept:
                self._come.clear()
                await self._come.wait()
                continue
            batch = dict(list(self._unkept.items())[:MOST])
            await self._call("record_results", results=batch)
            for key in batch:
                del self._unkept[key]

    async def _call(self, name: str, **more: Any) -> dict[str, Any]:
        return await call(self._command, name, {"use_case": self._use_case, "run": self._run, **more})
