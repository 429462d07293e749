"""`POST /v1/messages`: the same door for callers that speak Anthropic's Messages, with errors in its shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.errors import RequestError
from pilotage.gateway.chat import Chat
from pilotage.serving.messages import parse
from pilotage.serving.messages.fault import as_error, as_refusal

if TYPE_CHECKING:
    from pilotage.clock import Clock
    from pilotage.errors import UpstreamError
    from pilotage.gateway.door import Door
    from pilotage.gateway.limits import Limits
    from pilotage.gateway.wire import Incoming
    from pilotage.serving.serve import Server


class Messages(Chat):
    def __init__(self, door: Door, server: Server, clock: Clock, limits: Limits) -> None:
        super().__init__(door, server, clock, limits, parse)

    async def handle(self, incoming: Incoming) -> None:
        incoming.out["request-id"] = incoming.out["x-request-id"]
        try:
            await super().handle(incoming)
        except RequestError as fault:
            if fault.status == 413:
                incoming.out["connection"] = "close"
            await incoming.reply_json(fault.status, as_refusal(fault))

    async def fail(self, incoming: Incoming, fault: UpstreamError) -> None:
        await incoming.reply_json(fault.status, as_error(fault))
