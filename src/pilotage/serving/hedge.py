"""A second request beside one that is slow; whichever is answered first is taken, and the other is cancelled.

Hedged requests: Dean and Barroso, The Tail at Scale, CACM 56(2), 2013, with their bound on how many there are. Both go to
the same release: another's answer would not be what the rollout judges.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pilotage.clock import SECOND
from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pilotage.serving.breaker import Breaker
    from pilotage.serving.outcome import Outcome
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Answer, Call
    from pilotage.upstream.tally import Tally

ONE_IN = 10
"""Requests of a release for each one that may be sent twice: a provider that is slow for all does not get twice the load."""
_SAVED = 5 * ONE_IN
_KEPT = 1_000


class Hedges:
    """How many requests of each release may still be sent twice."""

    def __init__(self) -> None:
        self._saved: dict[str, int] = {}

    def asked(self, reference: str) -> None:
        """Note a request; those of quiet times are saved up for five at once at most."""
        if reference not in self._saved and len(self._saved) >= _KEPT:
            self._saved.clear()
        self._saved[reference] = min(self._saved.get(reference, 0) + 1, _SAVED)

    def take(self, reference: str) -> bool:
        """Return whether one more may be sent twice now."""
        if self._saved.get(reference, 0) < ONE_IN:
            return False
        self._saved[reference] -= ONE_IN
        return True


class Hedge:
    """Sends one request to its release as `send` does, and once more where that stays silent for too long."""

    def __init__(
        self,
        send: Callable[[Call], Awaitable[Answer]],
        hedges: Hedges,
        tally: Tally,
        *,
        reference: str,
        release: Release,
        outcome: Outcome,
        breaker: Breaker | None,
    ) -> None:
        self._send, self._hedges, self._tally = send, hedges, tally
        self._reference, self._breaker, self._outcome = reference, breaker, outcome
        self._after = release.upstream.hedge_after / SECOND

    async def send(self, call: Call) -> Answer:
        """Return the first answer, or raise the last fault where neither is answered."""
        self._hedges.asked(self._reference)
        asked = [asyncio.ensure_future(self._send(call))]
        try:
            await asyncio.wait(asked, timeout=self._after)
            if asked[0].done() or not self._may():
                return await asked.pop()
            # It does not wait for room: whoever waits already comes first.
            second = asyncio.ensure_future(self._send(msgspec.structs.replace(call, waits=False)))
            asked.append(second)
            self._tally.hedged += 1
            while True:
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                ended = next(one for one in asked if one.done())
                asked.remove(ended)
                fault = ended.exception()
                if fault is None or not asked:
                    self._tally.hedges_won += fault is None and ended is second
                    return ended.result()
                self._outcome.unhedged(fault.kind if isinstance(fault, UpstreamError) else "internal")
        finally:
            await _let_go(asked)

    def _may(self) -> bool:
        calm = self._breaker is None or not self._breaker.is_open
        return calm and self._hedges.take(self._reference) and self._outcome.hedging()


async def _let_go(asked: Sequence[asyncio.Future[Answer]]) -> None:
    for one in asked:
        one.cancel()
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        # It came just as it was not wanted any more.
        if not isinstance(answer, BaseException):
            await answer.close()
