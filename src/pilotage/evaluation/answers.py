"""Answers of one release to the cases: each is asked for once, ever."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import GatewayClient, Reply, tasks
from pilotage.evaluation.dataset import answer_key, asked
from pilotage.evaluation.plan import Command, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pilotage.spec.case import Case

BATCH = 50
"""Answers that are kept with one command; the most that a kill -9 costs, or what came in within PATIENCE seconds."""
PATIENCE = 1.0


class Answers:
    """The answers of one release, by `answer_key`.

    A release is content-addressed and so is a case, so an answer stays good for as long as both are unchanged. Only
    answers of the release's own are kept; a request that failed is sent again by the next run.
    """

    def __init__(self, command: Command, use_case: str, release: str) -> None:
        self.release = release
        self.replies: dict[str, Reply] = {}
        self.kept = 0
        self._command = command
        self._use_case = use_case
        self._run = hashlib.sha256(f"answers, version 1\0{release}".encode()).hexdigest()
        self._unkept: dict[str, Any] = {}
        self._since = time.monotonic()
        self._keeping = asyncio.Lock()

    async def collect(
        self, client: GatewayClient, cases: Sequence[Case], concurrency: int, progress: Callable[[int, int], None]
    ) -> None:
        """Fill `replies` for all cases, with at most `concurrency` requests in flight.

        When cancelled, what has come in is kept before the cancellation goes on.
        """
        questions = {answer_key(case): asked(case) for case in cases}
        stored = (await self._call("results"))["results"]
        self.replies = {key: msgspec.convert(stored[key], Reply) for key in questions if key in stored}
        self.kept = len(self.replies)
        progress(self.kept, len(questions))
        todo = iter([(key, messages) for key, messages in questions.items() if key not in self.replies])

        async def work(todo: Iterator[tuple[str, Sequence[dict[str, Any]]]]) -> None:
            for key, messages in todo:
                reply = await client.ask(self.release, messages)
                self.replies[key] = reply
                if not reply.error:
                    self._unkept[key] = msgspec.to_builtins(reply)
                progress(len(self.replies), len(questions))
                if len(self._unkept) >= BATCH or time.monotonic() - self._since > PATIENCE:
                    await self._keep()

        try:
            async with tasks() as group:
                for _ in range(min(concurrency, len(questions) - self.kept)):
                    group.create_task(work(todo))
        finally:
            await self._keep()

    async def _keep(self) -> None:
        async with self._keeping:
            batch, self._unkept, self._since = self._unkept, {}, time.monotonic()
            if batch:
                await self._call("record_results", results=batch)

    async def _call(self, name: str, **more: Any) -> dict[str, Any]:
        return await call(self._command, name, {"use_case": self._use_case, "run": self._run, **more})
