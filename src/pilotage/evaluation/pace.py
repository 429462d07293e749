"""How many requests a provider bears at once: found out by asking, and given way to where it says that it is too much.

Additive increase, multiplicative decrease (Chiu & Jain 1989, Comput. Netw. ISDN Syst. 17:1): half as many at once after a
429, one more after as many answers as there are at once, up to what was asked for.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Reply = TypeVar("Reply")

TRIES = 8
"""How often a request is sent that is turned away for want of room."""
_LONGEST = 60.0
_PATIENCE = 300.0
"""Who is told to wait for longer than so many seconds, as where a day's budget is spent, does not."""


class Pace:
    """`most` is the number of requests that were asked for at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = float(most)
        self._under_way = 0
        self._not_before = 0.0
        self._turn = asyncio.Condition()
        self.waits = 0
        """How often the provider wanted less."""

    async def send(self, once: Callable[[], Awaitable[Reply]], turned_away: Callable[[Reply], float | None]) -> Reply:
        """Return the reply of one request; where there was no room for it, ask again when there may be.

        `turned_away` says of a reply for how many seconds it wants to be left alone (0 where it does not say), and None
        where it is an answer.
        """
        for tried in range(TRIES):
            async with self._place():
                reply = await once()
                wait = turned_away(reply)
                if wait is None or wait > _PATIENCE or tried == TRIES - 1:
                    self._answered()
                    return reply
                pause = self._give_way(wait, tried)
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns")

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        async with self._turn:
            await self._turn.wait_for(lambda: self._under_way < max(1, int(self._limit)))
            self._under_way += 1
        try:
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            yield
        finally:
            async with self._turn:
                self._under_way -= 1
                self._turn.notify_all()

    def _answered(self) -> None:
        self._limit = min(float(self.most), self._limit + 1 / max(1.0, self._limit))

    def _give_way(self, retry_after: float, tried: int) -> float:
        """Slow down; return for how many seconds nobody asks: what the provider wants, or a pause that doubles."""
        self.waits += 1
        self._limit = max(1.0, self._limit / 2)
        pause = min(_LONGEST, retry_after or 0.5 * 2**tried * random.uniform(0.5, 1.0))  # noqa: S311 (it spreads pauses)
        self._not_before = max(self._not_before, time.monotonic() + pause)
        return pause
