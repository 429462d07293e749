"""A staging copy: real gateway workers on a workspace of their own, which serve a use case's releases to one key.

Live users' workers, records and connections have nothing to do with it. It is gone when it is left.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pilotage import access
from pilotage.access import Key, Role
from pilotage.app.child import Child
from pilotage.app.doors import listen, url
from pilotage.clock import SystemClock
from pilotage.errors import NotMeasured
from pilotage.spec.route import Route
from pilotage.staging.place import at_stand_in, pinned_only
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pilotage.evaluation.plan import Command
    from pilotage.staging.behaviour import Behaviour

START_SECONDS = 60.0
STOP_SECONDS = 10.0
LIMIT_BYTES = 1 << 16


class Staged:
    """A running copy: the gateway's address, a key for it, and what can be broken in it."""

    def __init__(self, gateway: str, key: str, worker: Child, stand_in: tuple[int, str], state: Path) -> None:
        self.gateway, self.key = gateway, key
        self._worker, self._state = worker, state
        self._port, self._place = stand_in

    def busy(self) -> float | None:
        """Return the seconds of processor time that the worker has used; None where the system does not tell."""
        try:
            stat = Path(f"/proc/{self._worker.pid}/stat").read_text(encoding="ascii")
        except OSError:
            return None
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def kill_worker(self) -> None:
        if self._worker.pid:
            os.kill(self._worker.pid, signal.SIGKILL)
            # The next worker gets what is left of the budget. Otherwise the control process sees to that, which a copy has not.
            with closing(SqliteStore(self._state)) as store, store.write() as tx:
                for share in tx.allowances.shares():
                    tx.allowances.settle(share.account, share.period, share.holder, share.spent)

    async def provider(self, kind: str, factor: float) -> None:
        """Make the candidate's provider fail in one way, or with an empty kind in none."""
        if not self._place:
            raise NotMeasured(
                "the candidate asks no provider that could fail", hint="leave such faults out: `worker` is left"
            )
        body = msgspec.json.encode({"kind": kind, "factor": factor})
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = f"POST /{self._place}/fault HTTP/1.1\r\nhost: stand-in\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            await reader.readline()
        finally:
            writer.close()


@asynccontextmanager
async def staged(
    command: Command, use_case: str, candidate: str, *, behaviour: Behaviour | None, budget: bool = True
) -> AsyncIterator[Staged]:
    """Serve a copy of what is registered, with its budget or without; with a behaviour, the stand-in takes the place of every provider."""
    given = await asyncio.to_thread(command, "route", {"use_case": use_case})
    route = pinned_only(msgspec.convert(given["route"], Route), budget=budget)
    with tempfile.TemporaryDirectory(prefix="pilotage-staging-") as folder:
        stand_in, place, port = None, "", 0
        try:
            if behaviour is not None:
                stand_in, port = await asyncio.to_thread(_stand_in, Path(folder), behaviour)
                route, place = at_stand_in(route, f"http://127.0.0.1:{port}", candidate)
            workspace = Workspace(Path(folder) / "workspace").prepare()
            blobs = {digest for release in route.releases.values() for _, digest in release.knowledge}
            data = {one: await asyncio.to_thread(command, "blob", {"digest": one}) for one in sorted(blobs)}
            secret = await asyncio.to_thread(_fill, workspace, route, data)
            async with _worker(workspace) as (address, worker):
                yield Staged(address, secret, worker, (port, place), workspace.state)
        finally:
            if stand_in is not None:
                stand_in.kill()
                await asyncio.to_thread(stand_in.communicate)


def _fill(workspace: Workspace, route: Route, files: Mapping[str, Mapping[str, str]]) -> str:
    """Write what serves, and a key; return its secret."""
    key_id, secret = access.new_secret()
    key = Key(
        id=key_id,
        name="staging",
        digest=access.digest(secret),
        roles=(Role.INFER, Role.OPERATE),
        created=SystemClock().now(),
    )
    with closing(SqliteStore(workspace.state)) as store, store.write() as tx:
        for file in files.values():
            tx.blobs.put(base64.b64decode(file["data"]))
        tx.keys.put(key)
        tx.serving.put(route.use_case, msgspec.json.encode(route))
    return secret


@asynccontextmanager
async def _worker(workspace: Workspace) -> AsyncIterator[tuple[str, Child]]:
    """Keep one gateway worker running, as `pilotage serve` keeps its own."""
    with listen("127.0.0.1", 0, "--port") as door:
        arguments = ["--workspace", str(workspace.path), "--name", "w0", "--log", "error", "--fd", str(door.fileno())]
        child = Child("the staging copy's worker", "pilotage.app.worker", arguments, fds=[door.fileno()], tells=True)
        kept = asyncio.create_task(child.keep())
        try:
            try:
                async with asyncio.timeout(START_SECONDS):
                    await child.ready.wait()
            except TimeoutError:
                raise NotMeasured(
                    "the staging copy of the gateway did not start", hint="the lines above say why"
                ) from None
            yield url(door), child
        finally:
            child.end()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.shield(kept)
            except TimeoutError:
                child.end(at_once=True)
                await kept


def _stand_in(folder: Path, behaviour: Behaviour) -> tuple[subprocess.Popen[str], int]:
    file = folder / "behaviour.json"
    file.write_bytes(msgspec.json.encode(behaviour))
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "pilotage.staging.stand_in", str(file)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    line = process.stdout.readline() if process.stdout else ""
    if not line.strip().isdecimal():
        process.kill()
        process.communicate()
        raise NotMeasured("the stand-in for the provider did not start", hint="the lines above say why")
    return process, int(line)
