"""HTTP as the gateway speaks it: bodies within limits, answers whole or in pieces, errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httptools
import msgspec

from pilotage.errors import RequestError, UpstreamError
from pilotage.serving.fault import as_error

if TYPE_CHECKING:
    from pilotage.gateway.caller import Caller
    from pilotage.gateway.lane import Lane

JSON = "application/json"
_LARGE = 64 << 10
"""Bytes of body that wait for somebody to ask for them, and of an answer that are worth no copy."""
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS = (204, 304)
_LINGER = 4
"""A body of up to this many times its limit is read to its end, so that its sender can read why it was refused."""

_KINDS = {401: "authentication_error", 403: "permission_error", 404: "invalid_request_error", 503: "server_error"}


class ClientGone(Exception):
    """The connection to the caller is closed; nobody reads an answer."""


class Incoming:
    """One HTTP request and its answer. Header names are lower-case; of a header sent twice the last counts."""

    __slots__ = (
        "_arrived", "_body", "_caller", "_chunked", "_headers", "_limit", "_modern", "_size", "_waiter",
        "answered", "id", "keep", "lane", "method", "out", "path", "status",
    )  # fmt: skip

    def __init__(
        self, caller: Caller, method: str, path: str, headers: dict[bytes, bytes], *, modern: bool, keep: bool
    ) -> None:
        self.method = method
        self.path = path
        self.id = ""
        """What this request is called here."""
        self.out: dict[str, str] = {}
        """Headers that go out with the answer, whatever it is."""
        self.status = 0
        self.answered = False
        self.keep = keep
        """Whether the connection stays when this is answered."""
        self.lane: Lane | None = None
        self._caller = caller
        self._headers = headers
        self._modern = modern
        self._chunked = False
        self._body: list[bytes] = []
        self._size = self._limit = 0
        self._arrived = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def address(self) -> str:
        return self._caller.address

    def header(self, name: bytes) -> str:
        """Return a header's value without surrounding blanks, or an empty string."""
        value = self._headers.get(name)
        if value is None:
            return ""
        try:
            return value.strip().decode()
        except UnicodeDecodeError:
            return value.strip().decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Return the whole body; raise RequestError 413 where it is larger than `limit` bytes, 408 where it stalls."""
        self._limit = limit
        if not self._arrived:
            await self._arrival(limit)
        if self._size > limit:
            raise _too_large(limit)
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    async def start(self, status: int, content_type: str, *, length: int | None = None) -> None:
        self._caller.write(self._head(status, content_type, length))

    async def write(self, piece: bytes, *, last: bool = False) -> None:
        """Send a piece; waits while the caller is slower than the provider."""
        if self._chunked:
            if piece:
                piece = (
                    b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece) if last else b"%x\r\n%b\r\n" % (len(piece), piece)
                )
            elif last:
                piece = b"0\r\n\r\n"
        if piece and self.method != "HEAD":
            self._caller.write(piece)
        if last:
            self._end()
        elif self._caller.crowded:
            await self._caller.drain()

    async def reply(self, status: int, body: bytes, content_type: str = JSON) -> None:
        head = self._head(status, content_type, len(body))
        if self.method == "HEAD":
            self._caller.write(head)
        elif len(body) < _LARGE:
            self._caller.write(head + body)
        else:
            self._caller.write(head)
            self._caller.write(body)
        self._end()

    async def reply_json(self, status: int, value: object) -> None:
        await self.reply(status, msgspec.json.encode(value))

    async def refuse(self, fault: RequestError) -> None:
        if fault.status == 413:
            self.out["connection"] = "close"
        error = {"message": fault.message, "type": fault.kind, "param": fault.param, "code": fault.error_code}
        await self.reply_json(fault.status, {"error": error})

    async def fail(self, fault: UpstreamError) -> None:
        await self.reply_json(fault.status, as_error(fault))

    async def conclude(self) -> None:
        """Leave no caller waiting for an answer that nobody gives any more."""
        if self.status:
            # Half of an answer is out: only the connection's end tells that there is no more.
            self._caller.abort()
            return
        self.keep = False
        message = "the gateway failed to answer this request"
        await self.refuse(RequestError(500, message, code="internal_error", kind="server_error"))

    # What the connection calls.

    def feed(self, piece: bytes) -> None:
        """Take in a piece of the body; beyond its limit it is only counted."""
        self._size += len(piece)
        if self.answered:
            return
        if not self._limit:
            self._body.append(piece)
            if self._size > _LARGE:
                self._caller.hold()
        elif self._size <= self._limit:
            self._body.append(piece)
        elif self._size > self._limit * _LINGER:
            self._wake()

    def arrived(self) -> None:
        self._arrived = True
        self._wake()

    def late(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self.keep = False
            self._waiter.set_exception(RequestError(408, "the body did not arrive in time", code="request_timeout"))

    async def _arrival(self, limit: int) -> None:
        """Wait until the body is there, or is found to be far too large."""
        length = self.header(b"content-length")
        if length.isdecimal() and int(length) > limit * _LINGER:
            raise _too_large(limit)
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and not self._size:
            self._caller.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._caller.release()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _head(self, status: int, content_type: str, length: int | None) -> bytes:
        """Return the answer's head."""
        lines = [f"{_STATUS_LINES[status]}content-type: {content_type}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in self.out.items()]
        expected = 3 + len(self.out)
        if length is not None:
            lines.append(f"content-length: {length}\r\n")
            expected += 1
        elif status not in _BODILESS:
            if self._modern:
                self._chunked = True
                lines.append("transfer-encoding: chunked\r\n")
                expected += 1
            else:
                self.keep = False
        if not self.keep and "connection" not in self.out:
            lines.append("connection: close\r\n")
            expected += 1
        head = "".join(lines).encode("latin-1") + self._caller.date
        if head.count(b"\n") != expected:
            raise ValueError("a header of this answer holds a line end")
        self.status = status
        return head + b"\r\n"

    def _end(self) -> None:
        self.answered = True
        self._body = []
        if "connection" in self.out:
            self.keep = False
        self._caller.answered(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@lru_cache(maxsize=256)
def path_of(url: bytes) -> str:
    """Return the path of a request's target, decoded, without its query."""
    if not url.startswith(b"/"):
        try:
            url = httptools.parse_url(url).path or b"/"
        except httptools.HttpParserError:
            return ""
    path = url.partition(b"?")[0].decode("latin-1")
    return unquote(path) if "%" in path else path


def refused(status: int, message: str, *, code: str, param: str | None = None) -> RequestError:
    """Return a refusal whose `type` follows from its status."""
    return RequestError(status, message, code=code, kind=_KINDS.get(status, "invalid_request_error"), param=param)


def _too_large(limit: int) -> RequestError:
    size = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit >> 10} KB"
    return refused(413, f"the body is larger than {size}", code="body_too_large")
