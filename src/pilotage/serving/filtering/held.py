"""An answer all of which is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.upstream.base import Answer


class Held:
    def __init__(self, status: int, content_type: str, data: bytes) -> None:
        self.status = status
        self.content_type = content_type
        self._data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._data:
            yield self._data

    async def close(self) -> None:
        pass


async def gathered(answer: Answer, limit: int) -> bytes:
    """Return all of an answer; raise UpstreamError where it is larger than `limit` bytes or breaks off."""
    pieces: list[bytes] = []
    size = 0
    async for piece in answer.chunks():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise UpstreamError("protocol", f"the provider's answer is larger than {limit >> 20} MB")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
