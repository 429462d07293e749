"""One connection to a provider: HTTP/1.1, one exchange after another, nothing held back and nothing read ahead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httptools

from pilotage.upstream.alarm import NEVER, Alarm
from pilotage.upstream.bell import Bell
from pilotage.upstream.fault import fault

if TYPE_CHECKING:
    from pilotage.errors import UpstreamError

HEADERS_LIMIT = 64 << 10
"""Bytes of a head, and of anything else that is not body and does not end."""
_HEADERS_MOST = 256
_INTERIM_MOST = 16
_HIGH_WATER = 256 << 10
"""Bytes of body that wait for their reader before the provider is made to wait."""


class Unparsed(Exception):
    """Ends the parsing."""


class Connection(asyncio.Protocol):
    """`ask`, then `head`, then `read` to the end: then `done` tells whether it can be asked again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        self.host = host
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.lost = False
        """Nothing can be sent on it any more."""
        self.idle_since = 0.0
        self.received = False
        """Whether a byte came since it was last asked."""
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._alarm = Alarm(loop, self._due)
        self._waiter: Bell | None = None
        self._body: list[bytes] = []
        self._buffered = self._silent = self._interim = 0
        self._asked = self._complete = self._keeps = self._paused = self._progress = False
        self._fault: UpstreamError | None = None
        self._heard = self._quiet = 0.0
        self._end = NEVER

    def ask(self, request: bytes, *, quiet: float, end: float) -> None:
        """Send a request: `quiet` seconds of silence are borne, and all is over at `end` (the loop's seconds)."""
        self.status = 0
        self.headers = []
        self.received = self._complete = self._keeps = False
        self._asked = True
        self._silent = self._interim = 0
        self._heard = now = self._loop.time()
        self._quiet, self._end = quiet, end
        if self.lost or self._transport is None:
            self._fail("broken", "the provider closed the connection unanswered")
            return
        self._transport.write(request)
        self._alarm.set(min(now + quiet, end))

    def bear(self, quiet: float) -> None:
        """From here on, bear so many seconds of silence."""
        self._quiet = quiet
        if self._asked and not self._complete:
            self._alarm.set(min(self._heard + quiet, self._end))

    async def head(self) -> None:
        """Return when `status` and `headers` are there; raise UpstreamError where they do not come."""
        while not self.status:
            if self._fault is not None:
                raise self._fault
            self._waiter = Bell(self._loop)
            await self._waiter

    async def read(self) -> bytes:
        """Return what has come of the body, b"" at its end; raise UpstreamError where it breaks off."""
        while True:
            if piece := self.read_now():
                return piece
            if self._complete:
                return b""
            if self._fault is not None:
                raise self._fault
            self._waiter = Bell(self._loop)
            await self._waiter

    def read_now(self) -> bytes:
        """Return what has come of the body and was not read yet."""
        body = self._body
        if not body:
            return b""
        piece = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        self._buffered = 0
        if self._paused:
            self._resume()
        return piece

    @property
    def done(self) -> bool:
        """Return whether the answer was read to its end and the connection can be used again."""
        usable = self._complete and self._keeps and not self._body and not self.lost
        return usable and self._transport is not None and not self._transport.get_write_buffer_size()

    def rest(self) -> None:
        """Go idle."""
        self._asked = False
        self._alarm.set(NEVER)
        self.idle_since = self._loop.time()

    def close(self) -> None:
        """Close at once, whatever is on its way."""
        self.lost = True
        self._alarm.close()
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._asked or self._complete:
            # Bytes that nobody asked for: who speaks next on this connection could be mistaken.
            self._keeps = False
            self.close()
            return
        self.received = True
        self._heard = self._loop.time()
        self._progress = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._unparsed()
        else:
            self._silent = 0 if self._progress else self._silent + len(data)
            if self._silent > HEADERS_LIMIT:
                self._fail("protocol", "the provider's headers do not end")
        if self.status:
            self._wake()

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self.lost = True
        self._alarm.close()
        # It holds this object's methods: without this, both would wait for the garbage collector.
        self._parser = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._complete:
            raise Unparsed

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer
        self.headers.append((name.lower(), value))
        if len(self.headers) > _HEADERS_MOST:
            raise Unparsed

    def on_headers_complete(self) -> None:
        self._progress = True
        status: int = self._parser.get_status_code()
        if status >= 200:
            if sum(len(name) + len(value) for name, value in self.headers) > HEADERS_LIMIT:
                raise Unparsed
            self._keeps = self._parser.should_keep_alive()
            self.status = status
            return
        self._interim += 1
        if status == 101 or self._interim > _INTERIM_MOST:
            raise Unparsed
        self.headers = []

    def on_body(self, data: bytes) -> None:
        self._progress = True
        self._body.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        self._progress = True
        if self.status:
            self._complete = True

    def _unparsed(self) -> None:
        if self._complete:
            # More than was announced: the answer is whole, the connection is spent.
            self._keeps = False
            self.close()
        else:
            self._fail("protocol", "the provider did not answer in HTTP")

    def _ended(self, exc: Exception | None) -> None:
        """The provider closes: the end of an answer that has no other end, or the middle of one."""
        self.lost = True
        if not self._asked or self._complete or self._fault is not None:
            return
        if self.status and exc is None and not self._framed:
            self._complete = True
            self._wake()
        elif self.status:
            self._fail("broken", "the provider broke off its answer", exc)
        else:
            self._fail("broken", "the provider closed the connection unanswered", exc)

    @property
    def _framed(self) -> bool:
        """Return whether the answer says where it ends."""
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _due(self) -> None:
        """Silence, or the end of all patience. Where we made the provider wait, its silence is not its own."""
        if not self._asked or self._complete:
            return
        now = self._loop.time()
        silent = NEVER if self._paused else self._heard + self._quiet
        if now < min(silent, self._end):
            self._alarm.set(min(silent, self._end))
        elif now >= self._end:
            self._fail("timeout", "the provider did not answer to the end in time", status=504)
        elif self.status:
            self._fail("timeout", "the provider fell silent within its answer", status=504)
        else:
            self._fail("timeout", "the provider did not begin to answer in time", status=504)

    def _resume(self) -> None:
        self._paused = False
        self._heard = now = self._loop.time()
        self._alarm.set(min(now + self._quiet, self._end))
        if not self.lost and self._transport is not None:
            self._transport.resume_reading()

    def _fail(self, kind: str, says: str, cause: Exception | None = None, *, status: int = 502) -> None:
        if self._fault is None:
            self._fault = fault(self.host, kind, says, cause, status=status)
        self._keeps = False
        self.close()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.ring()
