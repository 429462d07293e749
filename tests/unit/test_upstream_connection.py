"""The response parser, fuzzed: where the bytes are cut makes no difference, and no bytes hang or crash it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.errors import UpstreamError
from pilotage.upstream.alarm import NEVER, Alarm
from pilotage.upstream.connection import Connection


class Wire(asyncio.Transport):
    """A transport that goes nowhere; closing it tells the protocol in the loop's next round, as real ones do."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        super().__init__()
        self.loop, self.connection, self.closed = loop, connection, False

    def write(self, data: Any) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.loop.call_soon(self.connection.connection_lost, None)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


Result = tuple[int, list[tuple[bytes, bytes]], bytes, bool, str]


async def exchange(loop: asyncio.AbstractEventLoop, pieces: list[bytes]) -> Result:
    """Return (status, headers, body, whether it can be used again, kind of fault) of one answer in these pieces."""
    connection = Connection(loop, "provider")
    wire = Wire(loop, connection)
    connection.connection_made(wire)
    connection.ask(b"POST / HTTP/1.1\r\n\r\n", quiet=60, end=loop.time() + 60)

    async def read() -> tuple[bytes, bool, str]:
        body = b""
        try:
            await connection.head()
            while piece := await connection.read():
                body += piece
        except UpstreamError as fault:
            return body, False, fault.kind
        return body, connection.done, ""

    reading = loop.create_task(read())
    for piece in pieces:
        if wire.closed:
            break
        connection.data_received(piece)
        await asyncio.sleep(0)
    if not wire.closed:
        done = connection.done
        connection.eof_received()
        wire.abort()
    else:
        done = False
    body, _, kind = await asyncio.wait_for(reading, 20)
    await asyncio.sleep(0)
    return connection.status, connection.headers, body, done, kind


NAMES = st.sampled_from([b"x-request-id", b"Server", b"cf-ray", b"date", b"Set-Cookie"])
VALUES = st.binary(max_size=40).map(lambda value: bytes(byte for byte in value if byte > 31 and byte != 127).strip())


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bytes, int]:
    """A valid response, its body and its status."""
    status = draw(st.sampled_from([200, 201, 400, 429, 500, 503]))
    body = draw(st.binary(max_size=300))
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"])
    )
    head = b"HTTP/1.1 %d Whatever\r\n" % status
    for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=6)):
        head += name + b": " + value + b"\r\n"
    if draw(st.booleans()):
        return interim + head + b"content-length: %d\r\n\r\n" % len(body) + body, body, status
    chunks, left = b"", body
    while left:
        size = draw(st.integers(1, len(left)))
        chunks += b"%x\r\n%b\r\n" % (size, left[:size])
        left = left[size:]
    return interim + head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body, status


def cut(data: bytes, at: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(position % (len(data) + 1) for position in at)})
    return [data[first:last] for first, last in pairwise(borders)]


@settings(max_examples=300, deadline=None)
@given(response=responses(), at=st.lists(st.integers(0, 2000), max_size=40))
def test_where_it_is_cut_makes_no_difference(
    loop: asyncio.AbstractEventLoop, response: tuple[bytes, bytes, int], at: list[int]
) -> None:
    data, body, status = response
    whole = loop.run_until_complete(exchange(loop, [data]))
    assert whole == (status, whole[1], body, True, "")
    assert loop.run_until_complete(exchange(loop, cut(data, at))) == whole


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400), at=st.lists(st.integers(0, 400), max_size=10))
def test_any_bytes_come_to_an_end(loop: asyncio.AbstractEventLoop, data: bytes, at: list[int]) -> None:
    *_, kind = loop.run_until_complete(exchange(loop, cut(data, at)))
    assert kind in ("protocol", "broken")


@settings(max_examples=400, deadline=None)
@given(
    response=responses(),
    damage=st.lists(st.tuples(st.integers(0, 1000), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4),
    at=st.lists(st.integers(0, 2000), max_size=10),
)
def test_damaged_answers_come_to_an_end(
    loop: asyncio.AbstractEventLoop,
    response: tuple[bytes, bytes, int],
    damage: list[tuple[int, bytes, int]],
    at: list[int],
) -> None:
    data = response[0]
    for position, inserted, removed in damage:
        position %= len(data) + 1  # noqa: PLW2901
        data = data[:position] + inserted + data[position + removed :]
    *_, kind = loop.run_until_complete(exchange(loop, cut(data, at)))
    assert kind in ("", "protocol", "broken")


def test_an_alarm_that_is_moved_later_rings_once_and_at_its_time() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        rang: list[float] = []
        alarm = Alarm(loop, lambda: rang.append(loop.time()))
        start = loop.time()
        alarm.set(start + 0.01)
        alarm.set(start + 0.2)
        alarm.set(start + 0.1)
        while not rang:
            await asyncio.sleep(0.01)
        assert rang[0] >= start + 0.1
        alarm.set(loop.time() + 0.01)
        alarm.set(NEVER)
        await asyncio.sleep(0.1)
        alarm.set(loop.time() + 0.01)
        alarm.close()
        await asyncio.sleep(0.1)
        assert len(rang) == 1

    asyncio.run(work())
