"""`POST /v1/chat/completions`, and the other surfaces, which come in by the same door and differ in their requests."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from pilotage.clock import Clock
from pilotage.errors import UpstreamError
from pilotage.gateway.wire import Incoming, refused
from pilotage.serving.exposure import Exposure
from pilotage.serving.request import BODY_LIMIT, Request
from pilotage.serving.serve import Whole, answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.gateway.door import Door
    from pilotage.gateway.limits import Limits
    from pilotage.serving.serve import Server


class Chat:
    def __init__(
        self, door: Door, server: Server, clock: Clock, limits: Limits, parse: Callable[[bytes], Request]
    ) -> None:
        self._parse = parse
        self._limits = limits
        self._door = door
        self._server = server
        self._clock = clock

    async def handle(self, incoming: Incoming) -> None:
        """Answer one request; raise RequestError where it is refused."""
        received = time.monotonic_ns()
        key = self._door.key(incoming)
        body = await incoming.body(BODY_LIMIT)
        arrived = time.monotonic_ns()
        request = self._parse(body)
        admitted = self._door.admit(incoming, key, request)
        if not answers(admitted.assignment.release, request):
            says = (
                f"{request.model!r} answers chats only: its release is not at a provider that speaks OpenAI's protocol"
            )
            raise refused(400, says, code="unsupported_surface", param="model")
        admitted, grant = self._limits.admit(admitted, request, len(body), incoming.out)
        trace = self._server.tracing(incoming.header(b"traceparent"), incoming.header(b"tracestate"))
        exposure = Exposure(
            id=incoming.id,
            route=admitted.route,
            assignment=admitted.assignment,
            received=received,
            arrived=arrived,
            unit=admitted.unit,
            key=admitted.key,
            segment=admitted.segment,
            source=admitted.source,
            caller=admitted.caller,
            trace=trace,
            grant=grant,
        )
        out = incoming.out
        out["x-pilotage-inference"] = self._door.inference_name(admitted.route.use_case, exposure.id)
        out["x-pilotage-release"] = admitted.assignment.reference
        out["x-pilotage-variant"] = admitted.assignment.release.variant
        await self._answer(incoming, exposure, request)

    async def _answer(self, incoming: Incoming, exposure: Exposure, request: Request) -> None:
        try:
            answer = await self._server.serve(exposure, request)
        except UpstreamError as fault:
            if fault.retry_after:
                incoming.out["retry-after"] = str(math.ceil(fault.retry_after))
            await self.fail(incoming, fault)
            return
        if answer.served != exposure.assignment.reference:
            incoming.out |= {"x-pilotage-served": answer.served, "x-pilotage-error": answer.error}
        if answer.cache:
            incoming.out["x-pilotage-cache"] = answer.cache
        if isinstance(answer, Whole):
            await incoming.reply(answer.status, answer.body, answer.content_type)
            return
        async with answer:
            incoming.out["cache-control"] = "no-cache"
            await incoming.start(answer.status, answer.content_type)
            async for piece in answer.events():
                await incoming.write(piece, last=answer.last)

    async def fail(self, incoming: Incoming, fault: UpstreamError) -> None:
        """Say that every release in the chain failed."""
        await incoming.fail(fault)
