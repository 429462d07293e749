"""One caller's connection: HTTP/1.1 in, one request after another, within bounds on what it may cost."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import httptools

from pilotage.gateway.flow import Flow
from pilotage.gateway.wire import Incoming, path_of
from pilotage.upstream.alarm import Alarm

if TYPE_CHECKING:
    import asyncio

    from pilotage.gateway.lane import Lane
    from pilotage.gateway.listener import Listener

HEADERS_LIMIT = 32 << 10
"""Bytes of a request's line and headers together, and of anything else that is not body and does not end."""


class HeadersTooLarge(Exception):
    """Ends the parsing."""


class Caller(Flow):
    """Opens a lane for each request as soon as its head is there; a connection that is lost cancels it."""

    head_seconds: ClassVar[float] = 10.0
    """For a head once it began. Sending a little now and then gains no time."""
    body_seconds: ClassVar[float] = 60.0
    """For a body, and for the trailers behind it."""
    idle_seconds: ClassVar[float] = 75.0

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener.loop)
        self._listener = listener
        self._parser: Any = self._new_parser()
        self._alarm = Alarm(self._loop, self._late)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._arriving: Incoming | None = None
        """The request whose body is on its way."""
        self._answering: Incoming | None = None
        self._waiting: deque[Incoming] = deque()
        self._opened: Lane | None = None
        """What begins when the parser has told all of what came with its head."""
        # Bytes since the parser last told of a head, of body or of an end; and of what it was given just before.
        self._silent = self._recent = 0
        self._in_head = self._progress = self._switching = self._ending = False
        self._since = self._linger = 0.0

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._listener.callers.add(self)
        if self._listener.ending:
            # It was on its way when the door closed.
            self.end(self._listener.linger_seconds)
            return
        # Who connects and says nothing is as idle as who has nothing more to say.
        self._alarm.set(self._loop.time() + self.idle_seconds)

    def connection_lost(self, _: Exception | None) -> None:
        self._listener.callers.discard(self)
        self._alarm.close()
        self._waiting.clear()
        self.resume_writing()
        if self._answering is not None and self._answering.lane is not None:
            self._answering.lane.cancel()
        # It holds this object's methods: without this, both would wait for the garbage collector.
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if len(data) <= HEADERS_LIMIT:
            self._take(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), HEADERS_LIMIT):
                if self._transport.is_closing():
                    return
                self._take(view[start : start + HEADERS_LIMIT])
        if (self._silent or self._in_head or self._arriving is not None) and not self._since:
            self._since = now = self._loop.time()
            self._alarm.set(now + (self.body_seconds if self._arriving is not None else self.head_seconds))

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url, self._headers, self._in_head = b"", [], True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._progress, self._in_head = True, False
        if self._silent + self._recent > HEADERS_LIMIT:
            size = len(self._url) + sum([len(name) + len(value) + 4 for name, value in self._headers])
            if size > HEADERS_LIMIT:
                raise HeadersTooLarge
        if self._switching:
            # Its body follows; the request itself is known already.
            self._switching = False
            return
        parser = self._parser
        self._switching = parser.should_upgrade()
        modern = parser.get_http_version() != "1.0"
        incoming = Incoming(
            self,
            parser.get_method().decode(),
            path_of(self._url),
            dict(self._headers),
            modern=modern,
            keep=modern and not self._ending and parser.should_keep_alive(),
        )
        self._arriving, self._since = incoming, 0.0
        if self._answering is None and not self._waiting:
            self._opened = self._start(incoming)
        else:
            # One after another: nobody's requests are answered faster for being sent at once.
            self._waiting.append(incoming)
            self.hold()

    def on_body(self, body: bytes) -> None:
        self._progress = True
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        if self._switching:
            return
        self._progress, self._since = True, 0.0
        if self._arriving is not None:
            self._arriving.arrived()
            self._arriving = None

    # What a request that is being answered calls.

    @property
    def date(self) -> bytes:
        return self._listener.date()

    def answered(self, incoming: Incoming) -> None:
        """Go on with what waits, or wait."""
        self._answering = None
        if not incoming.keep or (self._ending and not self._linger):
            self._transport.close()
        elif self._waiting:
            self._start(self._waiting.popleft()).start()
        else:
            self.release()
            idle = self._linger if self._ending else self.idle_seconds
            self._alarm.set(self._loop.time() + (self.body_seconds if self._arriving else idle))

    def end(self, linger: float = 0) -> None:
        """Close when what was begun is answered; for `linger` seconds, a caller that was not told of it may send one more."""
        self._ending, self._linger = True, linger
        if self._answering is not None:
            if not (linger and self._answering.status):
                self._answering.keep = False
        elif not linger:
            self._transport.close()
        elif not (self._silent or self._in_head):
            self._alarm.set(self._loop.time() + linger)

    def _start(self, incoming: Incoming) -> Lane:
        self._answering = incoming
        if self._ending and not self._waiting:
            incoming.keep = False
        incoming.lane = lane = self._listener.lane(incoming)
        return lane

    def _take(self, data: bytes | memoryview) -> None:
        self._feed(data)
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.start()

    def _feed(self, data: bytes | memoryview) -> None:
        self._progress = False
        size = len(data)
        self._recent += size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._stay(bytes(data[switch.args[0] :]))
            return
        except httptools.HttpParserError as fault:
            if isinstance(fault.__context__, HeadersTooLarge):
                self._refuse(431, b"Request Header Fields Too Large", _TOO_LARGE)
            else:
                self._refuse(400, b"Bad Request", b"Invalid HTTP request received.")
            return
        if self._progress:
            # Some of it may belong to the next head, so it may count twice: that only means to count exactly.
            self._silent, self._recent = 0, size
        else:
            self._silent += size
            if self._silent > HEADERS_LIMIT:
                self._refuse(431, b"Request Header Fields Too Large", _TOO_LARGE)

    def _stay(self, rest: bytes) -> None:
        """Go on in this protocol, where one was asked to switch to another.

        The parser leaves all that follows to the other protocol, even a body: a parser that has not heard of it reads on.
        """
        self._parser = self._new_parser()
        framing = [b"%b: %b\r\n" % (name, value) for name, value in self._headers if name in _FRAMING]
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n%b" % (b"".join(framing), rest))

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # What follows a request that closes the connection is nobody's, and no reason to refuse that request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _late(self) -> None:
        """Time is up for whatever is waited for."""
        if self._arriving is not None:
            if self._arriving.answered:
                self._transport.close()
            else:
                self._arriving.late()
        elif self._silent or self._in_head:
            if self._answering is not None or self._held:
                # The next request can wait until this one is answered, and what is not read yet may be there.
                self._alarm.set(self._loop.time() + self.head_seconds)
            else:
                self._refuse(408, b"Request Timeout", b"The request did not arrive in time.")
        elif self._answering is None:
            self._transport.close()

    def _refuse(self, status: int, phrase: bytes, why: bytes) -> None:
        """Say why, unless an answer is on its way already, and close."""
        if self._transport.is_closing():
            return
        if self._answering is None or not self._answering.status:
            head = b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\n" % (status, phrase)
            self._transport.write(head + b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(why), why))
        self._transport.close()


_FRAMING = (b"content-length", b"transfer-encoding")
_TOO_LARGE = b"Request headers larger than %d KB." % (HEADERS_LIMIT >> 10)
