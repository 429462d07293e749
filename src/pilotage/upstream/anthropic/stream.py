"""From the events of a streamed message to chat completion chunks, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import UpstreamError
from pilotage.upstream.anthropic.reply import Usage, finish, text_in
from pilotage.upstream.chat import UNREADABLE
from pilotage.upstream.sse import DONE, data_of, event

if TYPE_CHECKING:
    from collections.abc import Callable


class _Start(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: Usage = msgspec.field(default_factory=Usage)


class _Event(msgspec.Struct):
    type: str
    message: _Start | None = None
    index: int = 0
    content_block: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    usage: Usage | None = None
    error: Any = None


_EVENT = msgspec.json.Decoder(_Event)


class Chunks:
    """One stream. `take` gives what each event becomes; event types that are new pass as nothing."""

    def __init__(self, created: int, *, with_usage: bool) -> None:
        self._created = created
        self._with_usage = with_usage
        self._head: dict[str, Any] = {}
        self._usage = Usage()
        self._calls = -1
        self._given = False
        """Whether the tool call that is open has been given arguments."""
        self._open = ""
        self._readers: dict[str, Callable[[_Event], bytes]] = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._delta,
            "content_block_stop": self._stop,
            "message_delta": self._message,
            "message_stop": self._end,
            "ping": self._ping,
            "error": self._error,
        }

    def take(self, found: bytes) -> bytes:
        data = data_of(found)
        if data is None:
            return found
        try:
            part = _EVENT.decode(data)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's stream holds something other than events") from None
        read = self._readers.get(part.type)
        return b"" if read is None else read(part)

    def _ping(self, _: _Event) -> bytes:
        return b": ping\n\n"

    def _error(self, part: _Event) -> bytes:
        return event(msgspec.json.encode({"error": part.error}))

    def _message(self, part: _Event) -> bytes:
        if part.usage is not None:
            self._usage = self._usage.updated(part.usage)
        reason = (part.delta or {}).get("stop_reason")
        return self._chunk({}, finish(str(reason))) if reason else b""

    def _end(self, _: _Event) -> bytes:
        usage = self._event(choices=[], usage=self._usage.as_chat()) if self._with_usage else b""
        return usage + event(DONE)

    def _start(self, part: _Event) -> bytes:
        message = part.message or _Start()
        self._head = {
            "id": message.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": message.model,
        }
        self._usage = message.usage
        return self._chunk({"role": "assistant", "content": ""})

    def _block(self, part: _Event) -> bytes:
        block = part.content_block or {}
        self._open = text_in(block, "type")
        match self._open:
            case "text":
                return self._chunk({"content": text}) if (text := text_in(block, "text")) else b""
            case "tool_use":
                self._calls += 1
                self._given = False
                function = {"name": block.get("name"), "arguments": ""}
                return self._call({"id": block.get("id"), "type": "function", "function": function})
            case "redacted_thinking":
                return self._chunk({"thinking_blocks": [block]})
            case _:
                return b""

    def _delta(self, part: _Event) -> bytes:
        delta = part.delta or {}
        match delta.get("type"):
            case "text_delta":
                return self._chunk({"content": text_in(delta, "text")})
            case "input_json_delta" if self._open == "tool_use":
                self._given = self._given or bool(text_in(delta, "partial_json"))
                return self._call({"function": {"arguments": text_in(delta, "partial_json")}})
            case "thinking_delta":
                return self._chunk({"reasoning_content": text_in(delta, "thinking")})
            case "signature_delta":
                block = {"type": "thinking", "thinking": "", "signature": text_in(delta, "signature")}
                return self._chunk({"thinking_blocks": [block]})
            case _:
                return b""

    def _stop(self, _: _Event) -> bytes:
        closed, self._open = self._open, ""
        # A tool without arguments is called with an empty object there, and must be with one here.
        return self._call({"function": {"arguments": "{}"}}) if closed == "tool_use" and not self._given else b""

    def _call(self, call: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls, **call}]})

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return self._event(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])

    def _event(self, **more: object) -> bytes:
        return event(msgspec.json.encode({**self._head, **more}))
