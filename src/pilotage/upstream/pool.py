"""The connections of one process to its providers: opened when needed, kept for the next call."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pilotage.upstream.connection import Connection
from pilotage.upstream.fault import fault
from pilotage.upstream.proxy import Proxy

if TYPE_CHECKING:
    from pilotage.upstream.origin import Origin

# Closed by us before the servers that are known to close at five seconds: a request on a connection that its server is
# just closing would look like a fault of the release.
IDLE_SECONDS = 4.0
IDLE_MOST = 256
"""Connections to one origin that are kept without work."""
OPEN_MOST = 2_000
"""Connections to one origin altogether. A call beyond is refused at once, for its fallback may be free."""
_EACH_SECONDS = 1.0


class Egress(NamedTuple):
    """How connections leave: through which proxy, and whose certificates are trusted beside the system's."""

    proxy: str = ""
    no_proxy: str = ""
    ca_file: str = ""


class Pool:
    """Needs a running loop. Proxies are asked for https alone; certificates are always checked."""

    def __init__(self, egress: Egress | None = None) -> None:
        egress = egress or Egress()
        self._loop = asyncio.get_running_loop()
        self._proxy = Proxy(egress.proxy, egress.no_proxy) if egress.proxy else None
        self._ca_file = egress.ca_file
        self._tls: ssl.SSLContext | None = None
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._open: defaultdict[Origin, set[Connection]] = defaultdict(set)
        self._sweeping: asyncio.TimerHandle | None = None

    def take(self, origin: Origin) -> Connection | None:
        """Return a connection that was used before, the one used last, or None."""
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if not connection.lost and self._loop.time() - connection.idle_since < IDLE_SECONDS:
                return connection
            self.drop(origin, connection)
        return None

    async def dial(self, origin: Origin, seconds: float) -> Connection:
        """Return a new connection; raise UpstreamError of kind `connect` where none comes about in time."""
        gone = [connection for connection in self._open[origin] if connection.lost]
        self._open[origin].difference_update(gone)
        if len(self._open[origin]) >= OPEN_MOST:
            raise fault(origin.authority, "connect", "too many calls are on their way to the provider", status=503)
        connection = Connection(self._loop, origin.authority)
        self._open[origin].add(connection)
        try:
            async with asyncio.timeout(seconds):
                await self._connect(origin, connection)
        except BaseException as cause:
            self.drop(origin, connection)
            if isinstance(cause, ssl.SSLCertVerificationError):
                says = "the provider's certificate is not trusted"
            elif isinstance(cause, OSError | ValueError):  # a TimeoutError is an OSError
                says = "no connection to the provider"
            else:
                raise
            raise fault(origin.authority, "connect", says, cause) from None
        return connection

    def give(self, origin: Origin, connection: Connection) -> None:
        """Take a connection back: for the next call where its answer was read to the end, else close it."""
        idle = self._idle[origin]
        if not connection.done or len(idle) >= IDLE_MOST:
            self.drop(origin, connection)
            return
        connection.rest()
        idle.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(IDLE_SECONDS, self._sweep)

    def drop(self, origin: Origin, connection: Connection) -> None:
        self._open[origin].discard(connection)
        connection.close()

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for origin, connections in list(self._open.items()):
            for connection in list(connections):
                self.drop(origin, connection)

    def _sweep(self) -> None:
        """Close what has been idle for too long, and come again as long as anything is kept."""
        self._sweeping = None
        oldest = self._loop.time() - IDLE_SECONDS
        for origin, idle in list(self._idle.items()):
            stays = [one for one in idle if not one.lost and one.idle_since > oldest]
            for connection in set(idle).difference(stays):
                self.drop(origin, connection)
            self._idle[origin] = stays
            if not self._open[origin]:
                del self._idle[origin], self._open[origin]
        if any(self._idle.values()):
            self._sweeping = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)

    async def _connect(self, origin: Origin, connection: Connection) -> None:
        tls: ssl.SSLContext | None = None
        if origin.secure:
            if self._tls is None:
                # It reads the system's certificates, which takes a moment.
                self._tls = await asyncio.to_thread(_context, self._ca_file)
            tls = self._tls
        name = origin.host if tls else None
        if self._proxy is not None and self._proxy.covers(origin) and tls is not None:
            way = await self._proxy.open(self._loop, origin)
            transport = await self._loop.start_tls(way, connection, tls, server_hostname=name)
            if transport is None:
                raise OSError("the connection was closed while it was being secured")
            connection.connection_made(transport)
            return
        addresses = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        places = _interleaved([(family, str(place[0])) for family, _, _, _, place in addresses])
        for left, place in zip(range(len(places), 0, -1), places, strict=True):
            # An address that swallows what is sent to it must not use up the patience that is meant for all of them.
            try:
                async with asyncio.timeout(None if left == 1 else _EACH_SECONDS):
                    await self._loop.create_connection(
                        lambda: connection, place, origin.port, ssl=tls, server_hostname=name
                    )
            except OSError as cause:
                if left == 1 or isinstance(cause, ssl.SSLError):
                    raise
            else:
                return


def _interleaved(found: list[tuple[int, str]]) -> list[str]:
    """Return the addresses in turns by family, each once, the resolver's first choice first."""
    families: dict[int, list[str]] = {}
    for family, place in found:
        places = families.setdefault(family, [])
        if place not in places:
            places.append(place)
    turns = itertools.zip_longest(*families.values())
    return [place for turn in turns for place in turn if place is not None]


def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
