"""TLS and the way out through a proxy, with certificates of our own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pilotage.errors import UpstreamError
from pilotage.upstream.origin import Origin
from pilotage.upstream.proxy import Proxy
from tests.integration.provider_faults import OK, Caller, certificate, pool, provider, run, upstream, whole

Behaviour = Callable[[Caller], Awaitable[None]]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


async def steady(caller: Caller) -> None:
    while True:
        await caller.request()
        await caller.say(OK)


def test_a_certificate_that_nobody_vouches_for_is_refused(tls: tuple[ssl.SSLContext, Path]) -> None:
    async def work() -> None:
        async with provider(steady, tls[0]) as (url, callers), pool() as opened:
            with pytest.raises(UpstreamError, match="certificate is not trusted") as caught:
                await whole(upstream(opened, url))
            assert caught.value.kind == "connect"
            assert "self-signed" in caught.value.hint
            assert not any(caller.served for caller in callers)

    run(work())


def test_with_its_authority_named_it_is_trusted_and_pooled(tls: tuple[ssl.SSLContext, Path]) -> None:
    async def work() -> None:
        async with provider(steady, tls[0]) as (url, callers), pool(ca_file=str(tls[1])) as opened:
            asked = upstream(opened, url)
            for _ in range(3):
                assert await whole(asked) == b"{}"
            assert [caller.served for caller in callers] == [3]
            # Trusted, but for another name.
            with pytest.raises(UpstreamError, match="certificate is not trusted"):
                await whole(upstream(opened, url.replace("127.0.0.1", "localhost")))

    run(work())


def test_a_server_without_tls_is_no_connection() -> None:
    async def work() -> None:
        async with provider(steady) as (url, _), pool() as opened:
            with pytest.raises(UpstreamError) as caught:
                await whole(upstream(opened, url.replace("http:", "https:")))
            assert caught.value.kind == "connect"

    run(work())


def relay(heads: list[bytes], answer: bytes = b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n") -> Behaviour:
    """A proxy: notes what it is asked, answers, and passes bytes on both ways."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def behave(caller: Caller) -> None:
        head = await caller.reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        await caller.say(answer)
        if not answer.startswith(b"HTTP/1.1 200 "):
            return
        host, port = head.split(b" ")[1].decode().rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pipe(caller.reader, writer), pipe(reader, caller.writer))

    return behave


def test_a_proxy_is_asked_for_a_way_and_sees_nothing_else(tls: tuple[ssl.SSLContext, Path]) -> None:
    heads: list[bytes] = []

    async def work() -> None:
        async with provider(steady, tls[0]) as (url, callers), provider(relay(heads)) as (way, _):
            proxy = way.replace("http://", "http://ann:p%40ss@").removesuffix("/v1")
            async with pool(proxy=proxy, ca_file=str(tls[1])) as opened:
                for _ in range(3):
                    assert await whole(upstream(opened, url)) == b"{}"
            assert [caller.served for caller in callers] == [3]
            place = url.split("/")[2].encode()
            authorization = b"proxy-authorization: Basic YW5uOnBAc3M="
            assert heads == [b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n\r\n" % (place, place, authorization)]

    run(work())


def test_the_certificate_is_checked_through_a_proxy_too(tls: tuple[ssl.SSLContext, Path]) -> None:
    async def work() -> None:
        async with provider(steady, tls[0]) as (url, _), provider(relay([])) as (way, _), pool(proxy=way) as opened:
            with pytest.raises(UpstreamError, match="certificate is not trusted"):
                await whole(upstream(opened, url))

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nand more",
        b"HTTP/1.1 200 OK\r\na: " + b"x" * 100_000,
        b"garbage\r\n\r\n",
        b"",
    ],
)
def test_a_proxy_that_refuses_is_no_connection(answer: bytes) -> None:
    async def say(caller: Caller) -> None:
        await caller.reader.readuntil(b"\r\n\r\n")
        await caller.say(answer)

    async def work() -> None:
        async with provider(say) as (way, _), pool(proxy=way) as opened:
            with pytest.raises(UpstreamError) as caught:
                await whole(upstream(opened, "https://provider.example/v1"))
            assert caught.value.kind == "connect"
            assert "proxy" in caught.value.hint

    run(work())


def test_plain_http_and_the_exempt_go_past_the_proxy(tls: tuple[ssl.SSLContext, Path]) -> None:
    async def work() -> None:
        nowhere = "http://127.0.0.1:1"
        async with provider(steady) as (url, _), pool(proxy=nowhere) as opened:
            assert await whole(upstream(opened, url)) == b"{}"
        exempt = {"proxy": nowhere, "no_proxy": "provider.example, 127.0.0.0/8", "ca_file": str(tls[1])}
        async with provider(steady, tls[0]) as (url, _), pool(**exempt) as opened:
            assert await whole(upstream(opened, url)) == b"{}"

    run(work())


@pytest.mark.parametrize(
    ("exempt", "host", "port", "covered"),
    [
        ("", "api.example", 443, True),
        ("*", "api.example", 443, False),
        ("example", "api.example", 443, False),
        (".example", "api.example", 443, False),
        ("*.example", "api.example", 443, False),
        ("example", "example", 443, False),
        ("ample", "api.example", 443, True),
        ("other, API.example", "api.example", 443, False),
        ("api.example:443", "api.example", 443, False),
        ("api.example:8443", "api.example", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, False),
        ("10.0.0.0/8", "11.1.2.3", 443, True),
        ("10.0.0.0/8", "api.example", 443, True),
        ("::1", "::1", 443, False),
        ("[::1]:443", "::1", 443, False),
        (",,", "api.example", 443, True),
    ],
)
def test_whom_a_proxy_is_not_asked_for(exempt: str, host: str, port: int, covered: bool) -> None:
    assert Proxy("http://proxy:3128", exempt).covers(Origin("https", host, port)) is covered


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "http://", "https://proxy"])
def test_what_is_no_proxy_is_said(url: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        Proxy(url)
