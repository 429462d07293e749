"""Streams whose events say their own type: Responses, images, speech. What is new among them passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving.fault import as_error
from pilotage.upstream.chat import UNREADABLE
from pilotage.upstream.sse import DONE, data_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.serving.outcome import Outcome


class TypedEvent(msgspec.Struct):
    type: str = ""
    delta: Any = None
    response: Any = None
    usage: Any = None
    error: Any = None


_EVENT = msgspec.json.Decoder(TypedEvent)


class TypedForm:
    """`last` reads the event that makes the answer whole and is named in `wholes`; `texts` are deltas that are said."""

    def __init__(
        self, outcome: Outcome, wholes: frozenset[str], last: Callable[[TypedEvent], None], *, texts: str = ""
    ) -> None:
        self._outcome = outcome
        self._wholes = wholes
        self._last = last
        self._texts = texts
        self.begun = self.done = False

    def take(self, found: bytes) -> bytes:
        data = data_of(found)
        if data is None:
            return found
        if data == DONE:
            return self.end()
        try:
            part = _EVENT.decode(data)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's stream holds something other than events") from None
        if part.type == "error" or part.type.endswith(".failed") or (part.error is not None and not part.type):
            raise UpstreamError("broken", "the provider reported an error within its stream", body=data)
        if not part.type:
            raise UpstreamError("protocol", "the provider's stream holds an event without a type")
        self.begun = True
        if part.type == self._texts and isinstance(part.delta, str):
            self._outcome.say(part.delta)
        if part.type in self._wholes:
            self._last(part)
            self.done = True
        return found

    def take_all(self, chunk: bytes) -> bytes:
        del chunk
        return b""

    def end(self) -> bytes:
        raise UpstreamError("broken", "the provider's stream ended before its answer did")

    def fault(self, fault: UpstreamError) -> bytes:
        said = as_error(fault)["error"]
        event = {"type": "error", "code": said["code"], "message": said["message"], "param": said["param"]}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode({**event, "error": said})
