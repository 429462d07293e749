"""Connections of an open loop: what leaves, leaves at once, on a connection that is free or a new one.

As lean as can be, for the sender must hold its schedule on a core that it shares: answers are kept as they came, and
read when the last is there.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

AGES = 20.0
"""Seconds after which a connection that nobody used is not used again: below what servers wait."""


class Raw:
    """One request and what came back; times are of `time.monotonic`. `status` 0: no answer, and `error` says why."""

    __slots__ = ("body", "error", "finished", "headers", "message", "started", "status")

    def __init__(self, message: bytes, started: float) -> None:
        self.message, self.started = message, started
        self.finished = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.error = ""


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way. The parser calls the methods that begin with `on_`."""

    def __init__(self, pool: Sender) -> None:
        self._pool = pool
        self._parser: Any = None
        self._pieces: list[bytes] = []
        self.raw: Raw | None = None
        self.free_since = 0.0
        self.used = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, raw: Raw) -> None:
        self.raw, self._pieces = raw, []
        self._parser = httptools.HttpResponseParser(self)
        self.used += 1
        self.transport.write(raw.message)

    def data_received(self, data: bytes) -> None:
        if self.raw is None:
            self.transport.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as fault:
            self._end(f"no answer: what came is no HTTP ({fault})")
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.raw is not None:
            self.raw.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        raw, keep = self.raw, self._parser.should_keep_alive()
        if raw is None:
            return
        raw.status, raw.body = self._parser.get_status_code(), b"".join(self._pieces)
        self._end("")
        if keep:
            self._pool.give_back(self)
        else:
            self.transport.close()

    def connection_lost(self, fault: Exception | None) -> None:
        self._pool.gone(self)
        raw = self.raw
        if raw is None:
            return
        if self.used > 1 and not self._pieces and not raw.headers:
            # A server may close an idle connection just as it is used again. That is no answer to this request.
            self.raw = None
            self._pool.ask(raw)
            return
        self._end(f"no answer: the connection broke ({fault or 'closed'})")

    def expire(self) -> None:
        """Give up waiting for this connection's answer."""
        self._end("no answer in time")
        self.transport.abort()

    def _end(self, error: str) -> None:
        raw, self.raw = self.raw, None
        if raw is not None:
            self._pool.done(raw, error)


class Sender:
    """Sends whole messages to one address. `ended` is called for each, once, when its answer is there or will not come."""

    def __init__(self, base: str, patience: float, ended: Callable[[Raw], None]) -> None:
        parts = urlsplit(base)
        self._secure = ssl.create_default_context() if parts.scheme == "https" else None
        self._address = parts.hostname or "", parts.port or (443 if self._secure else 80)
        self.host = parts.netloc
        self._patience, self._told = patience, ended
        self._loop = asyncio.get_running_loop()
        self._free: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    async def open(self, count: int) -> None:
        """Open connections ahead of need; where that fails, the requests will tell."""
        for _ in range(count):
            with suppress(OSError):
                self.give_back(await self._connect())

    def ask(self, raw: Raw) -> None:
        """Send at once."""
        now = time.monotonic()
        while self._free:
            connection = self._free.pop()
            if not connection.transport.is_closing() and now - connection.free_since < AGES:
                connection.send(raw)
                return
            connection.transport.close()
        task = self._loop.create_task(self._ask_anew(raw))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def sweep(self) -> None:
        """Give up on what has waited for longer than anybody would."""
        late = time.monotonic() - self._patience
        for connection in [one for one in self._all if one.raw is not None and one.raw.started < late]:
            connection.expire()

    def give_back(self, connection: Connection) -> None:
        connection.free_since = time.monotonic()
        self._free.append(connection)

    def gone(self, connection: Connection) -> None:
        self._all.discard(connection)

    def done(self, raw: Raw, error: str) -> None:
        raw.finished, raw.error = time.monotonic(), error
        self._told(raw)

    def close(self) -> None:
        for task in self._opening:
            task.cancel()
        for connection in list(self._all):
            connection.raw = None
            connection.transport.abort()

    async def _ask_anew(self, raw: Raw) -> None:
        try:
            async with asyncio.timeout(self._patience):
                connection = await self._connect()
        except (OSError, TimeoutError) as fault:
            self.done(raw, f"no answer: no connection ({fault or type(fault).__name__})")
        else:
            connection.send(raw)

    async def _connect(self) -> Connection:
        _, connection = await self._loop.create_connection(lambda: Connection(self), *self._address, ssl=self._secure)
        self._all.add(connection)
        return connection
