"""Where a server listens: sockets opened by the parent, which lends them to its children."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from typing import TYPE_CHECKING

from pilotage.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

BACKLOG = 2048
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (an address to recognise, not to bind)


def listen(host: str, port: int, option: str) -> socket.socket:
    """Open a door; raise Refused where the port is taken or none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OverflowError:
        raise Refused(f"{option} {port} is no port", hint="0 to 65535; 0 takes a free one") from None
    except OSError as fault:
        raise Refused(
            f"cannot listen on {host}:{port}: {fault.strerror or fault}",
            hint=f"choose another {option}; 0 takes a free one",
        ) from None


def listen_at(path: Path) -> socket.socket:
    """Open a Unix socket for this user and group; a dead one in its place is removed. Raise Refused where it cannot be."""
    try:
        if stat.S_ISSOCK(path.lstat().st_mode) and not _alive(path):
            path.unlink()
    except FileNotFoundError:
        pass
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(str(path))
        path.chmod(0o660)
        door.listen(BACKLOG)
    except OSError as fault:
        door.close()
        raise Refused(
            f"cannot listen at {path}: {fault.strerror or fault}", hint="choose another --socket, in a folder of yours"
        ) from None
    return door


def url(door: socket.socket, *, tls: bool = False) -> str:
    """Return the base URL by which this machine reaches it."""
    host, port = _address(door)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def certified(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what a door presents, None without a certificate; raise Refused where the files are not of that kind.

    `key` may be left out where the certificate's file holds it.
    """
    if certificate is None:
        if key is not None:
            raise Refused("--tls-key is given and --tls-cert is not", hint="name the certificate too")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key that asks for a password would ask at the terminal, of every worker.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as fault:
        raise Refused(
            f"--tls-cert {certificate}{f' and --tls-key {key}' if key else ''} cannot be used: {fault.strerror or fault}",
            hint="PEM files: the certificate with those between it and its authority, and its key without a password",
        ) from None
    return context


async def answering_at(door: socket.socket, *, tls: bool = False) -> None:
    """Return when somebody answers there."""
    while not await _answers(door, tls=tls):  # noqa: ASYNC110 (another process, which tells nobody)
        await asyncio.sleep(0.05)


async def _answers(door: socket.socket, *, tls: bool) -> bool:
    """Return whether somebody answers GET /healthz there. The connection waits in the backlog until one does."""
    host, port = _address(door)
    context = None
    if tls:
        # It is our own door, and nothing is told there.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError:
        return False
    try:
        writer.write(f"GET /healthz HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 ")
    except OSError:
        return False
    finally:
        writer.close()


def terminal() -> bool:
    """Return whether this process hangs on a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _address(door: socket.socket) -> tuple[str, int]:
    host, port = door.getsockname()[:2]
    return _ANYWHERE.get(host, host), port
