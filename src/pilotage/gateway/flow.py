"""How fast a connection is written and read: as fast as its other side reads, and no faster than we can use."""

from __future__ import annotations

import asyncio
from typing import cast


class Flow(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._writable: asyncio.Future[None] | None = None
        self._held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @property
    def address(self) -> str:
        """Return where it comes from; empty where that has no address, as of a socket in the file system."""
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def write(self, data: bytes) -> None:
        # A caller that was told that its bytes make no request is told nothing after that.
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the caller reads more slowly than we write."""
        if self._writable is not None:
            await self._writable

    @property
    def crowded(self) -> bool:
        return self._writable is not None

    def hold(self) -> None:
        if not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        if self._held and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def abort(self) -> None:
        self._transport.abort()
