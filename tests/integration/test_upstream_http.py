"""The client to providers, against real sockets: every way an answer can go wrong, and what is used again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from pilotage.errors import UpstreamError
from pilotage.upstream.base import Call
from tests.integration.provider_faults import CALL, OK, STREAM, Caller, pool, provider, run, upstream, whole

Behaviour = Callable[[Caller], Awaitable[None]]
HEAD = OK.partition(b"\r\n\r\n")[0]


def says(*parts: bytes, reset: bool = False, stall: bool = False) -> Behaviour:
    """Answer the first request with these bytes, then close, reset or fall silent."""

    async def behave(caller: Caller) -> None:
        await caller.request()
        await caller.say(*parts)
        if reset:
            # What was said before a reset must have arrived, for a reset takes back what waits.
            await asyncio.sleep(0.2)
            caller.reset()
        elif stall:
            await caller.gone()

    return behave


async def refused_at_once(caller: Caller) -> None:
    caller.reset()


def chunks(*bodies: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(body), body) for body in bodies)


FAULTS: dict[str, tuple[Behaviour, str]] = {
    "reset at once": (refused_at_once, "broken"),
    "reset after the request": (says(reset=True), "broken"),
    "reset within the head": (says(OK[:30], reset=True), "broken"),
    "reset within the body": (says(OK[:-1], reset=True), "broken"),
    "reset within a chunk": (says(STREAM, b"5\r\nab", reset=True), "broken"),
    "reset within an endless body": (says(b"HTTP/1.1 200 OK\r\n\r\nab", reset=True), "broken"),
    "closed unanswered": (says(), "broken"),
    "closed within the head": (says(OK[:30]), "broken"),
    "closed within the body": (says(OK[:-1]), "broken"),
    "closed within a chunk": (says(STREAM, b"5\r\nab"), "broken"),
    "closed before the last chunk": (says(STREAM, chunks(b"ab")), "broken"),
    "silent after the request": (says(stall=True), "timeout"),
    "silent within the head": (says(OK[:30], stall=True), "timeout"),
    "silent within the body": (says(OK[:-1], stall=True), "timeout"),
    "silent within a chunk": (says(STREAM, b"5\r\nab", stall=True), "timeout"),
    "silent after 100": (says(b"HTTP/1.1 100 Continue\r\n\r\n", stall=True), "timeout"),
    "no HTTP": (says(b"220 mail.example ESMTP ready\r\n"), "protocol"),
    "bytes": (says(bytes(range(256)) * 100), "protocol"),
    "HTTP/2": (says(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64"), "protocol"),
    "another protocol": (says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n"), "protocol"),
    "a bad length": (says(OK.replace(b"length: 2", b"length: two")), "protocol"),
    "two lengths": (says(OK.replace(b"length: 2", b"length: 2\r\ncontent-length: 3")), "protocol"),
    "length and chunks": (says(OK.replace(b"length: 2", b"length: 2\r\ntransfer-encoding: chunked")), "protocol"),
    "a bad chunk size": (says(STREAM, b"zz\r\nab\r\n"), "protocol"),
    "a chunk longer than it says": (says(STREAM, b"1\r\nab\r\n"), "protocol"),
    "a header without end": (says(b"HTTP/1.1 200 OK\r\na: ", *[b"x" * 10_000] * 20), "protocol"),
    "headers without end": (says(b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n" * 100] * 20), "protocol"),
    "huge headers at once": (says(b"HTTP/1.1 200 OK\r\na: " + b"x" * 100_000 + b"\r\n\r\n"), "protocol"),
    "trailers without end": (says(STREAM, b"0\r\n", *[b"a: %b\r\n" % (b"x" * 10_000)] * 20), "protocol"),
    "100 without end": (says(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 100), "protocol"),
    "compressed": (says(OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")), "protocol"),
    "moved": (says(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"), "status:302"),
    "broken off refusal": (says(b"HTTP/1.1 429 Slow down\r\ncontent-length: 9\r\n\r\n{"), "status:429"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_kind(name: str) -> None:
    behave, kind = FAULTS[name]

    async def work() -> None:
        async with provider(behave) as (url, callers), pool() as opened:
            with pytest.raises(UpstreamError) as caught:
                await whole(upstream(opened, url, quiet=0.5 if kind == "timeout" else 30))
            assert caught.value.kind == kind
            assert "127.0.0.1" not in caught.value.message
            assert "127.0.0.1" in caught.value.hint
            # What was never used before is not asked a second time.
            assert len(callers) == 1

    run(work())


def test_nobody_there() -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            closed = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        async with pool() as opened:
            for url in (closed, "http://nobody.invalid/v1", "ftp://127.0.0.1/", "http://", "http://a b/", "http://[1"):
                with pytest.raises(UpstreamError) as caught:
                    await whole(upstream(opened, url))
                assert caught.value.kind == "connect"

    run(work())


def test_a_server_that_does_not_accept_is_given_up() -> None:
    async def work() -> None:
        # Its queue of one is full, so the next attempt gets no answer at all.
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                with suppress(BlockingIOError):
                    one.connect(deaf.getsockname())
            async with pool() as opened:
                with pytest.raises(UpstreamError) as caught:
                    await whole(upstream(opened, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", connect=1))
            assert caught.value.kind == "connect"
            for one in waiting:
                one.close()

    run(work())


async def _all(pieces: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in pieces]


def test_a_drip_that_never_ends_meets_the_end_of_all_patience() -> None:
    async def drip(caller: Caller) -> None:
        await caller.request()
        await caller.say(STREAM)
        while True:
            await caller.say(chunks(b": ping\n\n"))
            await asyncio.sleep(0.05)

    async def work() -> None:
        async with provider(drip) as (url, _), pool() as opened:
            answer = await upstream(opened, url, quiet=20, total=1).send(CALL)
            pieces = answer.chunks()
            assert (await anext(pieces)).startswith(b": ping")
            with pytest.raises(UpstreamError) as caught:
                await _all(pieces)
            assert (caught.value.kind, caught.value.status) == ("timeout", 504)

    run(work())


WHOLE: dict[str, tuple[bytes, bytes]] = {
    "a length": (OK, b"{}"),
    "no length": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}", b"{}"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n{}", b"{}"),
    "chunks": (STREAM + chunks(b"{", b"}") + b"0\r\n\r\n", b"{}"),
    "chunks with extensions and trailers": (STREAM + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nsum: 1\r\n\r\n", b"{}"),
    "continue first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + OK, b"{}"),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "it says that it closes": (OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), b"{}"),
    "identity": (OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: identity\r\n\r\n"), b"{}"),
    "invalid UTF-8": (OK.replace(b"{}", b"\xff\xfe"), b"\xff\xfe"),
    # The rest is another's answer, and is given to nobody.
    "more than it said": (OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse", b"{}"),
    "junk behind it": (OK + b"junk", b"{}"),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("bytewise", [False, True])
def test_whole_answers_are_read(name: str, bytewise: bool) -> None:
    said, body = WHOLE[name]

    async def work() -> None:
        parts = [bytes([byte]) for byte in said] if bytewise else [said]
        async with provider(says(*parts)) as (url, callers), pool() as opened:
            asked = upstream(opened, url)
            for number in range(1, 4):
                # Each time its connection was spent or closed, and nobody was asked twice for one answer.
                assert await whole(asked) == body
                assert sum(caller.served for caller in callers) == number

    run(work())


def test_what_goes_out() -> None:
    async def work() -> None:
        seen: list[tuple[bytes, bytes]] = []

        async def note(caller: Caller) -> None:
            while True:
                seen.append(await caller.request())
                await caller.say(OK)

        async with provider(note) as (url, callers), pool() as opened:
            asked = upstream(opened, f"{url}/a b/", key="secret")
            await whole(asked, Call(path="/chat?version=1&x=ü", body=CALL.body, headers=CALL.headers))
            await whole(asked, Call(path="", body=b"x" * 3_000_000, stream=True))
            assert len(callers) == 1
        head, body = seen[0]
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /v1/a%20b/chat?version=1&x=%C3%BC HTTP/1.1"
        assert set(lines[1:-2]) == {
            f"host: {url.split('/')[2]}",
            "content-type: application/json",
            "accept-encoding: identity",
            "user-agent: pilotage",
            "authorization: Bearer secret",
            "accept: application/json",
            "x-request-id: r",
            f"content-length: {len(CALL.body)}",
        }
        assert body == CALL.body
        assert b"accept: text/event-stream" in seen[1][0]
        assert len(seen[1][1]) == 3_000_000

    run(work())


def test_a_header_cannot_begin_another() -> None:
    async def work() -> None:
        async with provider(says(OK)) as (url, callers), pool() as opened:
            for key in ("a\r\nx: y", "a\nb", "a\0"):
                with pytest.raises(UpstreamError, match="line end"):
                    await whole(upstream(opened, url, key=key))
            assert callers == []

    run(work())


async def steady(caller: Caller) -> None:
    while True:
        await caller.request()
        await caller.say(OK)


def test_one_connection_serves_many_and_as_many_as_are_needed_are_opened() -> None:
    async def work() -> None:
        async with provider(steady) as (url, callers), pool() as opened:
            asked = upstream(opened, url)
            for _ in range(20):
                assert await whole(asked) == b"{}"
            assert len(callers) == 1
            await asyncio.gather(*[whole(asked) for _ in range(30)])
            await asyncio.gather(*[whole(asked) for _ in range(30)])
            assert len(callers) == 30

    run(work())


@pytest.mark.parametrize("how", ["closes", "resets", "speaks"])
def test_a_pooled_connection_that_ended_meanwhile_is_not_used(how: str) -> None:
    async def once(caller: Caller) -> None:
        await caller.request()
        await caller.say(OK)
        if caller.number:
            await steady(caller)
        elif how == "resets":
            caller.reset()
        elif how == "speaks":
            await caller.say(b"HTTP/1.1 408 Too slow\r\ncontent-length: 0\r\n\r\n")
            await caller.gone()

    async def work() -> None:
        async with provider(once) as (url, callers), pool() as opened:
            asked = upstream(opened, url)
            for _ in range(3):
                assert await whole(asked) == b"{}"
                await asyncio.sleep(0.1)
            assert len(callers) == 2
            assert callers[0].served == 1

    run(work())


@pytest.mark.parametrize("reset", [False, True])
def test_a_pooled_connection_that_ends_just_then_is_tried_once_more(reset: bool) -> None:
    async def leaves(caller: Caller) -> None:
        await caller.request()
        await caller.say(OK)
        await caller.request()
        if reset:
            caller.reset()

    async def work() -> None:
        async with provider(leaves) as (url, callers), pool() as opened:
            asked = upstream(opened, url)
            for _ in range(3):
                assert await whole(asked) == b"{}"
            assert [caller.served for caller in callers] == [2, 2, 1]

    run(work())


def test_what_was_answered_in_part_is_not_asked_again() -> None:
    async def half(caller: Caller) -> None:
        await caller.request()
        await caller.say(OK)
        await caller.request()
        await caller.say(OK[:10])

    async def work() -> None:
        async with provider(half) as (url, callers), pool() as opened:
            asked = upstream(opened, url)
            await whole(asked)
            with pytest.raises(UpstreamError) as caught:
                await whole(asked)
            assert caught.value.kind == "broken"
            assert len(callers) == 1

    run(work())


@pytest.mark.parametrize("said", [b"", OK[:30], STREAM + chunks(b"data: 1\n\n")])
def test_giving_up_closes_the_connection(said: bytes) -> None:
    left = asyncio.Event()

    async def waits(caller: Caller) -> None:
        await caller.request()
        await caller.say(said)
        await caller.gone()
        left.set()

    async def work() -> None:
        async with provider(waits) as (url, callers), pool() as opened:
            asking = asyncio.create_task(whole(upstream(opened, url)))
            while not callers or not callers[0].served:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await left.wait()

    run(work())


def test_an_early_answer_is_read_and_its_connection_not_used_again() -> None:
    async def hasty(caller: Caller) -> None:
        await caller.reader.readuntil(b"\r\n\r\n")
        await caller.say(b"HTTP/1.1 413 Too large\r\ncontent-length: 2\r\n\r\n{}")
        await asyncio.sleep(0.2)

    async def work() -> None:
        async with provider(hasty) as (url, callers), pool() as opened:
            asked = upstream(opened, url)
            for _ in range(2):
                with pytest.raises(UpstreamError) as caught:
                    await whole(asked, Call(path="", body=b"x" * (64 << 20)))
                assert caught.value.kind in ("status:413", "broken")
            assert len(callers) == 2

    run(work())


def test_a_slow_reader_holds_the_provider_back_and_is_not_its_silence() -> None:
    written = 0

    async def flood(caller: Caller) -> None:
        nonlocal written
        await caller.request()
        await caller.say(STREAM)
        for _ in range(1000):
            await caller.say(chunks(b"x" * 65_536))
            written += 65_536
        await caller.say(b"0\r\n\r\n")

    async def work() -> None:
        async with provider(flood) as (url, _), pool() as opened:
            answer = await upstream(opened, url, quiet=0.3).send(CALL)
            pieces = answer.chunks()
            size = len(await anext(pieces))
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.5)
            assert written < 32 << 20
            size += sum([len(piece) async for piece in pieces])
            assert size == written == 1000 * 65_536

    run(work())


def test_ten_megabytes_in_one_event() -> None:
    async def work() -> None:
        event = b"data: " + b"x" * (10 << 20) + b"\n\n"
        async with provider(says(STREAM, chunks(event) + b"0\r\n\r\n")) as (url, _), pool() as opened:
            assert await whole(upstream(opened, url)) == event

    run(work())
