"""One gateway worker: `python -m pilotage.app.worker --workspace DIR --fd N --name w0`.

It serves on listening sockets that its parent opened, reads what serves out of the store, and appends what happened
to its own spool. It never waits for the control process: with the store out of reach, the last table stays.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from pilotage import settings
from pilotage.app.child import RETIRE
from pilotage.app.doors import certified
from pilotage.app.early import Early
from pilotage.app.log import start_log
from pilotage.app.shares import Shares
from pilotage.app.sight import Sight
from pilotage.app.table import Table
from pilotage.app.telemetry import telemetry
from pilotage.app.upstreams import WorkerUpstreams
from pilotage.clock import Clock, clock_from
from pilotage.errors import Refused, WorkspaceUnusable
from pilotage.gateway.asgi import Gateway
from pilotage.gateway.door import Door
from pilotage.gateway.exporter import Exporter
from pilotage.gateway.limits import Limits
from pilotage.gateway.listener import Listener, Opened
from pilotage.gateway.metrics import LAYOUT, Figures
from pilotage.gateway.recorder import Recorder
from pilotage.serving.shadow import Shadow
from pilotage.store.figures import FigureFile
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.holders import Holder
from pilotage.store.losses import LossFile
from pilotage.store.purse import PurseFile
from pilotage.store.rates import Counters
from pilotage.store.spool import Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import TextWriter
from pilotage.store.workspace import Workspace
from pilotage.upstream.pool import Egress, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


POLL_SECONDS = 0.2
SYNC_EVERY = 5
"""Polls between two syncs of the spool: what power loss may take is about a second of inferences."""

DRAIN_SECONDS = 30
LINGER_SECONDS = 5.0
"""For callers of a worker that is replaced: what they send meanwhile is answered, and then the connection closed."""

_COLLECT = (10_000, 20, 20)
"""How much is made before cycles are looked for: nothing that a request makes is one."""

log = logging.getLogger(__name__)


async def serve(
    workspace: Workspace, doors: Sequence[Opened], name: str, clock: Clock, ready: Callable[[], None], *, early: Early
) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent is gone; then answer what was begun and return.

    Retired, it does the same, but lets callers that are between two requests send one more. `early` are signals that came
    before.
    """
    async with AsyncExitStack() as stack:
        store = SqliteStore(workspace.state)
        stack.callback(store.close)
        spool = Writer(workspace.spool, name)
        stack.callback(spool.close)
        texts = TextWriter(workspace.texts, name, store, clock)
        losses = LossFile(workspace.run, name)
        stack.callback(losses.close)
        recorder = Recorder(spool, texts, losses)
        stack.push_async_callback(asyncio.to_thread, recorder.close)

        def blob(digest: str) -> bytes | None:
            with store.read() as tx:
                return tx.blobs.get(digest)

        pool = Pool(Egress(*settings.egress()))
        upstreams = WorkerUpstreams(
            pool, clock, environment=settings.environment, blob=blob, callables=settings.callables()
        )
        stack.push_async_callback(upstreams.close)
        door = Door(clock, mac_secret=store.secret("mac"), unit_secret=store.secret("unit"))
        holder = Holder(workspace.run, name, losses.events)
        shares, counters = Shares(store, holder.name), Counters(workspace.run, name)
        shares.limits = limits = Limits(clock, counters.minutes, counters, shares.renew_soon)
        stack.push_async_callback(_give_back, shares, holder)
        table = Table(store, door, upstreams, Sight(Heartbeats(workspace.run)), shares)
        await table.refresh()
        figures = FigureFile(workspace.run, name, LAYOUT)
        stack.callback(figures.close)
        spans = telemetry(settings.environment)
        exporter = Exporter(spans, name) if spans else None
        if exporter is not None:
            stack.push_async_callback(asyncio.to_thread, exporter.close)
        purse = PurseFile(workspace.run, name, clock)
        shadow = Shadow(upstreams, recorder, clock, purse)
        gateway = Gateway(
            door,
            upstreams,
            recorder,
            spool,
            clock,
            limits=limits,
            figures=Figures(figures),
            exporter=exporter,
            signals=(shadow,),
        )
        stack.push_async_callback(gateway.close)
        stack.push_async_callback(shadow.close)
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        listener = Listener(gateway.handle)
        # What is there now stays: the collector of cycles need not walk it, again and again, while requests are answered.
        gc.freeze()
        gc.set_threshold(*_COLLECT)

        def retire() -> None:
            listener.linger_seconds = LINGER_SECONDS
            ending.set()

        asyncio.get_running_loop().add_signal_handler(RETIRE, retire)
        if early.came:
            ending.set()
        async with asyncio.TaskGroup() as group:
            keeping = [
                group.create_task(_keep(table, counters, spool, gateway, ending)),
                group.create_task(shares.keep()),
                group.create_task(_heed(door, shadow, purse)),
            ]
            await listener.serve(doors, ending, drain_seconds=DRAIN_SECONDS, ready=ready)
            for task in keeping:
                task.cancel()


