"""A streamed answer: forwarded event by event, judged as it passes, never ended in silence."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from pilotage.errors import UpstreamError
from pilotage.upstream.sse import Splitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.serving.outcome import Outcome
    from pilotage.upstream.base import Answer

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"
_TAIL_SECONDS = 0.1


class Form(Protocol):
    """How the events of one surface are read, and what the caller hears of them. One stream each."""

    @property
    def begun(self) -> bool:
        """Whether an answer began: from then on, no fallback takes over."""

    @property
    def done(self) -> bool:
        """Whether it is whole."""

    def take(self, found: bytes) -> bytes:
        """Return what goes out for one event; raise UpstreamError where it is none of this form, or an error."""

    def take_all(self, chunk: bytes) -> bytes:
        """Return what goes out for a chunk of whole events that hold nothing unusual; b"" where each must be looked at.

        Then nothing was taken in yet.
        """

    def end(self) -> bytes:
        """The provider closed the stream: return what is left to say, or raise UpstreamError where it was not whole."""

    def fault(self, fault: UpstreamError) -> bytes:
        """Return how the caller is told that the answer broke off."""


class EventStream:
    """The answer of one release. `open` returns once its first event is there; until then a fallback may take over.

    `last` turns true before the last bytes are yielded, when the outcome was recorded.
    """

    status = 200
    cache = ""
    content_type = f"{CONTENT_TYPE}; charset=utf-8"

    def __init__(self, answer: Answer, outcome: Outcome, reference: str, form: Form) -> None:
        self._answer = answer
        self._outcome = outcome
        self.served, self.error = reference, outcome.error
        self._form = form
        self._chunks = answer.chunks()
        self._splitter = Splitter()
        self._pending = b""
        self._fault: UpstreamError | None = None
        self.last = False

    async def open(self) -> None:
        """Read up to the first event with data; raise UpstreamError where none comes."""
        if self._answer.content_type != CONTENT_TYPE:
            raise UpstreamError(
                "protocol",
                f"the provider answered {self._answer.content_type or 'no content type'}, not {CONTENT_TYPE}",
            )
        while not self._form.begun:
            await self._advance()
            if self._fault is not None and not self._form.begun:
                raise self._fault

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Left before its end, the client is gone: record that, and cancel the provider's call."""
        self._outcome.finish(self.status, cancelled=True)
        await self._answer.close()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what goes out, whole events at a time, within `async with`."""
        while not (self._form.done or self._fault):
            if self._pending:
                yield self._take()
            await self._advance()
        ending = self._take()
        if self._fault is not None:
            self._outcome.failed(self.served, self._fault.kind)
            ending += self._form.fault(self._fault)
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
            if self._splitter.empty and (whole := self._form.take_all(chunk)):
                self._pending += whole
                return
            for found in self._splitter.feed(chunk):
                self._pending += self._form.take(found)
                if self._form.done:
                    return
        except UpstreamError as fault:
            self._fault = fault

    def _end(self) -> None:
        if self._splitter.rest:
            raise UpstreamError("broken", "the provider's stream ended within an event")
        self._pending += self._form.end()

    async def _drain(self) -> None:
        """After [DONE] only the end marker is left; wait for it shortly, so that the connection can be used again."""
        with suppress(TimeoutError, UpstreamError):
            async with asyncio.timeout(_TAIL_SECONDS):
                await anext(self._chunks, None)
