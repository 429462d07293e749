"""A provider's streamed answer, filtered event by event before anything else reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.upstream.sse import Splitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.upstream.base import Answer


class Sieve(Protocol):
    """What becomes of the events of one surface. `done` tells that the answer was blocked, and nothing follows."""

    done: bool

    def take(self, found: bytes) -> bytes:
        """Return what goes out for one event, perhaps nothing yet."""

    def take_all(self, events: list[bytes]) -> bytes:
        """Return what goes out for events that came together."""


def taken(sieve: Sieve, events: list[bytes]) -> bytes:
    """Return what goes out for one event after the other, up to one that is blocked."""
    out = []
    for found in events:
        out.append(sieve.take(found))
        if sieve.done:
            break
    return b"".join(out)


class FilteredAnswer:
    def __init__(self, answer: Answer, sieve: Sieve) -> None:
        self._answer = answer
        self._sieve = sieve

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def content_type(self) -> str:
        return self._answer.content_type

    async def chunks(self) -> AsyncIterator[bytes]:
        splitter = Splitter()
        async for chunk in self._answer.chunks():
            if said := self._sieve.take_all(splitter.feed(chunk)):
                yield said
            if self._sieve.done:
                return
        if splitter.rest:
            # Half an event is nobody's answer; who reads on says so.
            yield splitter.rest

    async def close(self) -> None:
        await self._answer.close()
