"""A stream of chat chunks, told as the events of a message, in the order that Anthropic gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving.chat_form import ChatForm
from pilotage.serving.messages.fault import as_error
from pilotage.serving.messages.reply import Completion, Said, ToolCall, Usage, decode, head, stop
from pilotage.upstream.sse import DONE, data_of

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome


class MessagesForm:
    """Reads like a chat's form, and says each part in the other protocol. One block is open at a time."""

    def __init__(self, outcome: Outcome) -> None:
        self._chat = ChatForm(outcome, wants_usage=True)
        self._outcome = outcome
        self._usage = Usage()
        self._started = False
        self._index = -1
        self._open = ""
        self._call = -1

    @property
    def begun(self) -> bool:
        return self._chat.begun

    @property
    def done(self) -> bool:
        return self._chat.done

    def take(self, found: bytes) -> bytes:
        self._chat.take(found)
        data = data_of(found)
        if data is None:
            return _event("ping") if self._started else b""
        if data == DONE:
            return self._close()
        part = decode(data)
        if part.usage is not None:
            self._usage = part.usage
        out = [] if self._started else [self._start(part)]
        for choice in part.choices:
            if choice.index == 0 and choice.delta is not None:
                out += self._delta(choice.delta)
        return b"".join(out)

    def take_all(self, chunk: bytes) -> bytes:
        del chunk
        return b""

    def end(self) -> bytes:
        self._chat.end()
        return self._close()

    def fault(self, fault: UpstreamError) -> bytes:
        return _event("error", error=as_error(fault)["error"])

    def _start(self, part: Completion) -> bytes:
        self._started = True
        return _event("message_start", message=head(part))

    def _delta(self, said: Said) -> list[bytes]:
        out: list[bytes] = []
        if said.reasoning_content:
            out += self._in("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            out.append(self._say({"type": "thinking_delta", "thinking": said.reasoning_content}))
        for block in said.thinking_blocks or ():
            if block.get("type") == "redacted_thinking":
                out += [*self._in("redacted", block), *self._stop()]
            elif block.get("signature"):
                out += self._in("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                out.append(self._say({"type": "signature_delta", "signature": block["signature"]}))
        text = said.content if isinstance(said.content, str) else ""
        if text or said.refusal:
            out += self._in("text", {"type": "text", "text": ""})
            out.append(self._say({"type": "text_delta", "text": text or said.refusal}))
        for call in said.tool_calls or ():
            out += self._called(call)
        return out

    def _called(self, call: ToolCall) -> list[bytes]:
        out: list[bytes] = []
        if call.index < self._call or (call.index == self._call and self._open != "tool_use"):
            raise UpstreamError("protocol", "the provider returned to a tool call that it had left")
        if call.index > self._call:
            self._call = call.index
            out += self._stop()
            name = call.function.name if call.function else None
            out += self._in("tool_use", {"type": "tool_use", "id": call.id, "name": name, "input": {}})
        if call.function and call.function.arguments:
            out.append(self._say({"type": "input_json_delta", "partial_json": call.function.arguments}))
        return out

    def _in(self, kind: str, block: dict[str, Any]) -> list[bytes]:
        """Open a block, unless one of this kind is open."""
        if self._open == kind:
            return []
        out = self._stop()
        self._open = kind
        self._index += 1
        return [*out, _event("content_block_start", index=self._index, content_block=block)]

    def _say(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _stop(self) -> list[bytes]:
        opened, self._open = self._open, ""
        return [_event("content_block_stop", index=self._index)] if opened else []

    def _close(self) -> bytes:
        reason = {"stop_reason": stop(self._outcome.finish_reason), "stop_sequence": None}
        last = _event("message_delta", delta=reason, usage=self._usage.as_message())
        return b"".join([*self._stop(), last, _event("message_stop")])


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
