"""What one connection may cost, asked of a real server over raw sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar

import pytest
import uvicorn
import uvloop

from pilotage.app.bounded import HEADERS_LIMIT, BoundedHttp
from pilotage.errors import RequestError
from pilotage.gateway.caller import Caller
from pilotage.gateway.listener import Listener, Opened
from pilotage.gateway.wire import Incoming

CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


class Impatient(BoundedHttp):
    patience: ClassVar[float] = 0.3


class ImpatientCaller(Caller):
    head_seconds: ClassVar[float] = 0.3
    body_seconds: ClassVar[float] = 0.3


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers how large the body was and how many headers came; at `early`, before the body is read."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    content = f"{size} {len(scope['headers'])}".encode()
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def handle(incoming: Incoming) -> None:
    """The same of the gateway's own server."""
    try:
        size = 0 if incoming.path == "/early" else len(await incoming.body(1 << 20))
        await incoming.reply(200, f"{size} {len(incoming._headers)}".encode())
    except RequestError as fault:
        await incoming.refuse(fault)


@contextmanager
def serving(protocol: type[BoundedHttp | Caller]) -> Iterator[int]:
    if issubclass(protocol, Caller):
        with serving_own(protocol) as port:
            yield port
        return
    config = uvicorn.Config(
        application, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False, timeout_keep_alive=60
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def serving_own(protocol: type[Caller]) -> Iterator[int]:
    ending: list[Any] = []
    ready = threading.Event()
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]

    async def work() -> None:
        over = asyncio.Event()
        ending.extend([asyncio.get_running_loop(), over])
        ready.set()
        await Listener(handle, protocol=protocol).serve([Opened(door)], over, drain_seconds=5)

    thread = threading.Thread(target=lambda: uvloop.run(work()))
    thread.start()
    ready.wait(20)
    try:
        yield port
    finally:
        loop, over = ending
        loop.call_soon_threadsafe(over.set)
        thread.join(20)


@pytest.fixture(scope="module", params=[BoundedHttp, Caller])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with serving(request.param) as found:
        yield found


@pytest.fixture(scope="module", params=[Impatient, ImpatientCaller])
def impatient(request: pytest.FixtureRequest) -> Iterator[int]:
    with serving(request.param) as found:
        yield found


