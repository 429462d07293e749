"""How soon a candidate that fails on everything is off the users, and how many of them it met.

    make rollback                    20 cliffs
    make rollback ARGS="--cliffs 100"

A real `pilotage serve` with two workers, a real upstream that answers the candidate's model with 500, and users who each
come for the first time. Cliffs take turns at shares of 1, 5, 25 and 50 %; each begins with a rollout of its own, at full
traffic. Measured for each:

- the time from the append of the decisive record to the decision, and to the last worker's switch: the first answer, on
  the last of several connections, that has the baseline for a unit that was the candidate's. Decisive is taken to be the
  first failure in the last batch that the decision was made on: the batch before was not enough, so this is at most a
  tick too long, and never too short;
- the users who were exposed to the candidate until then.

A request that fails for its user ends the run with exit code 1: the fallback answers for the candidate.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from proxies import free_port

from pilotage.decision.batch import Batch
from pilotage.store.events import EventsReader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

SHARES = (1, 5, 25, 50)
CONNECTIONS = 8
"""That ask for one unit of the candidate's over and over: enough that each worker has some of them."""
PATIENCE = 60.0
USE_CASE = """
name = "bench"
owner = "bench"
objective = "Answers."
tier = "minimal"
unit = "user"
status_quo = "before"
candidate = "after"

[scope]
does = ["answers"]
does_not = ["anything else"]

[goals.resolved]
today = 0.5
target = 0.6
minimum_effect = 0.05

[traffic]
new_units_a_day = 100000

[budget]
currency = "EUR"
a_day = 1000.0

[data]
sources = ["none"]
rights = "our own"
personal_data = false

[upstreams.canned]
base_url = "http://127.0.0.1:{port}/v1"

[variants.before]
upstream = "canned"
model = "canned"
price = {{ input = 0.1, output = 0.4 }}

[variants.after]
upstream = "canned"
model = "broken-{number}"
price = {{ input = 0.1, output = 0.4 }}
fallback = ["before"]

[rollout]
steps = [{{ share = {share}, demands = ["safe", "approve"] }}]
"""


@dataclass
class Cliff:
    """One rollout's end. Times are microseconds of the system's clock."""

    share: int
    rollout: str
    exposed: set[str] = field(default_factory=set)
    switched: int = 0
    decisive: int = 0
    decided: int = 0
    batches: int = 0

    @property
    def ended(self) -> bool:
        return self.switched > 0


