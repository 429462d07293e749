"""`POST /v1/messages/count_tokens`: how many tokens a message would have, as its provider counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.clock import Clock, new_id
from pilotage.errors import RequestError, UpstreamError
from pilotage.gateway.wire import Incoming, refused
from pilotage.serving.call import prepare
from pilotage.serving.messages import parse
from pilotage.serving.messages.fault import as_error, as_refusal
from pilotage.serving.request import BODY_LIMIT

if TYPE_CHECKING:
    from pilotage.gateway.door import Door
    from pilotage.upstream.base import Upstreams

PATH = "/v1/messages/count_tokens"
_ASKED = "/messages/count_tokens"
_ANSWER_LIMIT = 64 << 10


class CountTokens:
    """Asks the release that would answer, with its prompt. Nobody is enrolled by it, nothing is recorded, no budget charged."""

    def __init__(self, door: Door, upstreams: Upstreams, clock: Clock) -> None:
        self._door, self._upstreams, self._clock = door, upstreams, clock

    async def handle(self, incoming: Incoming) -> None:
        incoming.out["request-id"] = incoming.out["x-request-id"]
        try:
            await self._handle(incoming)
        except RequestError as fault:
            if fault.status == 413:
                incoming.out["connection"] = "close"
            await incoming.reply_json(fault.status, as_refusal(fault))
        except UpstreamError as fault:
            await incoming.reply_json(fault.status, as_error(fault))

    async def _handle(self, incoming: Incoming) -> None:
        key = self._door.key(incoming)
        request = parse(await incoming.body(BODY_LIMIT))
        admitted = self._door.admit(incoming, key, request)
        release = admitted.assignment.release
        if release.upstream.kind != "anthropic":
            says = (
                f"tokens are counted by providers that speak Messages, and {admitted.assignment.reference} is at none"
            )
            raise refused(400, says, code="unsupported_surface", param="model")
        if admitted.assignment.reference in admitted.route.barred:
            raise UpstreamError("barred", admitted.route.barred[admitted.assignment.reference], status=403)
        call = prepare(request, release, unit=admitted.unit, request_id=new_id(self._clock))
        answer = await self._upstreams.of(release).send(msgspec.structs.replace(call, path=_ASKED, stream=False))
        body = bytearray()
        try:
            async for piece in answer.chunks():
                body += piece
                if len(body) > _ANSWER_LIMIT:
                    raise UpstreamError("protocol", "the provider's answer is no count of tokens")
        finally:
            await answer.close()
        await incoming.reply(answer.status, bytes(body))
