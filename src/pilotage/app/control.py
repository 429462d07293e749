"""The control process: `python -m pilotage.app.control --workspace DIR --fd N`.

It reads what the workers append, judges rollouts, seals events, and serves the control API and the console on a
listening socket that its parent opened. Secrets come as one line of JSON on standard input: the token that makes its
bearer the local user, the link that does so once, and the gateway's address.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import uvicorn

from pilotage import settings
from pilotage.app.bounded import BoundedHttp
from pilotage.app.local import local_actor
from pilotage.app.log import start_log
from pilotage.clock import HOUR, clock_from
from pilotage.console.health import Health
from pilotage.console.site import create
from pilotage.console.visitors import Visitors
from pilotage.errors import PilotageError, WorkspaceUnusable
from pilotage.governance.commands import Context
from pilotage.governance.retention import expire_texts
from pilotage.rollout.controller import Controller
from pilotage.rollout.ingest import Ingest
from pilotage.rollout.losses import LossWatch
from pilotage.rollout.observe import Observer
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.losses import LossReader
from pilotage.store.spool import Reader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts
from pilotage.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.clock import Clock

TURN_SECONDS = 0.2
CLOSE_SECONDS = 5
CONNECTIONS = 500
"""Open at once; whoever comes on top of them is answered 503."""

log = logging.getLogger(__name__)


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What the parent passes on standard input."""

    token: str
    link: str
    gateway: str


WORK = ("events", "losses", "rollouts", "sealing", "texts")
"""What may fail beside the use cases."""


class Losing(NamedTuple):
    """What the workers could not record, and how much of that came lately."""

    counts: LossReader
    watch: LossWatch


class Loop:
    """Ingest and the controller, turn after turn. What fails is kept in `health`, logged once, and tried again."""

    def __init__(
        self,
        context: Context,
        ingest: Ingest,
        controller: Controller,
        observer: Observer,
        *,
        losing: Losing,
        texts: Texts,
    ) -> None:
        self._context, self._ingest, self._controller, self._observer = context, ingest, controller, observer
        self._losing, self._texts = losing, texts
        self._expired: int | None = None
        self.health = Health()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        upkeep: asyncio.Task[None] | None = None
        while not self.stopping.is_set():
            began = time.monotonic()
            await self._turn()
            if upkeep is None or upkeep.done():
                upkeep = asyncio.create_task(self._upkeep())
            left = max(0.01, TURN_SECONDS - (time.monotonic() - began))
            try:
                await asyncio.wait_for(self.stopping.wait(), left)
            except TimeoutError:
                continue
        if upkeep is not None:
            await upkeep
        await self._attempt("events", self._ingest.turn)
        await self._attempt("sealing", self._ingest.seal_due, everything=True)

    async def _turn(self) -> None:
        await self._attempt("events", self._ingest.turn)
        # After the events: what was lost before the last one that was counted is known when they are judged.
        await self._attempt("losses", self._losing.watch.turn)
        use_cases = await self._attempt("rollouts", self._controller.use_cases) or []
        for name in use_cases:
            await self._attempt(name, self._controller.tick, name)
        for gone in [what for what in self.health.faults if what not in (*use_cases, *WORK)]:
            del self.health.faults[gone]
        self.health.lag = self._ingest.lag
        self.health.unmatched = dict(self._observer.unmatched)
        self.health.lost, self.health.losing = self._losing.watch.total, self._losing.watch.lately
        self.health.dropped = self._losing.counts.last.texts
        if not self.health.faults:
            self.health.at = self._context.clock.now()

    async def _upkeep(self) -> None:
        """What no tick waits for: seal what is due, and once an hour let texts expire."""
        await self._attempt("sealing", self._ingest.seal_due)
        now = self._context.clock.now()
        if self._expired is not None and now - self._expired < HOUR:
            return
        gone = await self._attempt("texts", expire_texts, self._context, self._texts)
        if gone is not None:
            self._expired = now
        if gone:
            log.info("%d files of texts have expired", gone)

    async def _attempt(self, what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run one piece of work in a thread; a fault of one use case stops neither the others nor the API."""
        work = asyncio.create_task(asyncio.to_thread(function, *arguments, **named))
        await asyncio.wait({work})
        fault = work.exception()
        if fault is None:
            self.health.faults.pop(what, None)
            return work.result()
        says = fault.message if isinstance(fault, PilotageError) else f"{type(fault).__name__}: {fault}"
        if self.health.faults.get(what) != says:
            known = isinstance(fault, PilotageError)
            log.error("%s: %s", what, says, exc_info=None if known else fault)
        self.health.faults[what] = says
        return None


async def serve(workspace: Workspace, listener: socket.socket, clock: Clock, handover: Handover) -> None:
    """Work until SIGTERM or SIGINT, or until the parent is gone; then read and seal what is left and return."""
    with ExitStack() as stack:
        store = SqliteStore(workspace.state)
        stack.callback(store.close)
        context = Context(store, clock, settings.environment)
        spool = Reader(workspace.spool)
        sealer = Sealer(workspace.events, store)
        stack.callback(sealer.close)
        events = EventsReader(workspace.events, store)
        stack.callback(events.close)
        observer = Observer()
        ingest = Ingest(store, spool, sealer=sealer, events=events, observer=observer, clock=clock)
        losses = LossReader(workspace.run)
        watch = LossWatch(lambda: losses.read().events + spool.cut + spool.quarantined + sealer.quarantined)
        controller = Controller(
            context, observer, Heartbeats(workspace.run), lag=lambda: ingest.lag, lost=lambda: watch.lately
        )
        loop = Loop(context, ingest, controller, observer, losing=Losing(losses, watch), texts=Texts(workspace.texts))
        visitors = Visitors(context, local_actor(settings.user_name()), handover.token, handover.link)
        site = create(context, visitors, events, health=lambda: loop.health, gateway=handover.gateway)
        server = uvicorn.Server(
            uvicorn.Config(
                site,
                http=BoundedHttp,
                limit_concurrency=CONNECTIONS,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=CLOSE_SECONDS,
            )
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.run())
            watching = group.create_task(_end_with_parent(server))
            await server.serve(sockets=[listener])
            watching.cancel()
            loop.stopping.set()


async def _end_with_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()
    while True:
        await asyncio.sleep(TURN_SECONDS)
        if os.getppid() != parent:
            log.warning("the parent process is gone; the control process ends")
            server.should_exit = True
            return


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pilotage.app.control", description="The control process.")
    parser.add_argument("--workspace", type=Path, required=True, help="the workspace's folder")
    parser.add_argument("--fd", type=int, required=True, help="a listening socket, inherited")
    parser.add_argument("--clock", default="", help="origin:start:rate, for a time-lapse")
    parser.add_argument("--log", default="info", choices=settings.LOG_LEVELS)
    given = parser.parse_args(arguments)
    os.umask(0o077)
    start_log(given.log, "control")
    # The server raises the signal that ended it again once it has closed; by then nothing is left to be stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        workspace = Workspace(given.workspace).require()
        handover = msgspec.json.decode(sys.stdin.buffer.readline(), type=Handover)
        asyncio.run(serve(workspace, socket.socket(fileno=given.fd), clock_from(given.clock), handover))
    except WorkspaceUnusable as fault:
        log.error("%s; %s", fault.message, fault.hint)  # noqa: TRY400 (the message says it all)
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
