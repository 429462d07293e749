"""A real `pilotage serve` on free ports, with a use case whose variants search different articles."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USE_CASE = """
name = "help"
owner = "Ada Writer"
objective = "Answers at once."
tier = "minimal"
unit = "user"
status_quo = "before"
candidate = "after"

[scope]
does = ["answers questions"]
does_not = ["books rooms"]

[goals.resolved]
today = 0.3
target = 0.6
minimum_effect = 0.1
matures_after = "2s"

[guardrails.complained]
direction = "down"
margin = 0.3
matures_after = "2s"

[traffic]
new_units_a_day = 1000

[budget]
currency = "EUR"
a_day = 10.0

[data]
sources = ["written for this test"]
rights = "our own"
personal_data = false

[variants.before]
upstream = "search"
knowledge = ["knowledge/*.md"]

[variants.after]
upstream = "search"
knowledge = ["knowledge/*.md", "more/*.md"]

[rollout]
minimum_units = 20
minimum_duration = "0s"

[[rollout.steps]]
share = 50
demands = ["safe"]

[[rollout.steps]]
share = 90
demands = ["safe", "approve"]
"""


def write_use_case(directory: Path, text: str = USE_CASE) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "usecase.toml").write_text(text)
    for folder, name, article in (
        ("knowledge", "parcels", "# Parcels\n\nParcels arrive in three days.\n"),
        ("more", "returns", "# Returns\n\nReturns are free for thirty days.\n"),
    ):
        (directory / folder).mkdir(exist_ok=True)
        (directory / folder / f"{name}.md").write_text(article)
    return directory


def files_of(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): base64.b64encode(path.read_bytes()).decode()
        for path in directory.rglob("*")
        if path.is_file()
    }


def pilotage(*arguments: str, workspace: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with a clean environment."""
    place = ["--workspace", str(workspace)] if workspace else []
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTAGE_")}
    return subprocess.run(
        [sys.executable, "-m", "pilotage", *arguments, *place],
        capture_output=True,
        text=True,
        timeout=120,
        env={**kept, **environment},
        check=False,
    )


def children(pid: int) -> dict[int, str]:
    """Return the command lines of a process's children, by id."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        except FileNotFoundError:
            continue
    return found


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    address: str,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str = "",
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
) -> Reply:
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    sent = {"authorization": f"Bearer {key}"} if key else {}
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {**sent, **(headers or {})})
        # Closed also where the server dies over its answer.
        with connection.getresponse() as answer:
            headers = {name.lower(): value for name, value in answer.getheaders()}
            cookies = tuple(answer.headers.get_all("set-cookie") or ())
            return Reply(answer.status, headers, answer.read(), cookies)
    finally:
        connection.close()


class Serving:
    """A running server. `token` makes its bearer the local user."""

    def __init__(self, process: subprocess.Popen[str], workspace: Path, facts: dict[str, Any], errors: Path) -> None:
        self.process, self.workspace, self.errors = process, workspace, errors
        self.gateway, self.control, self.console = facts["gateway"], facts["control"], facts["console"]
        self.token = json.loads((workspace / "run" / "control.json").read_text())["token"]

    def command(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        reply = ask(self.control, "POST", f"/api/v1/commands/{name}", arguments, key=self.token)
        assert reply.status == 200, reply.body
        result: dict[str, Any] = reply.json["result"]
        return result

    def key(self, *roles: str, **more: Any) -> str:
        """Make a key and wait until every worker knows it."""
        secret = str(self.command("keys_create", name="test", roles=list(roles), **more)["secret"])
        in_a_row = 0
        deadline = time.monotonic() + 20
        while in_a_row < 20:
            known = ask(self.gateway, "GET", "/v1/models", key=secret).status not in (401, 429)
            in_a_row = in_a_row + 1 if known else 0
            assert time.monotonic() < deadline, "the workers never learnt of the key"
            time.sleep(0.02)
        return secret

    def chat(self, key: str, unit: str, question: str = "When do parcels arrive?", **more: Any) -> Reply:
        body = {"model": "help", "messages": [{"role": "user", "content": question}], **more}
        return ask(self.gateway, "POST", "/v1/chat/completions", body, key=key, headers={"x-pilotage-unit": unit})

    def visits(self, key: str, units: int) -> None:
        """Let so many units ask, and the first say that there is nothing to complain of."""
        for number in range(units):
            assert self.chat(key, f"unit-{number}").status == 200
        said = {"id": "no-complaint", "unit": "unit-0", "use_case": "help", "metric": "complained", "value": 0}
        assert self.feedback(key, **said).status == 202

    def feedback(self, key: str, **body: Any) -> Reply:
        return ask(self.gateway, "POST", "/v1/feedback", body, key=key)

    def pids(self, module: str) -> list[int]:
        return [pid for pid, command in children(self.process.pid).items() if module in command]

    def kill(self, module: str) -> int:
        pid = self.pids(module)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def to_canary(self, text: str = USE_CASE, name: str = "help", *, author: str = "") -> None:
        """Register the use case and bring its candidates to the first step of the ramp, with evidence on record."""
        directory = write_use_case(self.workspace.parent / name, text)
        files = {"files": files_of(directory)}
        applied = ask(self.control, "POST", "/api/v1/commands/apply", files, key=author or self.token)
        assert applied.status == 200, applied.body
        result = applied.json["result"]
        fact = {"use_case": name, "n": 400, "method": "test", "data": "0" * 64, "baseline": result["live"]}
        for candidate in (release for release in result["releases"].values() if release != result["live"]):
            for measure, value in (
                ("quality", 0.9),
                ("quality_difference", 0.1),
                ("replay_errors", 0.0),
                ("security", 0.0),
                ("privacy", 0.0),
            ):
                told = {**fact, "release": candidate, "measure": measure, "value": value, "low": value, "high": value}
                self.command("record_evidence", **told)
        for _ in ("poc", "staging", "canary"):
            self.command("promote", use_case=name)

    @property
    def rollout(self) -> dict[str, Any]:
        value: dict[str, Any] = self.command("status", use_case="help")["use_cases"][0]["rollout"]
        return value


@contextmanager
def serving(
    workspace: Path, *, workers: int = 2, arguments: Sequence[str] = (), **environment: str
) -> Iterator[Serving]:
    """Start a server; end it with SIGTERM, and with SIGKILL if that is not enough."""
    errors = workspace.parent / f"{workspace.name}.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTAGE_")}
    command = [sys.executable, "-m", "pilotage", "serve", "--workspace", str(workspace), "--json"]
    with errors.open("a") as log:
        process = subprocess.Popen(
            [*command, "--port", "0", "--control-port", "0", "--workers", str(workers), *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**kept, **environment},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, errors.read_text()
        yield Serving(process, workspace, json.loads(line), errors)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
