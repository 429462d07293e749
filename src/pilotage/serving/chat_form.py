"""How a stream of chat completion chunks is read: what it says, and whether it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving.fault import as_error
from pilotage.upstream.chat import UNREADABLE, Completion
from pilotage.upstream.sse import DONE, data_of, event

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome

_OPENING, _BETWEEN, _CLOSING = b"data: ", b"\n\ndata: ", b"\n\n"
_CHUNK = msgspec.json.Decoder(Completion)


class ChatForm:
    def __init__(self, outcome: Outcome, *, wants_usage: bool) -> None:
        self._outcome = outcome
        self._wants_usage = wants_usage
        self.begun = self.done = False

    def take(self, found: bytes) -> bytes:
        data = data_of(found)
        if data is None:
            return found
        if data == DONE:
            if not self.begun:
                raise UpstreamError("protocol", "the provider's stream holds no answer")
            self.done = True
            return found
        try:
            part = _CHUNK.decode(data)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's stream holds something other than chat chunks") from None
        if part.error is not None:
            raise UpstreamError("broken", "the provider reported an error within its stream", body=data)
        if part.choices is None:
            raise UpstreamError("protocol", "the provider's stream holds something other than chat chunks")
        self.begun = True
        self._outcome.read(part)
        return found if part.choices or part.usage is None or self._wants_usage else b""

    def take_all(self, chunk: bytes) -> bytes:
        if not (chunk.startswith(_OPENING) and chunk.endswith(_CLOSING)) or b"\r" in chunk:
            return b""
        data = chunk[len(_OPENING) : -len(_CLOSING)].split(_BETWEEN)
        last = data[-1] == DONE
        if last:
            data.pop()
        try:
            # One call for them all. What is no event of one line gives another number of values, or none.
            parts = _CHUNK.decode_lines(b"\n".join(data))
        except UNREADABLE:
            return b""
        if len(parts) != len(data) or not (parts or self.begun):
            return b""
        for part in parts:
            if part.error is not None or not part.choices:
                return b""
        for part in parts:
            self._outcome.read(part)
        self.begun, self.done = True, last
        return chunk

    def end(self) -> bytes:
        """Closed without [DONE], it is whole only where it had given its reason to finish."""
        if not self._outcome.finish_reason:
            raise UpstreamError("broken", "the provider's stream ended before its answer did")
        self.done = True
        return event(DONE)

    def fault(self, fault: UpstreamError) -> bytes:
        return event(msgspec.json.encode(as_error(fault)))
