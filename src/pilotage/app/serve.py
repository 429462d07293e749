"""`pilotage serve`: one parent that holds the workspace and keeps its workers and its control process running."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import msgspec

from pilotage import settings
from pilotage.app.child import Child
from pilotage.app.control import Handover
from pilotage.app.doors import answering_at, certified, listen, listen_at, url
from pilotage.app.supervise import Supervisor
from pilotage.app.telemetry import telemetry
from pilotage.clock import SystemClock, new_id
from pilotage.console.visitors import new_token
from pilotage.governance import mandate
from pilotage.store import figures
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Control, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
    unix: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    clock: str,
    log_level: str,
    log_format: str,
    ready: Callable[[Serving], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was begun and return. `ready` is called when both doors answer.

    Raise WorkspaceUnusable where another process has the workspace, Refused where a port is taken, a certificate cannot
    be used or nothing starts, WrongCall where a variable of OpenTelemetry's makes no sense.
    """
    tls = certified(tls_cert, tls_key) is not None
    telemetry(settings.environment)
    workspace = Workspace(path).prepare()
    with ExitStack() as stack:
        stack.enter_context(workspace.lock())
        workspace.clear_control()
        Heartbeats(workspace.run).retain(())
        figures.clear(workspace.run)
        # Opening it migrates an older schema, once and before anybody reads it.
        with closing(SqliteStore(workspace.state)) as store:
            mandate.free(store)
        gateway = stack.enter_context(listen(host, port, "--port"))
        control = stack.enter_context(listen(host, control_port, "--control-port"))
        # Who works on this machine for the workspace needs no certificate, whatever name it is made out to.
        inner = stack.enter_context(listen("127.0.0.1", 0, "--port")) if tls else gateway
        plain = [inner]
        if unix is not None:
            plain.append(stack.enter_context(listen_at(unix)))
            stack.callback(unix.unlink, missing_ok=True)
        token, link = new_token(), new_token()
        holder = f"{socket.gethostname()} {os.getpid()} {new_id(SystemClock())}"
        handover = Handover(holder=holder, token=token, link=link, gateway=url(gateway, tls=tls))
        shared = ["--workspace", str(workspace.path), "--clock", clock, "--log", log_level, "--log-format", log_format]
        if tls:
            shared += ["--tls-cert", str(tls_cert), "--tls-key", str(tls_key or tls_cert)]
        doors = [option for door in plain for option in ("--fd", str(door.fileno()))]
        if tls:
            doors += ["--tls-fd", str(gateway.fileno())]

        def worker(name: str) -> Child:
            fds = [door.fileno() for door in (*plain, *([gateway] if tls else []))]
            return Child(
                f"worker {name}", "pilotage.app.worker", [*shared, "--name", name, *doors], fds=fds, tells=True
            )

        # Ended last: it seals what the workers append to their end.
        keeper = Child(
            "control",
            "pilotage.app.control",
            [*shared, "--fd", str(control.fileno())],
            fds=[control.fileno()],
            word=msgspec.json.encode(handover) + b"\n",
        )
        stack.callback(workspace.clear_control)

        def running() -> None:
            where = Control(
                pid=os.getpid(),
                gateway=url(inner),
                control=url(control, tls=tls),
                token=token,
                certificate=tls_cert.read_text() if tls and tls_cert else "",
            )
            workspace.write_control(where)
            ready(
                Serving(
                    pid=where.pid,
                    gateway=handover.gateway,
                    control=where.control,
                    console=f"{where.control}/enter?token={link}",
                )
            )

        async def answering() -> None:
            await answering_at(inner)
            await answering_at(control, tls=tls)

        async def supervise() -> None:
            await Supervisor(worker, workers, keeper).run(answering, running)

        asyncio.run(supervise())
