"""A streamed answer: forwarded event by event, judged as it passes, never ended in silence."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving.fault import as_error
from pilotage.serving.sse import DONE, Splitter, data_of, event
from pilotage.upstream.chat import UNREADABLE, Completion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.serving.outcome import Outcome
    from pilotage.upstream.base import Answer

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"
_CHUNK = msgspec.json.Decoder(Completion)
_TAIL_SECONDS = 0.1


class EventStream:
    """The answer of one release. `open` returns once its first event is there; until then a fallback may take over.

    `last` turns true before the last bytes are yielded, when the outcome was recorded.
    """

    status = 200
    content_type = CONTENT_TYPE

    def __init__(self, answer: Answer, outcome: Outcome, reference: str, *, wants_usage: bool) -> None:
        self._answer = answer
        self._outcome = outcome
        self.served, self.error = reference, outcome.error
        self._wants_usage = wants_usage
        self._chunks = answer.chunks()
        self._splitter = Splitter()
        self._pending = b""
        self._fault: UpstreamError | None = None
        self._begun = self._done = False
        self.last = False

    async def open(self) -> None:
        """Read up to the first event with data; raise UpstreamError where none comes."""
        if self._answer.content_type != CONTENT_TYPE:
            raise UpstreamError(
                "protocol",
                f"the provider answered {self._answer.content_type or 'no content type'}, not {CONTENT_TYPE}",
            )
        while not self._begun:
            await self._advance()
            if self._fault is not None and not self._begun:
                raise self._fault

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Left before its end, the client is gone: record that, and cancel the provider's call."""
        self._outcome.finish(self.status, cancelled=True)
        await self._answer.close()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what goes out, whole events at a time, within `async with`."""
        while not (self._done or self._fault):
            if self._pending:
                yield self._take()
            await self._advance()
        ending = self._take()
        if self._fault is not None:
            self._outcome.failed(self.served, self._fault.kind)
            ending += event(msgspec.json.encode(as_error(self._fault)))
        self._outcome.finish(self.status)
        self.last = True
        yield ending
        if self._fault is None:
            await self._drain()

    def _take(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending

    async def _advance(self) -> None:
        """Read one more chunk; a fault is kept for after the events that came before it."""
        try:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._end()
                return
            for found in self._splitter.feed(chunk):
                self._read(found)
                if self._done:
                    return
        except UpstreamError as fault:
            self._fault = fault

    def _read(self, found: bytes) -> None:
        data = data_of(found)
        if data is None:
            self._pending += found
            return
        if data == DONE:
            if not self._begun:
                raise UpstreamError("protocol", "the provider's stream holds no answer")
            self._done = True
            self._pending += found
            return
        try:
            part = _CHUNK.decode(data)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's stream holds something other than chat chunks") from None
        if part.error is not None:
            raise UpstreamError("broken", "the provider reported an error within its stream", body=data)
        if part.choices is None:
            raise UpstreamError("protocol", "the provider's stream holds something other than chat chunks")
        self._begun = True
        self._outcome.read(part)
        if part.choices or part.usage is None or self._wants_usage:
            self._pending += found

    def _end(self) -> None:
        """The provider closed the stream without saying [DONE]: whole only where it had given its reason to finish."""
        if self._splitter.rest or not self._outcome.finish_reason:
            raise UpstreamError("broken", "the provider's stream ended before its answer did")
        self._done = True
        self._pending += event(DONE)

    async def _drain(self) -> None:
        """After [DONE] only the end marker is left; wait for it shortly, so that the connection can be used again."""
        with suppress(TimeoutError, UpstreamError):
            async with asyncio.timeout(_TAIL_SECONDS):
                await anext(self._chunks, None)
