"""A provider behind HTTP, in OpenAI's protocol: pooled connections, nothing held back.

Redirects are not followed: a prompt goes to the address in the use case's file or nowhere. Certificates are checked
against the system's trust store. A proxy sees only which host is called.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from pilotage.clock import SECOND
from pilotage.errors import UpstreamError
from pilotage.upstream.fault import fault
from pilotage.upstream.origin import Origin, split
from pilotage.upstream.retry_after import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.base import Call
    from pilotage.upstream.connection import Connection
    from pilotage.upstream.pool import Pool

ERROR_BODY_LIMIT = 64 << 10

_PASSED_ON = frozenset({400, 409, 413, 415, 422, 429})


class HttpAnswer:
    def __init__(self, pool: Pool, origin: Origin, connection: Connection) -> None:
        self._pool = pool
        self._origin = origin
        self._connection: Connection | None = connection
        self.status = connection.status
        self.content_type = ""
        self.compressed = False
        self.retry_after = ""
        for name, value in connection.headers:
            if name == b"content-type":
                self.content_type = value.split(b";", 1)[0].strip().lower().decode("latin-1")
            elif name == b"retry-after":
                self.retry_after = value.decode("latin-1")
            elif name == b"content-encoding":
                self.compressed = value.strip().lower() not in (b"", b"identity")

    def chunks(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None:
            raise StopAsyncIteration
        connection = self._connection
        piece = connection.read_now() or await connection.read()
        if connection.done:
            # All of it was read: whoever asks next can have the connection.
            self._give()
        if not piece:
            self._give()
            raise StopAsyncIteration
        return piece

    async def close(self) -> None:
        self._give()

    def _give(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give(self._origin, connection)


class HttpUpstream:
    """One address. The silence that is borne before an answer is also borne within it, unless `idle_timeout` says else."""

    def __init__(self, pool: Pool, address: UpstreamAddress, *, api_key: str = "") -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._base_url = address.base_url.rstrip("/")
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "pilotage"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._connect = address.connect_timeout / SECOND
        self._quiet = address.first_byte_timeout / SECOND
        self._idle = (address.idle_timeout or address.first_byte_timeout) / SECOND
        self._total = address.total_timeout / SECOND
        self._heads: dict[tuple[str, bool], tuple[Origin, bytes]] = {}

    async def send(self, call: Call) -> HttpAnswer:
        origin, head = self._head(call)
        request = b"%b%bcontent-length: %d\r\n\r\n%b" % (head, _lines(call.headers), len(call.body), call.body)
        end = self._loop.time() + self._total
        connection = self._pool.take(origin)
        if connection is not None:
            try:
                return await self._ask(origin, connection, request, end)
            except UpstreamError as raised:
                # A server may close an idle connection just as a request is sent on it: nobody has seen that request.
                if raised.kind != "broken" or connection.received:
                    raise
        patience = min(self._connect, end - self._loop.time())
        return await self._ask(origin, await self._pool.dial(origin, patience), request, end)

    async def close(self) -> None:
        """Do nothing: the pool belongs to whoever opened it."""

    async def _ask(self, origin: Origin, connection: Connection, request: bytes, end: float) -> HttpAnswer:
        try:
            connection.ask(request, quiet=self._quiet, end=end)
            await connection.head()
        except BaseException:
            self._pool.drop(origin, connection)
            raise
        answer = HttpAnswer(self._pool, origin, connection)
        if 200 <= answer.status < 300 and not answer.compressed:
            if self._idle != self._quiet:
                connection.bear(self._idle)
            return answer
        try:
            raise await _refusal(answer, connection.host)
        finally:
            await answer.close()

    def _head(self, call: Call) -> tuple[Origin, bytes]:
        """Return where this call goes, and its head up to the headers that are its own."""
        known = self._heads.get((call.path, call.stream))
        if known is None:
            try:
                origin, target = split(self._base_url + call.path)
            except ValueError as cause:
                raise fault(self._base_url, "connect", "no connection to the provider", cause) from None
            accept = "text/event-stream" if call.stream else "application/json"
            fields = _lines({"host": origin.authority, **self._headers, "accept": accept})
            known = origin, f"POST {target} HTTP/1.1\r\n".encode() + fields
            self._heads[call.path, call.stream] = known
        return known


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return header lines; raise UpstreamError where a value would not stay within its line."""
    lines = ""
    for name, value in headers.items():
        if not value.isprintable():
            raise UpstreamError("internal", f"the header {name} of this call holds a line end or the like", status=500)
        lines += f"{name}: {value}\r\n"
    return lines.encode("latin-1", "replace")


async def _refusal(answer: HttpAnswer, host: str) -> UpstreamError:
    """Return the error for an answer that is none, with the provider's own words where it sent some."""
    if answer.compressed and 200 <= answer.status < 300:
        return fault(host, "protocol", "the provider compressed its answer, unasked")
    body = bytearray()
    try:
        async for chunk in answer.chunks():
            body += chunk[: ERROR_BODY_LIMIT - len(body)]
            if len(body) >= ERROR_BODY_LIMIT:
                break
    except UpstreamError:
        pass  # the status is known; half of its explanation is better than none
    status = answer.status
    says = f"the provider answered HTTP {status}"
    if 300 <= status < 400:
        says += "; redirects are not followed"
    seen = status if status in _PASSED_ON else 503 if status in (503, 529) else 502
    refusal = fault(host, f"status:{status}", says, status=seen, body=bytes(body))
    refusal.retry_after = seconds(answer.retry_after)
    return refusal
