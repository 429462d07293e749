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
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvicorn

from pilotage import settings
from pilotage.app.anchorage import places
from pilotage.app.bounded import BoundedHttp
from pilotage.app.checks import Checks
from pilotage.app.early import Early
from pilotage.app.embedder import Embedder
from pilotage.app.local import local_actor
from pilotage.app.log import start_log
from pilotage.app.loop import TURN_SECONDS, Engine, Loop, Losing
from pilotage.app.post import post
from pilotage.app.seal import Seal
from pilotage.clock import ScaledClock, clock_from
from pilotage.console.site import create
from pilotage.console.visitors import Visitors
from pilotage.counting.ingest import Ingest
from pilotage.counting.losses import LossWatch
from pilotage.counting.observe import Observer
from pilotage.counting.pulse import Pulse
from pilotage.errors import WorkspaceUnusable
from pilotage.governance.commands import Context
from pilotage.governance.mandate import Mandate
from pilotage.governance.settlement import settle
from pilotage.monitor.asked import AskedReader
from pilotage.monitor.drifts import Drifts
from pilotage.monitor.money import Money
from pilotage.monitor.notices import Notices
from pilotage.monitor.retirements import Retirements
from pilotage.monitor.watcher import Watcher
from pilotage.monitor.watches import Watches
from pilotage.rollout.controller import Controller
from pilotage.rollout.running import Running
from pilotage.rollout.tally import resumed
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.holders import Holders
from pilotage.store.holdings import Holdings
from pilotage.store.losses import LossReader
from pilotage.store.spool import Reader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts
from pilotage.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.clock import Clock

CLOSE_SECONDS = 5
CONNECTIONS = 500
"""Open at once; whoever comes on top of them is answered 503."""

log = logging.getLogger(__name__)


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What the parent passes on standard input.

    `holder` names the parent to other control processes: one that dies is followed at once by the next of the same
    parent, which has seen it die.
    """

    holder: str
    token: str
    link: str
    gateway: str


async def serve(
    workspace: Workspace,
    listener: socket.socket,
    clock: Clock,
    handover: Handover,
    tls: tuple[Path, Path] | None,
    *,
    early: Early,
) -> None:
    """Work until SIGTERM or SIGINT, or until the parent is gone; then read and seal what is left and return."""
    with ExitStack() as stack:
        store = SqliteStore(workspace.state)
        stack.callback(store.close)
        spool = Reader(workspace.spool)
        seal = Seal(lambda: Sealer(workspace.events, store))
        stack.callback(seal.give_back)
        events = EventsReader(workspace.events, store)
        stack.callback(events.close)
        texts = Texts(workspace.texts)
        held = Holdings(store, events, texts, seal.erase)
        anchored = places(settings.anchors())
        context = Context(store, clock, settings.environment, lambda: nullcontext(held), anchored)
        losses = LossReader(workspace.run)
        watch = LossWatch(lambda: losses.read().events + spool.cut + spool.quarantined + seal.quarantined)
        mandate = Mandate(store, handover.holder)
        local = local_actor(settings.user_name())
        embedder = Embedder(context, local, handover.gateway, stopping=lambda: loop.stopping.is_set())  # noqa: PLW0108 (the loop is made below)
        stack.callback(embedder.close)

        pulse = Pulse(clock.now(), rate=clock.rate if isinstance(clock, ScaledClock) else 1.0)

        def begin() -> Engine:
            observer = Observer()
            watches = Watches(clock, lambda tx, spec, rollout: resumed(tx, spec, rollout).statistics)
            sources = (Running(), watches)
            ingest = Ingest(
                store, spool, sealer=seal, events=events, observer=observer, sources=sources, clock=clock, pulse=pulse
            )
            beats = Heartbeats(workspace.run)
            controller = Controller(
                context, observer, beats, mandate, lag=lambda: ingest.lag, lost=lambda: watch.lately
            )
            # Beside the turns, so with watches of its own.
            live = Watches(clock, lambda tx, spec, rollout: resumed(tx, spec, rollout).statistics)
            # In a time-lapse, requests take the time that the machine needs while hours pass: that says nothing of a model.
            asked = AskedReader(store, events, texts, timed=not isinstance(clock, ScaledClock))
            drifts = Drifts(context, asked, mandate, live, ingest.sealed_until, embed=embedder)
            watcher, money = Watcher(context, observer, mandate, watches), Money(context, events, mandate)
            retirements = Retirements(context, mandate)
            return Engine(ingest, controller, watcher, drifts, money, retirements, observer)

        holders = Holders(workspace.run)
        loop = Loop(
            context,
            mandate,
            begin,
            seal=seal,
            losing=Losing(losses, watch),
            notices=Notices(context, mandate, post),
            texts=texts,
            checks=Checks(context, workspace.path),
            settle=lambda: settle(store, events, spool, holders, losses.by_worker()),
        )
        visitors = Visitors(context, local, handover.token, handover.link)
        site = create(
            context,
            visitors,
            events,
            health=lambda: loop.health,
            gateway=handover.gateway,
            pulse=pulse,
            ending=lambda: server.should_exit,
        )
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
                ssl_certfile=tls[0] if tls else None,
                ssl_keyfile=tls[1] if tls else None,
            )
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.run())
            watching = group.create_task(_end_in_time(server, early))
            await server.serve(sockets=[listener])
            watching.cancel()
            loop.stopping.set()


async def _end_in_time(server: uvicorn.Server, early: Early) -> None:
    """End with the parent, and where that was asked before the server listened to signals."""
    parent = os.getppid()
    while not early.came:
        await asyncio.sleep(TURN_SECONDS)
        if os.getppid() != parent:
            log.warning("the parent process is gone; the control process ends")
            break
    server.should_exit = True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pilotage.app.control", description="The control process.")
    parser.add_argument("--workspace", type=Path, required=True, help="the workspace's folder")
    parser.add_argument("--fd", type=int, required=True, help="a listening socket, inherited")
    parser.add_argument("--clock", default="", help="origin:start:rate, for a time-lapse")
    parser.add_argument("--log", default="info", choices=settings.LOG_LEVELS)
    parser.add_argument("--log-format", default="text", choices=settings.LOG_FORMATS)
    parser.add_argument("--tls-cert", type=Path, help="a PEM file: the certificate to present")
    parser.add_argument("--tls-key", type=Path, help="a PEM file: its key")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    start_log(given.log, given.log_format, "control")
    # The server raises the signal that ended it again once it has closed; by then nothing is left to be stopped.
    early = Early(signal.SIGTERM, signal.SIGINT)
    try:
        workspace = Workspace(given.workspace).require()
        handover = msgspec.json.decode(sys.stdin.buffer.readline(), type=Handover)
        tls = (given.tls_cert, given.tls_key) if given.tls_cert else None
        listener = socket.socket(fileno=given.fd)
        asyncio.run(serve(workspace, listener, clock_from(given.clock), handover, tls, early=early))
    except WorkspaceUnusable as fault:
        log.error("%s; %s", fault.message, fault.hint)  # noqa: TRY400 (the message says it all)
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
