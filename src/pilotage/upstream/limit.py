"""A bound on the calls that are under way at one upstream; a few more wait their turn, and others hear so at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pilotage.clock import SECOND
from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.base import Answer, Call, Upstream
    from pilotage.upstream.tally import Tally

RETRY_AFTER = 1.0
"""Seconds that who is turned away is told to wait: room comes with every answer that ends."""


class LimitedAnswer:
    """Holds its place until it is closed."""

    def __init__(self, answer: Answer, leave: Callable[[], None]) -> None:
        self._answer = answer
        self._leave: Callable[[], None] | None = leave
        self.status = answer.status
        self.content_type = answer.content_type

    def chunks(self) -> AsyncIterator[bytes]:
        return self._answer.chunks()

    async def close(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
        await self._answer.close()


class LimitedUpstream:
    def __init__(self, inner: Upstream, address: UpstreamAddress, tally: Tally) -> None:
        self._inner = inner
        self._most = address.max_concurrent
        self._room = address.max_waiting
        self._patience = address.wait_timeout / SECOND
        self._tally = tally
        self._asked = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def send(self, call: Call) -> LimitedAnswer:
        if self._asked < self._most:
            self._asked += 1
            self._tally.asked += 1
        else:
            await self._turn(waits=call.waits)
        try:
            return LimitedAnswer(await self._inner.send(call), self._left)
        except BaseException:
            self._left()
            raise

    async def close(self) -> None:
        await self._inner.close()

    async def _turn(self, *, waits: bool) -> None:
        """Wait for a place, first come first served; whoever leaves hands theirs over."""
        if not waits:
            raise UpstreamError("busy", "the provider is asked by as many as may", status=503)
        if len(self._waiters) >= self._room:
            raise self._busy("and as many requests wait already as may")
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._tally.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await waiter
        except BaseException as gone:
            if waiter.done() and not waiter.cancelled():
                # The place came just as patience ended.
                self._left()
            else:
                self._waiters.remove(waiter)
            if isinstance(gone, TimeoutError):
                raise self._busy("and none of its answers ended in time") from None
            raise
        finally:
            self._tally.waiting -= 1

    def _left(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._asked -= 1
        self._tally.asked -= 1

    def _busy(self, why: str) -> UpstreamError:
        self._tally.turned_away += 1
        fault = UpstreamError("busy", f"the provider is asked by as many as may, {why}", status=503)
        fault.retry_after = RETRY_AFTER
        return fault
