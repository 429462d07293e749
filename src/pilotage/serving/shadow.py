"""Shadow traffic: a sample of live requests, copied to a candidate after the live answer went out. Nobody gets the copies' answers.

A copy gives way to everything: it starts when its live request has ended, few run at once, and all of them are dropped as
soon as the worker falls behind, somebody waits for a provider, or a provider says that it is asked too much. What they
cost is capped by the day, over all workers; a copy is started only while its likely cost still fits.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import msgspec
import xxhash

from pilotage.clock import new_id
from pilotage.errors import UpstreamError
from pilotage.serving.exposure import Exposure
from pilotage.serving.routing import MILLION, Assignment
from pilotage.serving.serve import Server, Whole, answers
from pilotage.spec.price import FREE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.clock import Clock
    from pilotage.records import Finished
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.recording import Recorder
    from pilotage.serving.request import Request
    from pilotage.spec.price import Price
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Upstreams

SOURCE = "shadow"
LAG = 0.1
"""Seconds by which a worker may be late before copies are dropped."""
PAUSE = 10.0
"""Seconds without a copy after that, or after a provider's 429."""
_ANSWER = 1_000
"""Tokens that an answer may have whose bound is not known."""
_BYTES_A_TOKEN = 3


class Purse(Protocol):
    """What was spent on copies today, by all workers. Neither call blocks."""

    def spent(self, use_case: str) -> int: ...
    def spend(self, use_case: str, cost: int) -> None: ...

    @property
    def usable(self) -> bool:
        """Return whether what is spent can be known to all; copies need that."""


class Shadow:
    """Told of every request that ends; `behind` is told by how much the worker is late."""

    def __init__(self, upstreams: Upstreams, recorder: Recorder, clock: Clock, purse: Purse) -> None:
        self._clock, self._purse, self._tally = clock, purse, upstreams.tally
        # A server of its own: what fails here opens no breaker of live traffic.
        self._server = Server(upstreams, recorder, clock, (_Bill(self._told),))
        self._running: dict[str, tuple[asyncio.Task[None], str, int]] = {}
        self._rest_until = 0.0
        self.begun = self.dropped = 0

    def ended(self, outcome: Outcome, finished: Finished) -> None:
        """Copy this request, if it is of the sample and there is room."""
        live = outcome.exposure
        plan = live.route.shadow
        if plan is None or live.source != "live" or finished.cancelled:
            return
        place = xxhash.xxh3_64_intdigest(b"shadow\0" + live.id.encode())
        if place % MILLION >= plan.share:
            return
        reference = plan.releases[place // MILLION % len(plan.releases)]
        release = live.route.releases.get(reference)
        if release is None or reference == live.assignment.reference or not answers(release, outcome.request):
            return
        if self._tally.waiting:
            self.rest()
        price = likely_cost(live.route.price(reference, release) or FREE, release, outcome.request)
        promised = sum(cost for _, name, cost in self._running.values() if name == release.use_case)
        room = len(self._running) < plan.at_once and time.monotonic() >= self._rest_until and self._purse.usable
        if not room or self._purse.spent(release.use_case) + promised + price > plan.a_day:
            self.dropped += 1
            return
        self._start(live, outcome.request, release, reference, price)

    def behind(self, seconds: float) -> None:
        """Take notice of how late this worker is."""
        if seconds > LAG:
            self.rest()

    def rest(self) -> None:
        """Drop every copy that is under way, and begin none for a while."""
        self._rest_until = time.monotonic() + PAUSE
        for task, _, _ in self._running.values():
            task.cancel()

    async def close(self) -> None:
        self.rest()
        await asyncio.gather(*(task for task, _, _ in self._running.values()), return_exceptions=True)

    def _start(self, live: Exposure, request: Request, release: Release, reference: str, price: int) -> None:
        exposure = Exposure(
            id=new_id(self._clock),
            route=live.route,
            # Alone, without its fallbacks: what they would have answered is known already.
            assignment=Assignment(msgspec.structs.replace(release, fallbacks=()), reference, SOURCE),
            received=time.monotonic_ns(),
            arrived=time.monotonic_ns(),
            unit=live.unit,
            source=SOURCE,
            caller=live.caller,
            copy_of=live.id,
        )
        self.begun += 1
        task = asyncio.get_running_loop().create_task(self._copy(exposure, request))
        self._running[exposure.id] = (task, release.use_case, price)
        task.add_done_callback(lambda _: self._settle(exposure.id))

    async def _copy(self, exposure: Exposure, request: Request) -> None:
        try:
            answer = await self._server.serve(exposure, request)
            if not isinstance(answer, Whole):
                async with answer:
                    async for _ in answer.events():
                        pass
        except UpstreamError:
            pass  # It is recorded, and there is nobody to tell.

    def _told(self, inference: str, finished: Finished) -> None:
        """Take in how a copy ended: what it cost, and whether its provider has had enough."""
        running = self._running.get(inference)
        if running is not None:
            task, use_case, price = running
            # A copy that was dropped on its way is paid for as if it had come.
            cost = finished.cost if finished.counted else price if finished.cancelled or not finished.error else 0
            self._purse.spend(use_case, cost)
            self._running[inference] = (task, use_case, 0)
        if finished.error == "status:429":
            self.rest()

    def _settle(self, inference: str) -> None:
        self._running.pop(inference, None)


class _Bill:
    """Passes on how copies end."""

    def __init__(self, told: Callable[[str, Finished], None]) -> None:
        self._told = told

    def ended(self, outcome: Outcome, finished: Finished) -> None:
        self._told(outcome.exposure.id, finished)


def likely_cost(price: Price, release: Release, request: Request) -> int:
    """Return about the most that an answer costs, in millionths: every bound on it reached."""
    bounds = [
        bound
        for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")
        if isinstance(bound := release.parameters.get(name, request.body.get(name)), int)
    ]
    tokens_in = (len(msgspec.json.encode(request.body)) + len(release.prompt)) // _BYTES_A_TOKEN
    return price.cost(tokens_in, max(bounds, default=_ANSWER), pictures=1)
