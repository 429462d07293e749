"""A streamed answer that is no text: bytes, passed on as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.serving.outcome import Outcome
    from pilotage.upstream.base import Answer

_TEXTUAL = ("", "application/json", "text/html", "text/plain")


class OctetStream:
    """One piece is held back, so that the last one goes out after the record.

    Bytes have no words for a fault. Where one comes later than the first piece, `last` stays false, and the connection is
    closed before its end: the caller's client takes the answer for broken, as it is.
    """

    status = 200
    cache = ""

    def __init__(self, answer: Answer, outcome: Outcome, reference: str) -> None:
        self._answer = answer
        self._outcome = outcome
        self.served, self.error = reference, outcome.error
        self.content_type = answer.content_type
        self._chunks = answer.chunks()
        self._held = b""
        self.last = False

    async def open(self) -> None:
        """Read the first piece; raise UpstreamError where there is none, or it is no sound."""
        if self.content_type in _TEXTUAL:
            raise UpstreamError(
                "protocol", f"the provider answered {self.content_type or 'no content type'}, not audio"
            )
        self._held = await anext(self._chunks, b"")
        if not self._held:
            raise UpstreamError("broken", "the provider's answer is empty")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Left before its end, the client is gone: record that, and cancel the provider's call."""
        self._outcome.finish(self.status, cancelled=True)
        await self._answer.close()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield pieces, within `async with`."""
        try:
            async for piece in self._chunks:
                ready, self._held = self._held, piece
                yield ready
        except UpstreamError as fault:
            self._outcome.failed(self.served, fault.kind)
            self._outcome.finish(self.status)
            return
        self._outcome.finish(self.status)
        self.last = True
        yield self._held
