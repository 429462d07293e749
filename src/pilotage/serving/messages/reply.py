"""From a chat completion to a message."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.errors import UpstreamError
from pilotage.upstream.chat import UNREADABLE

STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


class Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None

    def as_message(self) -> dict[str, int]:
        """Return the counts of Messages, whose input tokens leave out those read from a cache or written to it."""
        details = self.prompt_tokens_details or Details()
        cached, written = details.cached_tokens or 0, details.cache_creation_tokens or 0
        counts = {
            "input_tokens": max((self.prompt_tokens or 0) - cached - written, 0),
            "output_tokens": self.completion_tokens or 0,
        }
        if cached or written:
            counts |= {"cache_read_input_tokens": cached, "cache_creation_input_tokens": written}
        return counts


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct):
    """A whole message, or the delta of one."""

    content: Any = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None
    message: Said | None = None
    delta: Said | None = None


class Completion(msgspec.Struct):
    """A chat completion or one chunk of it, as far as a message has words for it."""

    id: str = ""
    model: str | None = None
    choices: list[Choice] = []
    usage: Usage | None = None


_COMPLETION = msgspec.json.Decoder(Completion)


def decode(data: bytes) -> Completion:
    try:
        return _COMPLETION.decode(data)
    except UNREADABLE:
        raise UpstreamError(
            "protocol", "the provider's answer is no chat completion that a message can carry"
        ) from None


def to_message(data: bytes) -> bytes:
    completion = decode(data)
    choice = next((choice for choice in completion.choices if choice.index == 0), completion.choices[0])
    message = head(completion)
    message["content"] = _blocks(choice.message or Said())
    message["stop_reason"] = stop(choice.finish_reason)
    message["usage"] = (completion.usage or Usage()).as_message()
    return msgspec.json.encode(message)


def head(completion: Completion) -> dict[str, Any]:
    """Return a message that nothing was said in yet."""
    return {
        "id": completion.id if completion.id.startswith("msg_") else f"msg_{completion.id}",
        "type": "message",
        "role": "assistant",
        "model": completion.model or "",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": Usage().as_message(),
    }


def stop(finish_reason: str | None) -> str:
    return STOPS.get(finish_reason or "stop", "end_turn")


def _blocks(said: Said) -> list[dict[str, Any]]:
    blocks = list(said.thinking_blocks or ())
    if not blocks and said.reasoning_content:
        blocks.append({"type": "thinking", "thinking": said.reasoning_content, "signature": ""})
    text = said.content if isinstance(said.content, str) else ""
    if text or said.refusal:
        blocks.append({"type": "text", "text": text or said.refusal})
    for call in said.tool_calls or ():
        function = call.function or Function()
        try:
            given = msgspec.json.decode(function.arguments or "{}", type=dict[str, Any])
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider calls a tool with arguments that are no object") from None
        blocks.append({"type": "tool_use", "id": call.id, "name": function.name, "input": given})
    return blocks
