"""The status quo without a model: the best-matching article, as a chat completion.

It is the baseline that a generative variant must beat, and a fallback that is never down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import SECOND, Clock, new_id
from pilotage.errors import UpstreamError
from pilotage.upstream.chat import UNREADABLE, text_of
from pilotage.upstream.ranking import Index

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.upstream.base import Call

MODEL = "search"
NO_MATCH = "I am sorry, no article matches your question. Please ask in other words, or contact us."
WORDS_A_CHUNK = 12


class _Message(msgspec.Struct):
    role: str = ""
    content: Any = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    messages: list[_Message]
    stream_options: _StreamOptions | None = None


class SearchAnswer:
    status = 200

    def __init__(self, content_type: str, parts: list[bytes]) -> None:
        self.content_type = content_type
        self._parts = parts

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part

    async def close(self) -> None:
        """Hold nothing."""


class SearchUpstream:
    def __init__(self, index: Index, clock: Clock) -> None:
        self._index = index
        self._clock = clock

    async def send(self, call: Call) -> SearchAnswer:
        try:
            body = msgspec.json.decode(call.body, type=_Body)
        except UNREADABLE as fault:
            raise UpstreamError("protocol", f"search cannot read this request: {fault}") from None
        question = next((text_of(m.content) for m in reversed(body.messages) if m.role == "user"), "")
        ranked = self._index.rank(question)
        reply = f"{ranked[0][1].title}\n\n{ranked[0][1].text}" if ranked else NO_MATCH
        prompt_tokens = sum(tokens(text_of(message.content)) for message in body.messages)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens(reply)}
        usage["total_tokens"] = sum(usage.values())
        head = {"id": f"chatcmpl-{new_id(self._clock)}", "created": self._clock.now() // SECOND, "model": MODEL}
        if call.stream:
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            return SearchAnswer("text/event-stream", _events(head, reply, usage if with_usage else None))
        message = {"role": "assistant", "content": reply, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        completion = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return SearchAnswer("application/json", [msgspec.json.encode(completion)])

    async def close(self) -> None:
        """Hold nothing."""


def tokens(text: str) -> int:
    """Return an estimate: four tokens for every three words."""
    return round(len(text.split()) * 4 / 3)


def _events(head: dict[str, Any], reply: str, usage: dict[str, int] | None) -> list[bytes]:
    def event(choices: list[dict[str, Any]], **more: object) -> bytes:
        chunk = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"

    def delta(finish_reason: str | None = None, **content: str) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": content, "finish_reason": finish_reason}]

    words = reply.split(" ")
    texts = [" ".join(words[start : start + WORDS_A_CHUNK]) for start in range(0, len(words), WORDS_A_CHUNK)]
    events = [event(delta(role="assistant", content=""))]
    events += [event(delta(content=text if n == 0 else " " + text)) for n, text in enumerate(texts)]
    events.append(event(delta("stop")))
    if usage is not None:
        events.append(event([], usage=usage))
    return [*events, b"data: [DONE]\n\n"]
