"""`pilotage serve`: one parent that holds the workspace and keeps its workers and its control process running."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.app.child import Child
from pilotage.app.control import Handover
from pilotage.clock import SystemClock, new_id
from pilotage.console.visitors import new_token
from pilotage.errors import Refused
from pilotage.rollout import mandate
from pilotage.store import figures
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Control, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

START_SECONDS = 60
DRAIN_SECONDS = 40
"""Above the 30 s that a worker gives the answers it has begun."""
BACKLOG = 2048
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (an address to recognise, not to bind)

log = logging.getLogger(__name__)


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What runs: base URLs, and the console's address with the link that signs in once."""

    pid: int
    gateway: str
    control: str
    console: str


def serve(
    path: Path,
    *,
    host: str,
    port: int,
    control_port: int,
    workers: int,
    clock: str,
    log_level: str,
    ready: Callable[[Serving], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was begun and return. `ready` is called when both doors answer.

    Raise WorkspaceUnusable where another process has the workspace, Refused where a port is taken or nothing starts.
    """
    workspace = Workspace(path).prepare()
    with ExitStack() as stack:
        stack.enter_context(workspace.lock())
        workspace.clear_control()
        Heartbeats(workspace.run).retain(())
        figures.clear(workspace.run)
        # Opening it migrates an older schema, once and before anybody reads it.
        with closing(SqliteStore(workspace.state)) as store:
            mandate.free(store)
        gateway = stack.enter_context(_listen(host, port, "--port"))
        control = stack.enter_context(_listen(host, control_port, "--control-port"))
        token, link = new_token(), new_token()
        holder = f"{socket.gethostname()} {os.getpid()} {new_id(SystemClock())}"
        handover = Handover(holder=holder, token=token, link=link, gateway=_url(gateway))
        shared = ["--workspace", str(workspace.path), "--clock", clock, "--log", log_level]
        children = [
            Child(f"worker w{number}", "pilotage.app.worker", [*shared, "--name", f"w{number}"], fd=gateway.fileno())
            for number in range(workers)
        ]
        # Ended last: it seals what the workers append to their end.
        keeper = Child(
            "control",
            "pilotage.app.control",
            shared,
            fd=control.fileno(),
            word=msgspec.json.encode(handover) + b"\n",
        )
        stack.callback(workspace.clear_control)

        def running() -> None:
            where = Control(pid=os.getpid(), gateway=_url(gateway), control=_url(control), token=token)
            workspace.write_control(where)
            ready(
                Serving(
                    pid=where.pid,
                    gateway=where.gateway,
                    control=where.control,
                    console=f"{where.control}/?token={link}",
                )
            )

        asyncio.run(_supervise(children, keeper, [gateway, control], running))


async def _supervise(
    workers: Sequence[Child], keeper: Child, doors: Sequence[socket.socket], running: Callable[[], None]
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    kept = {child: asyncio.create_task(child.keep()) for child in (*workers, keeper)}
    stop = asyncio.create_task(asked.wait())
    try:
        started = asyncio.create_task(_answering(doors))
        await asyncio.wait({started, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            started.cancel()
        elif not started.result():
            raise Refused(
                f"the gateway or the control process did not start within {START_SECONDS} s",
                hint="the log above says why",
            )
        if not asked.is_set():
            running()
            await stop
            log.info("ending: answering what was begun")
    finally:
        stop.cancel()
        # A second signal ends everything at once.
        asked.clear()
        for group in (workers, [keeper]):
            await _end(group, [kept[child] for child in group], asked)


async def _end(children: Sequence[Child], kept: Sequence[asyncio.Task[None]], hurry: asyncio.Event) -> None:
    for child in children:
        child.end()
    hurried = asyncio.create_task(hurry.wait())
    gone = asyncio.ensure_future(asyncio.gather(*kept))
    either: set[asyncio.Future[Any]] = {gone, hurried}
    await asyncio.wait(either, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not gone.done():
        for child in children:
            child.end(at_once=True)
    await gone


async def _answering(doors: Sequence[socket.socket]) -> bool:
    """Return whether both doors answer within the time that a start may take."""
    try:
        async with asyncio.timeout(START_SECONDS):
            for door in doors:
                await _answer(door)
    except TimeoutError:
        return False
    return True


async def _answer(door: socket.socket) -> None:
    while True:
        if await _answers(door):
            return
        await asyncio.sleep(0.05)


async def _answers(door: socket.socket) -> bool:
    """Return whether somebody answers GET /healthz there. The connection waits in the backlog until one does."""
    host, port = _address(door)
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(f"GET /healthz HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 ")
    except OSError:
        return False
    finally:
        writer.close()


def _listen(host: str, port: int, option: str) -> socket.socket:
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


def _address(door: socket.socket) -> tuple[str, int]:
    host, port = door.getsockname()[:2]
    return _ANYWHERE.get(host, host), port


def _url(door: socket.socket) -> str:
    host, port = _address(door)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
