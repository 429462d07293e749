"""Clients that leave, clients that are slow, workers that end: with real sockets and real processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pilotage.records import Finished, Started, Text
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts, read_text
from tests.integration.gateway_rig import Provider, Rig, release, until
from tests.integration.upstreams import FLOOD


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "workspace")
    yield rig
    rig.close()
    assert not rig.log.exists() or "Traceback" not in rig.log.read_text()


def connect(rig: Rig, model: str, *, stream: bool) -> socket.socket:
    """Send a request and leave its answer unread."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {rig.key}\r\n"
    connection = socket.socket()
    # A small window, so that a client that does not read is felt soon.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", rig.port))
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def the_end(rig: Rig, use_case: str) -> Finished:
    def look() -> list[Finished]:
        return [event for event in rig.events() if isinstance(event, Finished) and event.use_case == use_case]

    (finished,) = until(look)
    return finished


@pytest.mark.parametrize("model", ["hang", "stall"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_cancels_the_providers_call(
    rig: Rig, provider: Provider, model: str, stream: bool
) -> None:
    rig.route(model, release(model, provider.url(model)))
    rig.start()
    before = provider.seen(model)
    connection = connect(rig, model, stream=stream)
    if stream and model == "stall":
        # Its first events are here: it goes away in the middle.
        received = b""
        while b"Parcels" not in received:
            received += connection.recv(4096)
    else:
        until(lambda: provider.seen(model)["requests"] > before["requests"])
    connection.close()
    until(lambda: provider.seen(model)["gone"] > before["gone"])
    finished = the_end(rig, model)
    assert finished.cancelled
    answered = stream and model == "stall"
    assert (finished.status, finished.error) == ((200, "") if answered else (499, "abandoned"))
    assert rig.ask("GET", "/healthz").status == 200


def test_a_slow_client_holds_the_provider_back(rig: Rig, provider: Provider) -> None:
    rig.route("flood", release("flood", provider.url("flood")))
    rig.start()
    connection = connect(rig, "flood", stream=True)
    connection.recv(1000)

    def stands_still() -> int:
        before = provider.seen("flood")["written"]
        time.sleep(0.3)
        return before if before and provider.seen("flood")["written"] == before else 0

    written = until(stands_still)
    # What the kernel's buffers and ours hold, of 256 MB; nobody read ahead.
    assert written < FLOOD / 4
    # How much the kernel still holds on the way is its own affair: read until it takes more.
    until(lambda: bool(connection.recv(1 << 20)) and provider.seen("flood")["written"] > written)
    connection.close()
    until(lambda: provider.seen("flood")["gone"])
    assert the_end(rig, "flood").cancelled


def test_a_worker_that_is_asked_to_end_answers_what_it_began(rig: Rig, provider: Provider) -> None:
    rig.route("gated", release("gated", provider.url("gated-flow")))
    rig.start()
    assert rig.process is not None
    connection = connect(rig, "gated", stream=True)
    received = b""
    while b"Parcels" not in received:
        received += connection.recv(4096)
    rig.process.send_signal(signal.SIGTERM)

    def refuses() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", rig.port), timeout=1):
            return False
        return True

    until(refuses)
    provider.open_gate("gated-flow")
    while piece := connection.recv(4096):
        received += piece
    connection.close()
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert rig.process.wait(30) == 0
    assert not the_end(rig, "gated").cancelled


def test_a_worker_ends_with_its_parent(rig: Rig, provider: Provider) -> None:
    rig.route("ok", release("ok", provider.url("ok")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        rig.port = listener.getsockname()[1]
        worker = [sys.executable, "-m", "pilotage.app.worker", "--workspace", str(rig.path), "--name", "w0"]
        worker += ["--fd", str(listener.fileno())]
        script = "import subprocess, sys; p = subprocess.Popen(sys.argv[2:], pass_fds=[int(sys.argv[1])]); p.wait()"
        parent = subprocess.Popen(
            [sys.executable, "-c", script, str(listener.fileno()), *worker], pass_fds=[listener.fileno()]
        )
    until(lambda: rig.ask("GET", "/readyz").status == 200)
    parent.kill()
    parent.wait(10)

    def refuses() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", rig.port), timeout=1):
            return False
        return True

    until(refuses)


def test_the_worker_loads_nothing_heavy(rig: Rig, provider: Provider, tmp_path: Path) -> None:
    seen = tmp_path / "modules.json"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import atexit, json, pathlib, sys\n"
        f"atexit.register(lambda: pathlib.Path({str(seen)!r}).write_text(json.dumps(sorted(sys.modules))))\n"
    )
    rig.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    rig.route("ok", release("ok", provider.url("ok"), prompt="{{ question }}"), retention="redacted")
    rig.start()
    assert rig.chat("ok").status == 200
    assert rig.chat("ok", stream=True).status == 200
    assert rig.feedback(id="f", unit="u", use_case="ok", metric="resolved", value=1).status == 202
    assert rig.stop() == 0
    modules = set(json.loads(seen.read_text()))
    assert {"pilotage.gateway.chat", "uvloop", "httptools", "msgspec", "sqlite3"} <= modules
    heavy = {"pydantic", "pydantic_core", "numpy", "duckdb", "starlette", "typer", "rich", "openai", "aiohttp"}
    assert not modules & heavy
    assert not {name for name in modules if name.startswith(("pilotage.decision", "pilotage.governance"))}


@pytest.mark.parametrize("retention", ["none", "redacted", "full"])
def test_texts_are_kept_as_the_use_case_says(rig: Rig, provider: Provider, retention: str) -> None:
    rig.route("ok", release("ok", provider.url("ok")), retention=retention)
    rig.start()
    question = "My mail is jane@example.org, when does it arrive?"
    inferences = {
        rig.chat("ok", question, stream=stream, user="jane").headers["x-pilotage-inference"].split(".")[1]
        for stream in (False, True)
    }
    assert rig.stop() == 0
    texts = [event for event in rig.events() if isinstance(event, Text)]
    plain = b"".join(path.read_bytes() for path in rig.path.rglob("*") if path.is_file())
    assert b"jane@example.org" not in plain
    assert b"when does it arrive" not in plain
    if retention == "none":
        assert texts == []
        return
    assert {event.id for event in texts} == inferences
    for event in texts:
        with rig.store.read() as tx:
            request, reply = read_text(tx, Texts(rig.workspace.texts), event)
        kept = question if retention == "full" else question.replace("jane@example.org", "[email]")
        assert request == f"user: {kept}"
        assert reply == "Parcels arrive in three days — usually."


def test_a_worker_that_cannot_write_goes_on_and_says_so(rig: Rig, provider: Provider) -> None:
    rig.route("ok", release("ok", provider.url("ok")))
    rig.start()
    assert rig.chat("ok").status == 200
    assert rig.process is not None
    # A full disk, as far as this process can tell: no file may grow any more.
    size = max(path.stat().st_size for path in rig.workspace.spool.glob("*.spool"))
    resource.prlimit(rig.process.pid, resource.RLIMIT_FSIZE, (size, size))
    assert rig.chat("ok").status == 200
    ready = rig.ask("GET", "/readyz")
    assert (ready.status, ready.json["lost"]) == (503, 2)
    reply = rig.feedback(id="f", unit="u", use_case="ok", metric="resolved", value=1)
    assert (reply.status, reply.error["code"]) == (503, "not_stored")
    events = rig.events()
    assert sum(isinstance(event, Started) for event in events) == 1
    os.kill(rig.process.pid, signal.SIGKILL)
    rig.process.wait(10)


def test_a_worker_without_a_workspace_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "pilotage.app.worker", "--workspace", str(tmp_path), "--name", "w0"]
        ended = subprocess.run(
            [*command, "--fd", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.returncode == 1
    assert b"is not a workspace" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_rewritten_route_reaches_a_running_worker_and_a_damaged_one_does_not(rig: Rig, provider: Provider) -> None:
    first = release("support", provider.url("ok"), "first")
    second = release("support", provider.url("ok"), "second")
    rig.route("support", first)
    rig.start()
    assert rig.chat("support").headers["x-pilotage-variant"] == "first"
    rig.route("support", second)
    until(lambda: rig.chat("support").headers["x-pilotage-variant"] == "second")
    other = SqliteStore(rig.workspace.state)
    with other.write() as tx:
        tx.serving.put("support", b"not a route")
    other.close()
    until(lambda: b"the last route stays" in rig.log.read_bytes())
    assert rig.chat("support").headers["x-pilotage-variant"] == "second"
