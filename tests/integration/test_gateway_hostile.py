"""Callers that mean no good, or cannot do better: each is answered by a documented refusal or closed, and costs the others nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.integration.gateway_rig import Provider, Rig, release, until

HI = [{"role": "user", "content": "Hi"}]
SAID = json.dumps({"model": "support", "messages": HI}).encode()
NEXT = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
LENGTH = b"content-length: %d\r\n" % len(SAID)
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SAID), SAID)

# What two readers might divide into requests differently. Behind each comes another request, which nobody may answer.
SMUGGLED = {
    "a length, then chunks": LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, then a length": b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n" + CHUNKS,
    "two lengths": LENGTH + b"content-length: 5\r\n\r\n" + SAID,
    "a length twice": LENGTH + LENGTH + b"\r\n" + SAID,
    "a list of lengths": b"content-length: 5, 5\r\n\r\n" + SAID,
    "a length with a sign": b"content-length: +5\r\n\r\n" + SAID,
    "a negative length": b"content-length: -1\r\n\r\n" + SAID,
    "an endless length": b"content-length: 99999999999999999999999\r\n\r\n" + SAID,
    "a length in hex": b"content-length: 0x10\r\n\r\n" + SAID,
    "a blank before the colon": b"content-length : 5\r\n\r\n" + SAID,
    "chunks by another name": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks and no chunks": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks and no chunks apart": b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks behind a control character": b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a header over two lines": b"x-a: b\r\n c\r\n" + LENGTH + b"\r\n" + SAID,
    "a zero byte": b"x-a: b\0c\r\n" + LENGTH + b"\r\n" + SAID,
    "a chunk too large for a number": b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + SAID,
    "a negative chunk": b"transfer-encoding: chunked\r\n\r\n-1\r\n" + SAID,
    "chunks with bare line ends": b"transfer-encoding: chunked\r\n\r\n%x\n%b\n0\n\n" % (len(SAID), SAID),
    "a chunk longer than it says": b"transfer-encoding: chunked\r\n\r\n1\r\n" + SAID + b"\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("hostile"))
    rig.route("support", release("support", provider.url("ok")))
    rig.route("hang", release("hang", provider.url("hang")))
    rig.route("stall", release("stall", provider.url("stall")))
    rig.start()
    yield rig
    assert rig.process is not None
    assert rig.process.poll() is None
    rig.close()
    assert "Traceback" not in rig.log.read_text()


def connect(rig: Rig) -> socket.socket:
    return socket.create_connection(("127.0.0.1", rig.port), timeout=20)


def head(rig: Rig, path: str = "/v1/chat/completions") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {rig.key}\r\n".encode()


def answers(connection: socket.socket) -> bytes:
    """Everything until the gateway closes."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("shape", SMUGGLED)
def test_what_could_be_read_in_two_ways_is_refused_and_what_follows_unread(rig: Rig, shape: str) -> None:
    with closing(connect(rig)) as connection:
        connection.sendall(head(rig) + SMUGGLED[shape] + NEXT)
        reply = answers(connection)
    assert reply.startswith(b"HTTP/1.1 400 "), reply
    assert reply.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("ends", [b"\n", b"\r"])
def test_lines_end_as_they_must(rig: Rig, ends: bytes) -> None:
    with closing(connect(rig)) as connection:
        connection.sendall((head(rig) + LENGTH + b"\r\n").replace(b"\r\n", ends) + SAID)
        assert answers(connection).startswith(b"HTTP/1.1 400 ")


def open_files(rig: Rig) -> int:
    assert rig.process is not None
    return len(list(Path(f"/proc/{rig.process.pid}/fd").iterdir()))


def more(provider: Provider, behaviour: str, what: str, than: int) -> bool:
    return bool(provider.seen(behaviour)[what] > than)