async def _give_back(shares: Shares, holder: Holder) -> None:
    """Give back what was not spent. Where the store does not take it, it is settled from the spool, as after a kill."""
    if await shares.close():
        holder.close()


async def _keep(table: Table, counters: Counters, spool: Writer, gateway: Gateway, ending: asyncio.Event) -> None:
    """Follow the store, sync the spool, and end with the parent: an orphan would hold the port for nobody."""
    parent = os.getppid()
    polls = 0
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await table.refresh()
        await asyncio.to_thread(counters.follow)
        gateway.count()
        polls += 1
        if polls % SYNC_EVERY == 0:
            try:
                await asyncio.to_thread(spool.sync)
            except WorkspaceUnusable as fault:
                log.error("%s", fault.message)  # noqa: TRY400
        if os.getppid() != parent and not ending.is_set():
            log.warning("the parent process is gone; this worker ends")
            ending.set()


async def _heed(door: Door, shadow: Shadow, purse: PurseFile) -> None:
    """While there is shadow traffic: see that it holds nothing up, and what it costs everywhere."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
        shadow.behind(time.monotonic() - began - POLL_SECONDS)
        if door.table is not None and any(route.shadow for route in door.table.routes.values()):
            await asyncio.to_thread(purse.exchange)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pilotage.app.worker", description="One gateway worker.")
    parser.add_argument("--workspace", type=Path, required=True, help="the workspace's folder")
    parser.add_argument("--fd", type=int, action="append", required=True, help="a listening socket, inherited")
    parser.add_argument("--tls-fd", type=int, help="one for TLS")
    parser.add_argument("--tls-cert", type=Path, help="a PEM file: the certificate to present there")
    parser.add_argument("--tls-key", type=Path, help="a PEM file: its key")
    parser.add_argument("--ready", type=int, help="a pipe to write to once it serves")
    parser.add_argument("--name", required=True, help="this worker's name: letters, digits and _")
    parser.add_argument("--clock", default="", help="origin:start:rate, for a time-lapse")
    parser.add_argument("--log", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", default="text", choices=settings.LOG_FORMATS)
    given = parser.parse_args(arguments)
    os.umask(0o077)
    # Each request holds two connections; the system's default is meant for programs that `select`.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    start_log(given.log, given.log_format, given.name)
    early = Early(signal.SIGTERM, signal.SIGINT, RETIRE)

    def ready() -> None:
        if given.ready is not None:
            os.write(given.ready, b"1")
            os.close(given.ready)

    try:
        workspace = Workspace(given.workspace).require()
        doors = [Opened(socket.socket(fileno=fd)) for fd in given.fd]
        if given.tls_fd is not None:
            doors.append(Opened(socket.socket(fileno=given.tls_fd), certified(given.tls_cert, given.tls_key)))
        uvloop.run(serve(workspace, doors, given.name, clock_from(given.clock), ready, early=early))
    except Refused as fault:
        log.error("%s %s", fault.message, fault.hint)  # noqa: TRY400
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
