"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pilotage.clock import Clock, new_id
from pilotage.errors import UpstreamError
from pilotage.gateway.wire import ClientGone, Incoming
from pilotage.serving.outcome import Exposure
from pilotage.serving.request import BODY_LIMIT, ChatRequest, parse
from pilotage.serving.stream import EventStream

if TYPE_CHECKING:
    from pilotage.gateway.door import Admitted, Door
    from pilotage.serving.serve import Server


class Chat:
    def __init__(self, door: Door, server: Server, clock: Clock) -> None:
        self._door = door
        self._server = server
        self._clock = clock

    async def handle(self, incoming: Incoming) -> None:
        """Answer one request; raise RequestError where it is refused, ClientGone where the caller left."""
        received = time.monotonic_ns()
        key = self._door.key(incoming)
        request = parse(await incoming.body(BODY_LIMIT))
        admitted = self._door.admit(incoming, key, request)
        exposure = self._expose(admitted, received)
        incoming.out |= {
            "x-pilotage-inference": self._door.inference_name(admitted.route.use_case, exposure.id),
            "x-pilotage-release": admitted.assignment.reference,
            "x-pilotage-variant": admitted.assignment.release.variant,
        }
        await self._attended(incoming, exposure, request)

    def _expose(self, admitted: Admitted, received: int) -> Exposure:
        return Exposure(
            id=new_id(self._clock),
            route=admitted.route,
            assignment=admitted.assignment,
            received=received,
            unit=admitted.unit,
            key=admitted.key,
            source=admitted.source,
            caller=admitted.caller,
        )

    async def _attended(self, incoming: Incoming, exposure: Exposure, request: ChatRequest) -> None:
        """Answer while watching the connection: a caller that goes away cancels the provider's call."""
        answered = left = False

        async def watch() -> None:
            await incoming.gone()
            if not answered:
                raise ClientGone

        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(watch())
                await self._answer(incoming, exposure, request)
                answered = True
                watcher.cancel()
        except* ClientGone:
            left = True
        if left:
            # Raised out here, for what is raised within `except*` comes out in a group.
            raise ClientGone

    async def _answer(self, incoming: Incoming, exposure: Exposure, request: ChatRequest) -> None:
        try:
            answer = await self._server.serve(exposure, request)
        except UpstreamError as fault:
            await incoming.fail(fault)
            return
        if answer.served != exposure.assignment.reference:
            incoming.out |= {"x-pilotage-served": answer.served, "x-pilotage-error": answer.error}
        if not isinstance(answer, EventStream):
            await incoming.reply(answer.status, answer.body, answer.content_type)
            return
        async with answer:
            incoming.out["cache-control"] = "no-cache"
            await incoming.start(answer.status, f"{answer.content_type}; charset=utf-8")
            async for piece in answer.events():
                await incoming.write(piece, last=answer.last)
