"""HTTP as the gateway speaks it: bodies within limits, answers whole or in pieces, errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import RequestError, UpstreamError
from pilotage.serving.fault import as_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

JSON = "application/json"
_BODY_SECONDS = 60.0
_LINGER = 4
"""A body of up to this many times its limit is read to its end, so that its sender can read why it was refused."""

_KINDS = {401: "authentication_error", 403: "permission_error", 404: "invalid_request_error", 503: "server_error"}


class ClientGone(Exception):
    """The connection to the caller is closed; nobody reads an answer."""


class Incoming:
    """One HTTP request. Header names are lower-case; of a header sent twice the last counts."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self.out: dict[str, str] = {}
        """Headers that go out with the answer, whatever it is."""
        self.status = 0

    def header(self, name: bytes) -> str:
        """Return a header's value without surrounding blanks, or an empty string."""
        value = self._headers.get(name, b"").strip()
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Return the whole body; raise RequestError 413 where it is larger than `limit` bytes, 408 where it stalls."""
        length = self.header(b"content-length")
        if length.isdecimal() and int(length) > limit * _LINGER:
            raise _too_large(limit)
        body = bytearray()
        size = 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    piece: bytes = message.get("body", b"")
                    size += len(piece)
                    if size <= limit:
                        body += piece
                    elif size > limit * _LINGER:
                        break
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            self.out["connection"] = "close"
            raise RequestError(408, "the body did not arrive in time", code="request_timeout") from None
        if size > limit:
            raise _too_large(limit)
        return bytes(body)

    async def gone(self) -> None:
        """Return when the caller has closed the connection (or the answer is complete)."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, content_type: str, *, length: int | None = None) -> None:
        self.status = status
        headers = {"content-type": content_type, **self.out}
        if length is not None:
            headers["content-length"] = str(length)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, piece: bytes, *, last: bool = False) -> None:
        """Send a piece; waits while the caller is slower than the provider."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def reply(self, status: int, body: bytes, content_type: str = JSON) -> None:
        await self.start(status, content_type, length=len(body))
        await self.write(body, last=True)

    async def reply_json(self, status: int, value: object) -> None:
        await self.reply(status, msgspec.json.encode(value))

    async def refuse(self, fault: RequestError) -> None:
        if fault.status == 413:
            self.out["connection"] = "close"
        error = {"message": fault.message, "type": fault.kind, "param": fault.param, "code": fault.error_code}
        await self.reply_json(fault.status, {"error": error})

    async def fail(self, fault: UpstreamError) -> None:
        await self.reply_json(fault.status, as_error(fault))


def refused(status: int, message: str, *, code: str, param: str | None = None) -> RequestError:
    """Return a refusal whose `type` follows from its status."""
    return RequestError(status, message, code=code, kind=_KINDS.get(status, "invalid_request_error"), param=param)


def _too_large(limit: int) -> RequestError:
    size = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit >> 10} KB"
    return refused(413, f"the body is larger than {size}", code="body_too_large")
