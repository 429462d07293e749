"""The upstream: a chat request goes out as Messages, and what comes back is a chat completion or chunks of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import SECOND, Clock
from pilotage.errors import UpstreamError
from pilotage.upstream.anthropic.reply import to_completion
from pilotage.upstream.anthropic.request import to_messages
from pilotage.upstream.anthropic.stream import Chunks
from pilotage.upstream.sse import Splitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.upstream.base import Answer, Call, Upstream

PATH = "/messages"
COUNT = "/messages/count_tokens"
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "mcp_servers")
ANSWER_LIMIT = 16 << 20


def asked_in_messages(body: dict[str, Any]) -> dict[str, Any]:
    """Return the Messages request; what its caller left malformed is refused as a provider would, with 400."""
    try:
        return to_messages(body)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        kind = type(fault).__name__
        raise UpstreamError("protocol", f"this request is not well-formed ({kind})", status=400) from None


class AnthropicAnswer:
    def __init__(self, answer: Answer, chunks: Chunks | None, created: int) -> None:
        self._answer = answer
        self._chunks = chunks
        self._created = created
        self.status = answer.status
        self.content_type = answer.content_type

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._chunks is None:
            yield to_completion(await self._whole(), self._created)
            return
        splitter = Splitter()
        async for piece in self._answer.chunks():
            out = b"".join([self._chunks.take(found) for found in splitter.feed(piece)])
            if out:
                yield out
        if splitter.rest:
            raise UpstreamError("broken", "the provider's stream ended within an event")

    async def close(self) -> None:
        await self._answer.close()

    async def _whole(self) -> bytes:
        body = bytearray()
        async for piece in self._answer.chunks():
            body += piece
            if len(body) > ANSWER_LIMIT:
                raise UpstreamError("protocol", f"the provider's answer is larger than {ANSWER_LIMIT >> 20} MB")
        return bytes(body)


class AnthropicUpstream:
    def __init__(self, inner: Upstream, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    async def send(self, call: Call) -> Answer:
        """Send a chat, or, at `COUNT`, ask how many tokens it has; that answer is passed on as it is."""
        if call.path == COUNT:
            asked = asked_in_messages(msgspec.json.decode(call.body))
            body = msgspec.json.encode({name: asked[name] for name in _COUNTED if name in asked})
            return await self._inner.send(msgspec.structs.replace(call, body=body))
        chat: dict[str, Any] = msgspec.json.decode(call.body)
        options = chat.get("stream_options") or {}
        messages = msgspec.structs.replace(call, path=PATH, body=msgspec.json.encode(asked_in_messages(chat)))
        answer = await self._inner.send(messages)
        created = self._clock.now() // SECOND
        chunks = Chunks(created, with_usage=bool(options.get("include_usage"))) if call.stream else None
        return AnthropicAnswer(answer, chunks, created)

    async def close(self) -> None:
        await self._inner.close()
