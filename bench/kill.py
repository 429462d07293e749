"""Kill -9 random processes of a serving Pilotage under load, and count what was lost.

    make kill                    100 kills
    make kill ARGS="--kills 20 --seed 3"

A gateway worker, the control process or the whole tree is killed at a random moment while requests and feedback flow.
Afterwards everything that was promised is looked for in the sealed events:

- feedback whose 202 was received is there, exactly once;
- every inference whose reply was received whole has its `started` and its `finished` record, exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import aiohttp
from files import PLAIN
from proxies import children, free_port

from pilotage.store.events import EventsReader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

GOAL = """
[goals.resolved]
today = 0.5
"""


class Load:
    """Clients that never stop, and remember what was acknowledged."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.replied: set[str] = set()
        self.acknowledged: set[str] = set()
        self.failed = 0
        self.count = 0

    async def client(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        while not stop.is_set():
            self.count += 1
            number = self.count
            stream = number % 3 == 0
            body = {"model": "bench", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
            try:
                unit = {**headers, "x-pilotage-unit": f"u{number}"}
                async with session.post(f"{self.url}/v1/chat/completions", json=body, headers=unit) as reply:
                    data = await reply.read()
                    whole = reply.status == 200 and (not stream or b"[DONE]" in data)
                    inference = reply.headers.get("x-pilotage-inference", "")
                if not whole:
                    self.failed += 1
                    continue
                self.replied.add(inference.split(".")[1])
                feedback = {"id": f"f{number}", "inference": inference, "metric": "resolved", "value": 1}
                async with session.post(f"{self.url}/v1/feedback", json=feedback, headers=headers) as reply:
                    if reply.status == 202:
                        self.acknowledged.add(feedback["id"])
                    else:
                        self.failed += 1
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.failed += 1
                await asyncio.sleep(0.02)


class Tree:
    """`pilotage serve`, started again whenever all of it is dead."""

    def __init__(self, workspace: str, port: int) -> None:
        pilotage = str(Path(sys.executable).with_name("pilotage"))
        self.command = [pilotage, "serve", "--workspace", workspace, "--port", str(port), "--control-port", "0"]
        self.command += ["--workers", "2"]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def pids(self) -> dict[str, list[int]]:
        return {
            "worker": children(self.process.pid, "pilotage.app.worker"),
            "control": children(self.process.pid, "pilotage.app.control"),
        }

    def kill(self, what: str) -> bool:
        found = self.pids()
        if what == "tree":
            if not found["worker"]:
                return False
            for pid in [self.process.pid, *found["worker"], *found["control"]]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.start()
            return True
        if not found[what]:
            return False
        os.kill(random.choice(found[what]), signal.SIGKILL)
        return True


async def ready(url: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"{url}/readyz") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    sys.exit("the gateway did not come back")


async def run(tree: Tree, load: Load, kills: int) -> Counter[str]:
    done: Counter[str] = Counter()
    stop = asyncio.Event()
    await ready(load.url)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(load.client(session, stop))
        while done.total() < kills:
            await asyncio.sleep(random.uniform(0.05, 0.9))
            what = random.choices(("worker", "control", "tree"), (6, 3, 1))[0]
            if tree.kill(what):
                done[what] += 1
                print(f"\rkilled {done.total()} of {kills}", end="", file=sys.stderr, flush=True)
            if what == "tree":
                await ready(load.url)
        await ready(load.url)
        await asyncio.sleep(1)
        stop.set()
    print(file=sys.stderr)
    return done


def rows(workspace: str, table: str) -> Counter[str]:
    """Return how often each id stands in the sealed events, before anything is made unique."""
    place = Workspace(Path(workspace))
    with closing(SqliteStore(place.state)) as store, closing(EventsReader(place.events, store)) as events:
        return Counter(row["id"] for row in events.query(f"SELECT id FROM {table}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="pilotage-kill-"))
    pilotage = str(Path(sys.executable).with_name("pilotage"))
    workspace = str(folder / "workspace")
    upstream_port, port = free_port(), free_port()
    command = [sys.executable, str(Path(__file__).parent / "upstream.py"), str(upstream_port), "20"]
    upstream = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    tree: Tree | None = None
    try:
        (folder / "case").mkdir()
        (folder / "case" / "usecase.toml").write_text(PLAIN.format(port=upstream_port) + GOAL)
        subprocess.run([pilotage, "apply", str(folder / "case"), "--workspace", workspace], check=True)
        made = subprocess.run(
            [
                pilotage,
                "keys",
                "create",
                "bench",
                "--role",
                "infer",
                "--role",
                "feedback",
                "--json",
                "--workspace",
                workspace,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        tree = Tree(workspace, port)
        load = Load(f"http://127.0.0.1:{port}", json.loads(made.stdout)["secret"])
        done = asyncio.run(run(tree, load, options.kills))
        tree.process.send_signal(signal.SIGTERM)
        tree.process.wait(timeout=30)
        tree.start()
        asyncio.run(ready(load.url))
        time.sleep(8)
        tree.process.send_signal(signal.SIGTERM)
        tree.process.wait(timeout=30)
        verified = subprocess.run([pilotage, "ledger", "verify", "--workspace", workspace], check=False)
        started, finished, feedback = (rows(workspace, table) for table in ("started", "finished", "feedback_rows"))
    finally:
        for process in (tree.process if tree else None, upstream):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
    lost = {
        "feedback": len(load.acknowledged - set(feedback)),
        "started": len(load.replied - set(started)),
        "finished": len(load.replied - set(finished)),
    }
    doubled = {
        name: sum(count > 1 for count in table.values())
        for name, table in (("started", started), ("finished", finished), ("feedback", feedback))
    }
    print(
        f"{done.total()} kills ({done['worker']} workers, {done['control']} control processes, {done['tree']} whole trees)"
    )
    print(f"{load.count} requests, {load.failed} failed at a kill; {len(load.replied)} whole replies received")
    print(f"acknowledged feedback {len(load.acknowledged)}: lost {lost['feedback']}, doubled {doubled['feedback']}")
    print(f"started records: lost {lost['started']}, doubled {doubled['started']}")
    print(f"finished records: lost {lost['finished']}, doubled {doubled['finished']}")
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if any(lost.values()) or any(doubled.values()) or verified.returncode else 0)


if __name__ == "__main__":
    main()
