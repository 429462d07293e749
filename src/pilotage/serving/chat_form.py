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

    def end(self) -> bytes:
        """Closed without [DONE], it is whole only where it had given its reason to finish."""
        if not self._outcome.finish_reason:
            raise UpstreamError("broken", "the provider's stream ended before its answer did")
        self.done = True
        return event(DONE)

    def fault(self, fault: UpstreamError) -> bytes:
        return event(msgspec.json.encode(as_error(fault)))
