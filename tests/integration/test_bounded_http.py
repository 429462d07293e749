"""What one connection may cost, asked of a real server over raw sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar

import pytest
import uvicorn

from pilotage.app.bounded import HEADERS_LIMIT, BoundedHttp

CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


class Impatient(BoundedHttp):
    patience: ClassVar[float] = 0.3


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


@contextmanager
def serving(protocol: type[BoundedHttp]) -> Iterator[int]:
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


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(BoundedHttp) as found:
        yield found


@pytest.fixture(scope="module")
def impatient() -> Iterator[int]:
    with serving(Impatient) as found:
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


def test_a_connection_serves_one_request_after_another(impatient: int) -> None:
    request = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    with closing(socket.create_connection(("127.0.0.1", impatient), timeout=20)) as connection:
        for path in (b"", b"early", b""):
            connection.sendall(request % path)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            # Idle for longer than a begun request may take: that bound is another.
            threading.Event().wait(2 * Impatient.patience)