class Bench:
    def __init__(self, gateway: str, control: str, token: str, rate: float, seed: int) -> None:
        self.gateway, self.control, self.token, self.rate = gateway, control, token, rate
        self.key = ""
        self.units = seed * 1_000_000
        self.requests = self.failed = 0
        self.faults: list[str] = []

    async def command(self, session: aiohttp.ClientSession, name: str, /, **arguments: Any) -> dict[str, Any]:
        url, headers = f"{self.control}/api/v1/commands/{name}", {"authorization": f"Bearer {self.token}"}
        async with session.post(url, json=arguments, headers=headers) as reply:
            body = await reply.json()
            if reply.status != 200:
                sys.exit(f"{name}: {body}")
            result: dict[str, Any] = body["result"]
            return result

    async def begin(self, session: aiohttp.ClientSession, port: int, number: int, share: int) -> Cliff:
        """Register another candidate and bring it to its ramp, with evidence on record."""
        text = USE_CASE.format(port=port, number=number, share=share)
        files = {"usecase.toml": base64.b64encode(text.encode()).decode()}
        applied = await self.command(session, "apply", files=files)
        fact = {"use_case": "bench", "release": applied["candidate"], "baseline": applied["live"], "n": 400}
        for measure, value in (("quality_difference", 0.1), ("replay_errors", 0.0)):
            figures = {"value": value, "low": value, "high": value, "method": "none", "data": "0" * 64}
            await self.command(session, "record_evidence", measure=measure, **figures, **fact)
        for _ in range(3):
            await self.command(session, "promote", use_case="bench")
        found = await self.command(session, "status", use_case="bench")
        return Cliff(share, found["use_cases"][0]["rollout"]["id"])

    async def ask(self, session: aiohttp.ClientSession, unit: str) -> str:
        """Return the variant that a unit was assigned."""
        body = {"model": "bench", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": f"Bearer {self.key}", "x-pilotage-unit": unit}
        self.requests += 1
        async with session.post(f"{self.gateway}/v1/chat/completions", json=body, headers=headers) as reply:
            said = await reply.read()
            if reply.status != 200:
                self.failed += 1
                self.faults.append(f"{reply.status} {said[:200]!r}")
            return reply.headers.get("x-pilotage-variant", "")

    async def arrivals(self, session: aiohttp.ClientSession, cliff: Cliff, met: asyncio.Queue[str]) -> None:
        """New users at a steady rate, each asking once, until the candidate is off."""
        pending: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not cliff.ended:
            self.units += 1
            task = asyncio.create_task(self.arrive(session, cliff, f"unit-{self.units}", met))
            pending.add(task)
            task.add_done_callback(pending.discard)
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*pending)

    async def arrive(self, session: aiohttp.ClientSession, cliff: Cliff, unit: str, met: asyncio.Queue[str]) -> None:
        if await self.ask(session, unit) == "after":
            if not cliff.exposed:
                met.put_nowait(unit)
            cliff.exposed.add(unit)

    async def watch(self, cliff: Cliff, met: asyncio.Queue[str]) -> None:
        """Ask for one of the candidate's units on connections to all workers until each gives it the baseline."""
        unit = await asyncio.wait_for(met.get(), PATIENCE)
        cliff.switched = max(await asyncio.gather(*(self.switch(unit) for _ in range(CONNECTIONS))))

    async def switch(self, unit: str) -> int:
        deadline = time.monotonic() + PATIENCE
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            while await self.ask(session, unit) == "after":
                if time.monotonic() > deadline:
                    sys.exit(f"the candidate was still served after {PATIENCE:g} s")
                await asyncio.sleep(0.02)
        return time.time_ns() // 1000

    async def run(self, port: int, cliffs: int) -> list[Cliff]:
        done: list[Cliff] = []
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(connector=connector) as session:
            made = await self.command(session, "keys_create", name="bench", roles=["infer"])
            self.key = made["secret"]
            for number in range(cliffs):
                share = SHARES[number % len(SHARES)]
                cliff = await self.begin(session, port, number, share)
                # The workers hear of the new rollout with their next poll, each at its own time.
                await asyncio.sleep(1)
                met: asyncio.Queue[str] = asyncio.Queue()
                await asyncio.gather(self.arrivals(session, cliff, met), self.watch(cliff, met))
                done.append(cliff)
                print(f"\rcliff {len(done)} of {cliffs}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return done


def explain(workspace: Path, cliffs: list[Cliff]) -> None:
    """Find in the ledger, the batches and the sealed events what each decision was made on."""
    place = Workspace(workspace)
    with (
        closing(SqliteStore(place.state)) as store,
        closing(EventsReader(place.events, store)) as events,
        store.read() as tx,
    ):
        entries = {entry.detail.get("rollout"): entry for entry in tx.ledger.read() if entry.action == "roll_back"}
        for cliff in cliffs:
            entry = entries[cliff.rollout]
            cliff.decided, cliff.batches = entry.at, entry.detail["made_on"]["batches"][0]
            found = [
                msgspec.msgpack.decode(body, type=Batch)
                for _, _, body, _ in tx.batches.read(cliff.rollout, until=cliff.batches)
            ]
            ends = [batch.frontier["errors"] for batch in found if "errors" in batch.metrics]
            before = ends[-2] if len(ends) > 1 else 0
            rows = events.query(
                'SELECT min(f."at") AS first FROM started s JOIN finished f ON f.id = s.id'
                ' WHERE s.rollout = ? AND s.arm = \'candidate\' AND s."at" > ? AND s."at" <= ?',
                (cliff.rollout, before, ends[-1]),
            )
            cliff.decisive = rows[0]["first"] or 0


def report(bench: Bench, cliffs: list[Cliff]) -> dict[str, Any]:
    explained = [cliff for cliff in cliffs if cliff.decisive]
    figures: dict[str, Any] = {"cliffs": len(cliffs), "requests": bench.requests, "failed": bench.failed}
    for name, times in (
        ("decided", [cliff.decided - cliff.decisive for cliff in explained]),
        ("switched", [cliff.switched - cliff.decisive for cliff in explained]),
    ):
        figures[name] = {"p50": statistics.median(times) / 1e6, "max": max(times) / 1e6}
        print(f"decisive record to {name}: p50 {figures[name]['p50']:.2f} s, max {figures[name]['max']:.2f} s")
    for share in SHARES:
        users = [len(cliff.exposed) for cliff in cliffs if cliff.share == share]
        if users:
            figures[f"exposed at {share} %"] = {"p50": statistics.median(users), "max": max(users)}
            print(
                f"at {share:2} %: {statistics.median(users):g} users met the candidate (most: {max(users)}),"
                f" of {bench.rate:g} new users a second"
            )
    print(f"{bench.requests} requests, {bench.failed} failed for their users {bench.faults[:2] or ''}")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cliffs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100.0, help="new users a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pilotage-rollback-"))
    workspace, upstream_port = folder / "workspace", free_port()
    pilotage = str(Path(sys.executable).with_name("pilotage"))
    command = [sys.executable, str(Path(__file__).parent / "upstream.py"), str(upstream_port)]
    upstream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    serve = [pilotage, "serve", "--workspace", str(workspace), "--workers", "2", "--json"]
    log = (folder / "log").open("w")
    server = subprocess.Popen(
        [*serve, "--port", "0", "--control-port", "0"], stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        assert upstream.stdout is not None
        assert server.stdout is not None
        upstream.stdout.readline()
        facts = json.loads(server.stdout.readline())
        token = json.loads((workspace / "run" / "control.json").read_text())["token"]
        bench = Bench(facts["gateway"], facts["control"], token, options.rate, options.seed)
        cliffs = asyncio.run(bench.run(upstream_port, options.cliffs))
    finally:
        for process in (server, upstream):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        log.close()
    verified = subprocess.run([pilotage, "ledger", "verify", "--workspace", str(workspace)], check=False)
    explain(workspace, cliffs)
    figures = report(bench, cliffs)
    if options.json:
        print(json.dumps(figures))
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if bench.failed or verified.returncode else 0)


if __name__ == "__main__":
    main()
