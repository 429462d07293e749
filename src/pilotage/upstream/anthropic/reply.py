"""From a message to a chat completion."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.errors import UpstreamError
from pilotage.upstream.chat import UNREADABLE

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    def updated(self, later: Usage) -> Usage:
        """Return these counts with what a later event says in their place; what it does not say stays."""
        said = {name: value for name, value in msgspec.structs.asdict(later).items() if value is not None}
        return msgspec.structs.replace(self, **said)

    def as_chat(self) -> dict[str, Any]:
        """Return chat's counts, whose prompt tokens hold those read from a cache or written to it."""
        cached, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        prompt, completion = (self.input_tokens or 0) + cached + written, self.output_tokens or 0
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        if cached or written:
            usage["prompt_tokens_details"] = {"cached_tokens": cached, "cache_creation_tokens": written}
        return usage


class Message(msgspec.Struct):
    id: str
    content: list[dict[str, Any]]
    usage: Usage
    model: str = ""
    stop_reason: str | None = None


_MESSAGE = msgspec.json.Decoder(Message)


def to_completion(data: bytes, created: int) -> bytes:
    """Return the chat completion; raise UpstreamError where the data are no message."""
    try:
        message = _MESSAGE.decode(data)
    except UNREADABLE:
        raise UpstreamError("protocol", "the provider's answer is not a message") from None
    choice = {
        "index": 0,
        "message": _said(message.content),
        "logprobs": None,
        "finish_reason": finish(message.stop_reason),
    }
    completion = {
        "id": message.id,
        "object": "chat.completion",
        "created": created,
        "model": message.model,
        "choices": [choice],
        "usage": message.usage.as_chat(),
    }
    return msgspec.json.encode(completion)


def finish(stop_reason: str | None) -> str:
    return FINISHES.get(stop_reason or "end_turn", "stop")


def text_in(block: dict[str, Any], key: str) -> str:
    """Return a text of a block or delta; raise UpstreamError where it is something else."""
    text = block.get(key, "")
    if not isinstance(text, str):
        raise UpstreamError("protocol", "the provider's answer holds a text that is none")
    return text


def _said(content: list[dict[str, Any]]) -> dict[str, Any]:
    texts = [text_in(block, "text") for block in content if block.get("type") == "text"]
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {
                "name": block.get("name"),
                "arguments": msgspec.json.encode(block.get("input") or {}).decode(),
            },
        }
        for block in content
        if block.get("type") == "tool_use"
    ]
    thoughts = [block for block in content if block.get("type") in ("thinking", "redacted_thinking")]
    said: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if calls:
        said["tool_calls"] = calls
    if thoughts:
        said["reasoning_content"] = "".join(text_in(block, "thinking") for block in thoughts)
        said["thinking_blocks"] = thoughts
    return said
