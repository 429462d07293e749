"""A real worker process over a prepared workspace, and the misbehaving provider beside it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pilotage import access
from pilotage.access import Key, Role
from pilotage.records import Finished, SpoolEvent, Started
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Allocation, MetricDoor, Route
from pilotage.store.spool import Reader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

METRICS = {
    "resolved": MetricDoor(kind="binary", low=0.0, high=1.0),
    "stars": MetricDoor(kind="rating", low=1.0, high=5.0),
    "value": MetricDoor(kind="money", low=0.0),
}
Found = TypeVar("Found")


def until(look: Callable[[], Found], *, seconds: float = 20.0) -> Found:
    """Return the first truthy answer; fail where none comes (the bound is generous, and no assertion about time)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")


class Provider:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("upstreams.py")], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}/v1"

    def seen(self, behaviour: str) -> dict[str, Any]:
        return {"requests": 0, "gone": 0, "written": 0, **self._get(f"/seen/{behaviour}")}

    def open_gate(self, behaviour: str) -> None:
        self._get(f"/open/{behaviour}")

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            value: dict[str, Any] = json.loads(connection.getresponse().read())
            return value
        finally:
            connection.close()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error

    @property
    def events(self) -> list[Any]:
        """The data of a streamed body, decoded but for [DONE]."""
        assert self.body.endswith((b"\n\n", b"\r\n\r\n"))
        lines = [line.removeprefix(b"data: ") for line in self.body.splitlines() if line.startswith(b"data: ")]
        return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


@dataclass
class Rig:
    """A workspace with what serves in it; `start` runs a worker on it."""

    path: Path
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.workspace = Workspace(self.path).prepare()
        self.store = SqliteStore(self.workspace.state)
        self.log = self.path / "worker.log"
        self.key = self.add_key(Role.INFER, Role.FEEDBACK)
        self.operator = self.add_key(Role.INFER, Role.OPERATE)

    def add_key(self, *roles: Role, use_cases: tuple[str, ...] = (), **more: int) -> str:
        key_id, secret = access.new_secret()
        key = Key(
            id=key_id,
            name="test",
            digest=access.digest(secret),
            roles=roles,
            created=1,
            use_cases=use_cases,
            expires=more.get("expires", 0),
            revoked=more.get("revoked", 0),
        )
        with self.store.write() as tx:
            tx.keys.put(key)
        return secret

    def route(self, use_case: str, live: Release | None, *others: Release, **more: Any) -> Route:
        """Write what serves of one use case."""
        releases = {release.reference: release for release in ((live, *others) if live else others)}
        values: dict[str, Any] = {"unit": "user", "metrics": METRICS, **more}
        route = Route(use_case=use_case, live=live.reference if live else "", releases=releases, **values)
        with self.store.write() as tx:
            tx.serving.put(use_case, msgspec.json.encode(route))
        return route

    def split(self, use_case: str, baseline: Release, candidate: Release, share: int, generation: int = 1) -> None:
        """Write a running rollout."""
        allocation = Allocation(
            rollout="r1",
            baseline=baseline.reference,
            candidate=candidate.reference,
            step=1,
            share=share,
            generation=generation,
        )
        self.route(use_case, baseline, candidate, allocation=allocation)

    def knowledge(self, **articles: str) -> tuple[tuple[str, str], ...]:
        with self.store.write() as tx:
            return tuple((f"knowledge/{name}.md", tx.blobs.put(text.encode())) for name, text in articles.items())

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        command = [sys.executable, "-m", "pilotage.app.worker", "--workspace", str(self.path), "--name", "w0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--fd", str(listener.fileno()), *self.arguments],
                pass_fds=[listener.fileno()],
                stderr=log,
                env={**os.environ, **self.environment},
            )
        listener.close()
        until(lambda: self.ask("GET", "/readyz").status == 200)

    def stop(self) -> int:
        """End the worker by SIGTERM and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.store.close()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request; `body` is JSON unless it is bytes, `key` the usual one unless it is None or another."""
        sent = {} if key is None else {"authorization": f"Bearer {key or self.key}"}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def chat(self, model: str, question: str = "When does my parcel arrive?", **more: Any) -> Reply:
        headers = more.pop("headers", None)
        key = more.pop("key", "")
        body = {"model": model, "messages": [{"role": "user", "content": question}], **more}
        return self.ask("POST", "/v1/chat/completions", body, headers=headers, key=key)

    def feedback(self, **body: Any) -> Reply:
        key = body.pop("as_key", "")
        return self.ask("POST", "/v1/feedback", body, key=key)

    def events(self) -> list[SpoolEvent]:
        reader = Reader(self.workspace.spool)
        return [event for segment in reader.segments() for _, event in reader.read(segment, 0, limit=64 << 20)[0]]

    def record(self, reply: Reply) -> tuple[Started, Finished]:
        """The two records of one answered request."""
        inference = reply.headers["x-pilotage-inference"].split(".")[1]
        return self.record_of(inference)

    def record_of(self, inference: str) -> tuple[Started, Finished]:
        started = [event for event in self.events() if isinstance(event, Started) and event.id == inference]
        finished = [event for event in self.events() if isinstance(event, Finished) and event.id == inference]
        assert len(started) == len(finished) == 1
        return started[0], finished[0]


def release(use_case: str, base_url: str, variant: str = "assistant", **more: Any) -> Release:
    """A release at the misbehaving provider, with patience for slow machines but not for silence."""
    address = UpstreamAddress(
        kind="openai",
        base_url=base_url,
        connect_timeout=more.pop("connect", 5_000_000),
        first_byte_timeout=more.pop("first_byte", 30_000_000),
        total_timeout=more.pop("total", 60_000_000),
    )
    return Release(use_case=use_case, variant=variant, upstream=address, model="real-model", **more)


def search(use_case: str, knowledge: tuple[tuple[str, str], ...]) -> Release:
    return Release(use_case=use_case, variant="faq", upstream=UpstreamAddress(kind="search"), knowledge=knowledge)
