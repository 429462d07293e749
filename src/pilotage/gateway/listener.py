"""A worker's listening socket: callers come, are answered, and are let finish at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

from pilotage.gateway.caller import Caller
from pilotage.gateway.lane import Lane

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from pilotage.gateway.wire import Incoming

log = logging.getLogger(__name__)

BACKLOG = 2048


class Opened(NamedTuple):
    """A listening socket, and what it presents where it speaks TLS."""

    door: socket.socket
    tls: ssl.SSLContext | None = None


class Listener:
    """Needs a running loop. `handle` answers one request; it runs in a lane of its own, cancelled when the caller goes."""

    def __init__(self, handle: Callable[[Incoming], Awaitable[None]], *, protocol: type[Caller] = Caller) -> None:
        self.loop = asyncio.get_running_loop()
        self.callers: set[Caller] = set()
        self.lanes: set[Lane] = set()
        self.linger_seconds = 0.0
        """At the end: for how long a caller that is between two requests may still send one."""
        self.ending = False
        self._handle = handle
        self._protocol = protocol
        self._second = 0
        self._date = b""

    async def serve(
        self,
        doors: Sequence[Opened],
        until: asyncio.Event,
        *,
        drain_seconds: float,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve; then take no more callers, answer what was begun, and cancel what takes longer than that."""
        servers = [
            await self.loop.create_server(lambda: self._protocol(self), sock=door, backlog=BACKLOG, ssl=tls)
            for door, tls in doors
        ]
        ready()
        await until.wait()
        self.ending = True
        for server, (door, _) in zip(servers, doors, strict=True):
            server.close()
            door.close()
        for caller in list(self.callers):
            caller.end(self.linger_seconds)
        deadline = self.loop.time() + drain_seconds
        while (self.callers or self.lanes) and self.loop.time() < deadline:  # noqa: ASYNC110 - they end in many places
            await asyncio.sleep(0.02)
        if self.lanes:
            log.error("%d requests are cut off: they took longer than %d s to end", len(self.lanes), drain_seconds)
        for caller in list(self.callers):
            caller.abort()
        while self.lanes:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)

    def lane(self, incoming: Incoming) -> Lane:
        """Return the lane in which a request is answered."""
        lane = Lane(self.loop, self._answer(incoming), self.lanes.discard)
        self.lanes.add(lane)
        return lane

    async def _answer(self, incoming: Incoming) -> None:
        """Answer one request, whatever becomes of it."""
        try:
            await self._handle(incoming)
        except Exception:
            log.exception("a fault of the gateway itself at %s", incoming.path)
        finally:
            if not incoming.answered:
                await incoming.conclude()

    def date(self) -> bytes:
        """Return the date header of answers, made once a second."""
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, f"date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date