def test_who_leaves_leaves_nothing_behind_at_any_phase(rig: Rig, provider: Provider) -> None:
    whole = head(rig) + LENGTH + b"\r\n" + SAID
    hang, stall = (
        json.dumps({"model": name, "messages": HI, "stream": name == "stall"}).encode() for name in ("hang", "stall")
    )
    rig.chat("support")
    before = open_files(rig)
    for cut in (0, 1, 30, len(head(rig)), len(whole) - len(SAID), len(whole) - 3, len(whole)):
        for _ in range(10):
            with closing(connect(rig)) as connection:
                connection.sendall(whole[:cut])
    for body, behaviour in ((hang, "hang"), (stall, "stall")):
        gone = provider.seen(behaviour)["gone"]
        for _ in range(5):
            asked = provider.seen(behaviour)["requests"]
            with closing(connect(rig)) as connection:
                connection.sendall(head(rig) + b"content-length: %d\r\n\r\n" % len(body) + body)
                until(partial(more, provider, behaviour, "requests", asked))
                if behaviour == "stall":
                    assert connection.recv(15) == b"HTTP/1.1 200 OK"
        until(partial(more, provider, behaviour, "gone", gone + 4))
    until(lambda: b"pilotage_requests_in_flight 1\n" in rig.ask("GET", "/metrics").body)
    until(lambda: open_files(rig) <= before + 3)


def test_many_that_say_little_hold_up_nobody(rig: Rig) -> None:
    waiting = [connect(rig) for _ in range(200)]
    try:
        for number, connection in enumerate(waiting):
            connection.sendall((head(rig) + LENGTH + b"\r\n" + SAID)[: 1 + number % (len(head(rig)) + 20)])
        for _ in range(5):
            assert rig.chat("support").status == 200
    finally:
        for connection in waiting:
            connection.close()


def test_a_hundred_requests_at_once_are_answered_in_order(rig: Rig) -> None:
    with closing(connect(rig)) as connection:
        burst = b"".join(
            head(rig, "/v1/chat/completions" if number % 2 else f"/nowhere/{number}") + LENGTH + b"\r\n" + SAID
            for number in range(100)
        )
        connection.sendall(burst + NEXT.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        replies = answers(connection)
    found = [part[:3] for part in replies.split(b"HTTP/1.1 ")[1:]]
    assert found == [b"404", b"200"] * 50 + [b"200"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (
            b'{"model": "support", "messages": [{"role": "user", "content": "x"}], "max_tokens": %s}' % (b"9" * 5_000),
            400,
        ),
        (b'{"model": "support", "messages": [{"role": "user", "content": "x"}], "temperature": 1e999}', 400),
        (b'{"model": "support", "messages": [{"role": "user", "content": "x"}], "temperature": 1e-999}', 200),
        (
            b'{"model": "support", "messages": [{"role": "user", "content": "x"}], "seed": 123456789012345678901234}',
            200,
        ),
        (b'{"model": "support", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b'{"model": "support", "model": "support", "messages": [{"role": "user", "content": "x"}]}', 200),
        (
            b'{"model": "support", "messages": [{"role": "user", "content": "x"}], "a": %s}' % (b"[" * 60 + b"]" * 60),
            200,
        ),
        (
            b'{"model": "support", "messages": [{"role": "user", "content": "x"}], "a": %s}' % (b"[" * 70 + b"]" * 70),
            400,
        ),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
        (b'{"model": "support", "messages": [{"role": "user", "content": "%s"}]}' % (b"\\u0041" * 100_000), 200),
        (b'{"model": "support", "messages": %s}' % json.dumps(HI * 20_000).encode(), 200),
    ],
)
def test_odd_json(rig: Rig, body: bytes, status: int) -> None:
    reply = rig.ask("POST", "/v1/chat/completions", body)
    assert reply.status == status, reply.body[:300]
    if status == 400:
        assert reply.error["code"] in ("invalid_json", "too_deep", "invalid_request", "invalid_type")
