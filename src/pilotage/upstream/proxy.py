"""The way out where a proxy guards it: an HTTP CONNECT tunnel, within which TLS is with the provider itself."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pilotage.upstream.origin import Origin

_HEAD_LIMIT = 16 << 10


class TunnelRefused(OSError):
    """The proxy did not open a way."""


class Proxy:
    """An address such as `http://user:password@proxy:3128`; `exempt` as NO_PROXY has it. Used for https alone."""

    def __init__(self, url: str, exempt: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("the proxy's address starts with http:// and names a host")
        self.host, self.port = parts.hostname, parts.port or 80
        self._credentials = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._credentials = base64.b64encode(pair.encode()).decode()
        self._exempt = [entry for one in exempt.split(",") if (entry := one.strip().lower())]

    def covers(self, origin: Origin) -> bool:
        return origin.secure and not any(_matches(entry, origin) for entry in self._exempt)

    async def open(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> asyncio.Transport:
        """Return a transport that leads to the origin; raise OSError where the proxy does not answer or refuses."""
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"host: {host}:{origin.port}"]
        if self._credentials:
            lines.append(f"proxy-authorization: Basic {self._credentials}")
        transport, tunnel = await loop.create_connection(lambda: _Tunnel(loop), self.host, self.port)
        try:
            transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            await tunnel.opened
        except BaseException:
            transport.abort()
            raise
        return transport


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's consent. The provider does not speak before we do, so nothing may follow it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.opened: asyncio.Future[None] = loop.create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) <= _HEAD_LIMIT:
            return
        words = self._head.split(b"\r\n", 1)[0].split(b" ", 2)
        status = words[1].decode("latin-1") if len(words) > 1 and words[0].startswith(b"HTTP/1.") else ""
        if end >= 0 and end + 4 == len(self._head) and status == "200":
            self.opened.set_result(None)
        else:
            told = f"HTTP {status}" if status.isdecimal() else "something other than HTTP"
            self.opened.set_exception(TunnelRefused(0, f"the proxy answered {told}"))

    def connection_lost(self, _: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(TunnelRefused(0, "the proxy closed the connection"))


def _matches(entry: str, origin: Origin) -> bool:
    """Return whether one entry of NO_PROXY names this origin: `*`, a domain, a host with a port, an address, a network."""
    if entry == "*":
        return True
    host = origin.host.lower()
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except (ValueError, TypeError):
        pass
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        if int(port) != origin.port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".")
    return host == entry or host.endswith(f".{entry}")
