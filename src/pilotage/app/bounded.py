"""The HTTP server's protocol with the bounds that the parser itself has not: what one connection may cost."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEADERS_LIMIT = 32 << 10


class _Phase(Enum):
    """What a connection is waiting for."""

    REQUEST = auto()
    HEAD = auto()
    BODY = auto()
    CHUNK = auto()
    """A chunk's data, or the trailers behind the last one."""


class HeadersTooLarge(Exception):
    """Ends the parsing."""


class BoundedHttp(HttpToolsProtocol):
    """Refuses a request line, headers and trailers that are larger than 32 KB together, or not there in time.

    Two counts, for the parser tells of a field only when it is whole: `_parsed` of what it told of, and `_silent` of
    what came in since it last told of anything that ends or is body.
    """

    patience: ClassVar[float] = 10.0
    """Seconds for a head once it began, and for trailers."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._phase = _Phase.REQUEST
        self._parsed = self._silent = 0
        self._progress = False
        self._deadline: asyncio.TimerHandle | None = None
        # Who connects and says nothing is as idle as who has nothing more to say.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._progress = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._silent = 0 if self._progress else self._silent + len(data)
        if self._silent > HEADERS_LIMIT:
            self._refuse(431, f"Request headers larger than {HEADERS_LIMIT >> 10} KB.")
        elif self._phase is not _Phase.BODY and not (self._phase is _Phase.REQUEST and self._progress):
            self._expect(self.patience)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase, self._parsed = _Phase.HEAD, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(b": \r\n"))
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._phase, self._progress = _Phase.BODY, True
        self._in_time()
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._phase = _Phase.CHUNK

    def on_body(self, body: bytes) -> None:
        self._phase, self._progress = _Phase.BODY, True
        self._in_time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase, self._progress = _Phase.REQUEST, True
        self._in_time()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._parsed > HEADERS_LIMIT:
            self._refuse(431, f"Request headers larger than {HEADERS_LIMIT >> 10} KB.")
        else:
            self._refuse(400, msg)

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEADERS_LIMIT:
            # The parser stops, and the server answers by `send_400_response`.
            raise HeadersTooLarge

    def _expect(self, seconds: float) -> None:
        """Begin to wait, unless that began already: sending a little now and then gains no time."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self._too_late)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        answering = self._phase is not _Phase.CHUNK and self.cycle is not None and not self.cycle.response_complete
        if answering or self.flow.read_paused:
            # The next request can wait until this one is answered, and what is not read yet may be there.
            self._expect(self.patience)
        else:
            self._refuse(408, "The request did not arrive in time.")

    def _refuse(self, status: int, why: str) -> None:
        """Say why, unless an answer is on its way already, and close."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            head = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(why)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + why.encode())
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
