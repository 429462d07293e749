"""`pilotage serve` while it is used: replaced under load, encrypted, at a Unix socket, with logs for machines."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import Serving, ask, pilotage, serving, write_use_case
from tests.integration.gateway_rig import Provider, until
from tests.integration.provider_faults import certificate


class Callers:
    """Callers on connections of their own, which they keep and never try twice on; what fails is counted."""

    def __init__(self, server: Serving, key: str, *, streams: bool) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._over = threading.Event()
        host, _, port = server.gateway.removeprefix("http://").rpartition(":")
        self._threads = [
            threading.Thread(target=self._ask, args=(host, int(port), key, streams and number % 2 == 0))
            for number in range(6)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, host: str, port: int, key: str, stream: bool) -> None:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        said = {"model": "help", "messages": [{"role": "user", "content": "When do parcels arrive?"}], "stream": stream}
        while not self._over.is_set():
            try:
                connection.request("POST", "/v1/chat/completions", json.dumps(said), {"authorization": f"Bearer {key}"})
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException) as fault:
                self.failed.append(repr(fault))
                connection.close()
                continue
            if reply.status != 200 or (stream and not body.rstrip().endswith(b"[DONE]")):
                self.failed.append(f"{reply.status} {body!r}")
            self.answered += 1
            time.sleep(0.01)
        connection.close()

    def more_than(self, answers: int) -> bool:
        return self.answered > answers

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)


def running(server: Serving, provider_url: str = "") -> str:
    """Register a use case that serves, and return a key for it."""
    directory = write_use_case(server.workspace.parent / "help")
    if provider_url:
        text = (directory / "usecase.toml").read_text()
        slow = f'[upstreams.own]\nbase_url = "{provider_url}"\n\n[variants.before]\nupstream = "own"\nmodel = "m"\nprice = {{ input = 1, output = 2 }}\n'
        searched = '[variants.before]\nupstream = "search"\nknowledge = ["knowledge/*.md"]\n'
        (directory / "usecase.toml").write_text(text.replace(searched, slow))
    applied = pilotage("apply", str(directory), workspace=server.workspace)
    assert applied.returncode == 0, applied.stderr
    return server.key("infer")


def replaced(server: Serving, before: list[int]) -> bool:
    """Two workers and a control process, none of which was there before."""
    now = server.pids("pilotage.app.")
    return len(now) == 3 and not set(now) & set(before)


def test_a_reload_under_load_fails_nobody(tmp_path: Path, provider: Provider) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        key = running(server, provider.url("ok"))
        callers = Callers(server, key, streams=True)
        try:
            for _ in range(2):
                server.process.send_signal(signal.SIGHUP)
                until(partial(replaced, server, server.pids("pilotage.app.")), seconds=60)
                until(partial(callers.more_than, callers.answered + 50), seconds=60)
        finally:
            callers.end()
        assert callers.failed == []
        figures = ask(server.gateway, "GET", "/metrics").body.decode()
        counted = 'pilotage_requests_total{path="/v1/chat/completions",status="200"} '
        line = next(line for line in figures.splitlines() if line.startswith(counted))
        assert int(line.removeprefix(counted)) == callers.answered
        assert "ERROR" not in server.errors.read_text()


def test_a_stream_that_began_before_a_reload_ends_in_its_time(tmp_path: Path, provider: Provider) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        key = running(server, provider.url("gated-reload"))
        replies: list[Any] = []
        asking = threading.Thread(target=lambda: replies.append(server.chat(key, "ann", stream=True)))
        asking.start()
        until(lambda: provider.seen("gated-reload")["requests"])
        (old,) = server.pids("pilotage.app.worker")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "every worker was replaced" in server.errors.read_text(), seconds=60)
        # Both are there: the old one for its stream, the new one for whoever comes.
        assert old in server.pids("pilotage.app.worker")
        assert ask(server.gateway, "GET", "/v1/models", key=key).status == 200
        provider.open_gate("gated-reload")
        asking.join(60)
        assert replies[0].body.rstrip().endswith(b"data: [DONE]")
        until(lambda: old not in server.pids("pilotage.app.worker"), seconds=60)


def test_a_worker_that_would_not_start_leaves_the_old_ones_serving(tmp_path: Path) -> None:
    public, private = made(tmp_path)
    with serving(
        tmp_path / "ws", workers=1, arguments=["--tls-cert", str(public), "--tls-key", str(private)]
    ) as server:
        (old,) = server.pids("pilotage.app.worker")
        public.write_text("no certificate")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "a new worker did not start" in server.errors.read_text(), seconds=60)
        assert server.pids("pilotage.app.worker") == [old]
        assert "--tls-cert" in server.errors.read_text()


def made(folder: Path) -> tuple[Path, Path]:
    certificate(folder)
    return folder / "provider.pem", folder / "provider.key"


def test_both_doors_speak_tls_and_commands_on_this_machine_still_work(tmp_path: Path) -> None:
    public, private = made(tmp_path)
    arguments = ["--tls-cert", str(public), "--tls-key", str(private)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTAGE_")}
    command = [
        sys.executable,
        "-m",
        "pilotage",
        "serve",
        "--workspace",
        str(tmp_path / "ws"),
        "--json",
        "--workers",
        "1",
    ]
    with subprocess.Popen(
        [*command, "--port", "0", "--control-port", "0", *arguments], stdout=subprocess.PIPE, text=True, env=kept
    ) as process:
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            assert facts["gateway"].startswith("https://127.0.0.1:")
            trusted = ssl.create_default_context(cafile=public)
            for name in ("gateway", "control"):
                port = int(facts[name].rpartition(":")[2])
                secure = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trusted)
                secure.request("GET", "/healthz")
                assert secure.getresponse().status == 200
                secure.close()
                plain = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                try:
                    plain.request("GET", "/healthz")
                    assert plain.getresponse().status != 200
                except (OSError, http.client.HTTPException):
                    pass
                plain.close()
            assert pilotage("apply", str(write_use_case(tmp_path / "help")), workspace=tmp_path / "ws").returncode == 0
            listed = pilotage("status", "--json", workspace=tmp_path / "ws")
            assert json.loads(listed.stdout)["use_cases"][0]["use_case"] == "help"
            # Nobody else's certificate will do, not even for a command on this machine.
            elsewhere = pilotage("status", "--server", facts["control"], PILOTAGE_KEY="plt_none_none")
            assert elsewhere.returncode == 1
            assert "certificate" in elsewhere.stderr
        finally:
            process.terminate()
            assert process.wait(60) == 0


def test_a_certificate_that_is_none_is_said(tmp_path: Path) -> None:
    public, private = made(tmp_path)
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for arguments in (
        ["--tls-cert", str(tmp_path / "nowhere.pem")],
        ["--tls-cert", str(empty), "--tls-key", str(private)],
        ["--tls-cert", str(public)],
        ["--tls-key", str(private)],
    ):
        refused = pilotage("serve", "--port", "0", "--control-port", "0", *arguments, workspace=tmp_path / "ws")
        assert refused.returncode == 1
        assert "--tls-cert" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_unix_socket_and_logs_for_machines(tmp_path: Path) -> None:
    place = tmp_path / "gateway.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place))
    dead.close()
    with serving(tmp_path / "ws", workers=1, arguments=["--socket", str(place), "--log-format", "json"]) as server:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(place))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")
        taken = pilotage(
            "serve", "--port", "0", "--control-port", "0", "--socket", str(place), workspace=tmp_path / "other"
        )
        assert taken.returncode == 1
        assert "--socket" in taken.stderr
        assert place.exists()
        server.kill("pilotage.app.worker")
        until(lambda: "signal 9" in server.errors.read_text())
    lines = [json.loads(line) for line in server.errors.read_text().splitlines()]
    assert {"at", "level", "process", "logger", "message"} <= set(lines[0])
    assert any(line["process"] == "serve" and "signal 9" in line["message"] for line in lines)
    assert not place.exists()


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether this process has a handler of its own for this signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> number - 1 & 1)


@pytest.mark.parametrize("module", ["control", "worker"])
def test_a_process_that_is_asked_to_end_while_it_starts_ends(tmp_path: Path, module: str) -> None:
    SqliteStore(Workspace(tmp_path / "ws").prepare().state).close()
    with socket.create_server(("127.0.0.1", 0)) as door:
        started = subprocess.Popen(
            [sys.executable, "-m", f"pilotage.app.{module}", "--workspace", str(tmp_path / "ws")]
            + (["--name", "w0"] if module == "worker" else [])
            + ["--fd", str(door.fileno())],
            pass_fds=[door.fileno()],
            stdin=subprocess.PIPE,
        )
        until(lambda: catches(started.pid, signal.SIGTERM), seconds=60)
        started.terminate()
        # The control process waits for this word before it begins its work.
        word = {"holder": "h", "token": "t", "link": "l", "gateway": "http://127.0.0.1:1"}
        started.communicate(json.dumps(word).encode() + b"\n", timeout=60)
        assert started.returncode == 0