def exchange(port: int, *parts: bytes) -> bytes:
    """Send, and return everything until the server closes. Bounded: it fails where the server just waits."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        received = b""
        try:
            for part in parts:
                connection.sendall(part)
            while data := connection.recv(1 << 16):
                received += data
        except (ConnectionResetError, BrokenPipeError):
            # It closed while this was still sending.
            return received or b"closed"
        return received


def closing_request(path: bytes = b"/", headers: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + headers + b"\r\n"


def test_what_is_within_the_bounds_is_answered(port: int) -> None:
    assert exchange(port, closing_request(headers=b"a: %s\r\n" % (b"x" * (HEADERS_LIMIT - 200)))).endswith(b"0 3")
    body = b"1\r\nx\r\n" * 50_000
    reply = exchange(port, CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), body, b"0\r\nsum: 1\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200")
    # A trailer is no header.
    assert reply.endswith(b"50000 3")


@pytest.mark.parametrize(
    "head",
    [
        closing_request(b"/" + b"x" * (HEADERS_LIMIT + 1)),
        closing_request(headers=b"a: %s\r\n" % (b"x" * HEADERS_LIMIT)),
        closing_request(headers=b"a: 1\r\n" * HEADERS_LIMIT)[: 60 << 10] + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" + closing_request(headers=b"b: %s\r\n" % (b"x" * HEADERS_LIMIT)),
    ],
)
def test_headers_in_one_burst_are_counted(port: int, head: bytes) -> None:
    assert b"HTTP/1.1 431" in exchange(port, head)


@pytest.mark.parametrize(
    "parts",
    [
        (b"GET / HTTP/1.1\r\n", *[b"a: %s\r\n" % (b"x" * 1000)] * 5_000),
        (b"GET / HTTP/1.1\r\na: ", *[b"x" * 1000] * 5_000),
        (b"GET /", *[b"x" * 1000] * 5_000),
        (CHUNKED, b"0\r\n", *[b"a: %s\r\n" % (b"x" * 1000)] * 5_000),
        (CHUNKED, b"0\r\na: ", *[b"x" * 1000] * 5_000),
        (CHUNKED, b"1;", *[b"x" * 1000] * 5_000),
        (b"\r\n" * 500,) * 5_000,
    ],
    ids=["headers", "one header", "line", "trailers", "one trailer", "chunk extension", "nothing"],
)
def test_what_never_ends_is_cut_off(port: int, parts: tuple[bytes, ...]) -> None:
    reply = exchange(port, *parts)
    assert reply == b"closed" or reply.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


@pytest.mark.parametrize(
    "begun", [b"G", b"GET / HTTP/1.1\r\nhost: x\r\n", b"\r\n", CHUNKED + b"0\r\n", CHUNKED + b"0\r\na: 1\r\n"]
)
def test_what_is_begun_and_not_ended_is_closed(impatient: int, begun: bytes) -> None:
    assert exchange(impatient, begun).startswith(b"HTTP/1.1 408")


def test_sending_a_little_now_and_then_gains_no_time(impatient: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", impatient), timeout=0.05)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(400):
            try:
                connection.sendall(b"a: 1\r\n")
                reply = connection.recv(1000)
                break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                reply = b""
                break
        else:
            raise AssertionError("it was never closed")
        assert reply == b"" or reply.startswith(b"HTTP/1.1 408")


def test_requests_that_come_at_once_are_answered_in_order(port: int) -> None:
    request = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s"
    burst = b"".join(
        request % (path, len(body), body) for path, body in [(b"", b"a"), (b"early", b"bb"), (b"", b"ccc")]
    )
    replies = exchange(port, burst + closing_request())
    assert [part.rpartition(b"\r\n\r\n")[2].split(b"H")[0][:1] for part in replies.split(b"HTTP/1.1 200")[1:]] == [
        b"1",
        b"0",
        b"3",
        b"0",
    ]


def test_a_head_and_body_in_single_bytes(port: int) -> None:
    request = (
        b"POST /?q=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    )
    assert exchange(port, *[bytes([byte]) for byte in request]).endswith(b"2 3")


def test_who_waits_to_be_told_to_go_on_is_told(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ab")
        assert connection.recv(1000).endswith(b"2 3")


@pytest.fixture(scope="module")
def own() -> Iterator[int]:
    with serving(Caller) as found:
        yield found


def test_nothing_is_switched_to_and_the_body_is_read(own: int) -> None:
    """What Java's client sends first, unless it is told otherwise."""
    lines = (
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", own), timeout=20)) as connection:
        for framing, body, size in (
            (b"content-length: 0\r\n\r\n", b"", 0),
            (b"content-length: 2\r\n\r\n", b"ab", 2),
            (b"transfer-encoding: chunked\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", 3),
        ):
            for parts in ((lines + framing + body,), (lines, framing, body)):
                for part in parts:
                    connection.sendall(part)
                reply = connection.recv(1000)
                assert reply.startswith(b"HTTP/1.1 200")
                assert reply.endswith(b"%d 5" % size)


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\0", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"])
def test_what_is_no_http_is_refused(port: int, garbage: bytes) -> None:
    assert exchange(port, garbage).startswith(b"HTTP/1.1 400")


def test_a_connection_serves_one_request_after_another(impatient: int) -> None:
    request = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    with closing(socket.create_connection(("127.0.0.1", impatient), timeout=20)) as connection:
        for path in (b"", b"early", b""):
            connection.sendall(request % path)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            # Idle for longer than a begun request may take: that bound is another.
            threading.Event().wait(2 * Impatient.patience)
