"""One control process decides at a time; another one stands by and takes over. Real processes on one workspace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pilotage.governance.mandate import NAME
from pilotage.store.base.handed_out import Lease
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import ask, children, serving
from tests.integration.gateway_rig import until


class Process:
    """A control process without a parent that would start it again."""

    def __init__(self, workspace: Workspace, holder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as door:
            port = door.getsockname()[1]
            self.address, self.holder = f"http://127.0.0.1:{port}", holder
            self.errors = workspace.path / f"{holder}.log"
            command = [sys.executable, "-m", "pilotage.app.control"]
            with self.errors.open("w") as log:
                self.process = subprocess.Popen(
                    [*command, "--workspace", str(workspace.path), "--fd", str(door.fileno())],
                    stdin=subprocess.PIPE,
                    stderr=log,
                    pass_fds=(door.fileno(),),
                )
        word = json.dumps({"holder": holder, "token": f"token-{holder}", "link": f"link-{holder}", "gateway": "g"})
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.close()

    @property
    def says(self) -> str:
        try:
            return str(ask(self.address, "GET", "/healthz").json["status"])
        except OSError:
            return "no answer"

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@contextmanager
def two(workspace: Workspace) -> Iterator[tuple[Process, Process]]:
    """Two control processes; the first one decides."""
    started: list[Process] = []
    try:
        for holder in ("one", "two"):
            started.append(Process(workspace, holder))
            wanted = "ok" if holder == "one" else "standing by"
            until(lambda process=started[-1], wanted=wanted: process.says == wanted)  # type: ignore[misc]
        yield started[0], started[1]
    finally:
        for one in started:
            one.process.kill()
            one.process.wait()


def lease(workspace: Workspace) -> Lease:
    with closing(SqliteStore(workspace.state)) as store, store.read() as tx:
        held = tx.leases.held(NAME)
    assert held is not None
    return held


def made(path: Path) -> Workspace:
    workspace = Workspace(path).prepare()
    SqliteStore(workspace.state).close()
    return workspace


def test_a_second_control_process_stands_by_and_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    workspace = made(tmp_path / "ws")
    with two(workspace) as (one, other):
        before = lease(workspace)
        assert (before.holder, before.fence) == ("one", 1)
        until(lambda: lease(workspace).until > before.until)
        page: dict[str, Any] = ask(other.address, "GET", "/api/v1/status", key="token-two").json["controller"]
        assert page["standing_by"] is True
        cookie = ask(other.address, "GET", "/enter?token=link-two").headers["set-cookie"].partition(";")[0]
        assert b"Another control process decides" in ask(other.address, "GET", "/", headers={"cookie": cookie}).body
        one.send(signal.SIGKILL)
        until(lambda: other.says == "ok", seconds=60)
        assert (lease(workspace).holder, lease(workspace).fence) == ("two", 2)
        assert "this one goes on" in other.errors.read_text()


def test_one_that_hung_finds_that_it_is_not_the_one_any_more(tmp_path: Path) -> None:
    workspace = made(tmp_path / "ws")
    with two(workspace) as (one, other):
        one.send(signal.SIGSTOP)
        until(lambda: other.says == "ok", seconds=60)
        one.send(signal.SIGCONT)
        until(lambda: one.says == "standing by")
        assert other.says == "ok"
        assert (lease(workspace).holder, lease(workspace).fence) == ("two", 2)
        # And back again.
        other.send(signal.SIGKILL)
        until(lambda: one.says == "ok", seconds=60)
        assert (lease(workspace).holder, lease(workspace).fence) == ("one", 3)


def test_one_that_ends_in_order_leaves_its_place_at_once(tmp_path: Path) -> None:
    workspace = made(tmp_path / "ws")
    with two(workspace) as (one, other):
        one.send(signal.SIGTERM)
        assert one.process.wait(60) == 0
        until(lambda: other.says == "ok", seconds=60)
        assert lease(workspace).fence == 2


def test_a_server_s_next_control_process_goes_on_at_once_and_the_next_server_s_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    with serving(workspace.path, workers=1) as server:
        until(lambda: _says(server.control) == "ok")
        first = lease(workspace)
        killed = server.kill("pilotage.app.control")
        until(lambda: killed not in server.pids("pilotage.app.control") and _says(server.control) == "ok")
        assert (lease(workspace).holder, lease(workspace).fence) == (first.holder, 1)
        orphans = list(children(server.process.pid))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
    with serving(workspace.path, workers=1) as server:
        until(lambda: _says(server.control) == "ok")
        assert lease(workspace).fence > 1
        assert lease(workspace).holder != first.holder
        assert "stands by" not in server.errors.read_text()


def _says(address: str) -> str:
    try:
        return str(ask(address, "GET", "/healthz").json["status"])
    except OSError:
        return "no answer"
