"""A provider that answers with whatever bytes a test scripts, in the test's own loop, and a client of ours to ask it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, TypeVar

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pilotage.spec.release import UpstreamAddress
from pilotage.upstream.base import Call
from pilotage.upstream.http import HttpUpstream
from pilotage.upstream.pool import Egress, Pool

Result = TypeVar("Result")
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """As the worker does; bounded, so that what hangs fails."""
    return uvloop.run(asyncio.wait_for(work, 60))


class Caller:
    """One connection of the client, seen from the provider's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        self.served = 0

    async def request(self) -> tuple[bytes, bytes]:
        """Return (head, body); raise IncompleteReadError where the client closed."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length" in head else 0
        self.served += 1
        return head, await self.reader.readexactly(length)

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    def reset(self) -> None:
        """Close so that the other side reads a reset."""
        self.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        while await self.reader.read(1 << 16):
            pass


@asynccontextmanager
async def provider(
    behave: Callable[[Caller], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[Caller]]]:
    """Give (base URL, the connections so far); `behave` gets each connection and closes it by returning."""
    callers: list[Caller] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(reader, writer, len(callers))
        callers.append(caller)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await behave(caller)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=32 << 20)
    async with server:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", callers
        for caller in callers:
            caller.writer.transport.abort()


@asynccontextmanager
async def pool(**egress: str) -> AsyncIterator[Pool]:
    opened = Pool(Egress(**egress))
    try:
        yield opened
    finally:
        await opened.close()


def upstream(opened: Pool, url: str, *, key: str = "", connect: int = 5, quiet: float = 30, total: float = 50) -> Any:
    """An upstream with patience in seconds."""
    return HttpUpstream(
        opened,
        UpstreamAddress(
            kind="openai",
            base_url=url,
            connect_timeout=connect * 1_000_000,
            first_byte_timeout=int(quiet * 1_000_000),
            total_timeout=int(total * 1_000_000),
        ),
        api_key=key,
    )


CALL = Call(path="/chat/completions", body=b'{"model":"m"}', headers={"x-request-id": "r"})


async def whole(asked: HttpUpstream, call: Call = CALL) -> bytes:
    answer = await asked.send(call)
    try:
        return b"".join([chunk async for chunk in answer.chunks()])
    finally:
        await answer.close()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return (a server's context with a self-signed certificate for 127.0.0.1, the certificate's file)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "provider.pem", folder / "provider.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return context, public
