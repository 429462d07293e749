"""What the gateway costs beside nginx as a plain proxy, in one run before one canned upstream.

    make bench                         processor time a request and a streamed event, memory, time to start
    make bench ARGS="--sweep"          also by body size, connections and use cases, and delay at a fixed rate
    make bench ARGS="--also old=DIR"   the same for the source tree of another version, in the same run

Processor time is read from /proc/PID/task/*/schedstat of the proxy's own processes; load generator and upstream have
the first core, the proxy the second. It is a ratio between programs on one machine in one run: read the ratio, not the
microseconds. nginx only proxies; Pilotage authenticates, assigns, judges and records two events for each request.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from load import Plan, closed_loop, open_loop, percentile, run

HERE = Path(__file__).parent
EVENTS = 50
LOAD_CORE, PROXY_CORE = 0, 1
USE_CASE = """
name = "bench"
owner = "bench"
[upstreams.canned]
base_url = "http://127.0.0.1:{port}/v1"
[variants.plain]
upstream = "canned"
model = "canned"
"""
EVERYTHING = """
name = "bench"
owner = "bench"
[upstreams.canned]
base_url = "http://127.0.0.1:{port}/v1"
[filters.personal]
kind = "personal_data"
action = "redact"
[budget]
a_day = 1_000_000.0
[limits]
key = {{ requests_a_minute = 100_000_000, tokens_a_minute = 1_000_000_000_000 }}
max_tokens = 1000
[variants.plain]
upstream = "canned"
model = "canned"
prompt = "prompt.md"
filters = ["personal"]
price = {{ input = 0.15, output = 0.60 }}
[variants.other]
upstream = "canned"
model = "canned"
prompt = "prompt.md"
filters = ["personal"]
price = {{ input = 0.15, output = 0.60 }}
"""
"""A budget, a limit a minute, personal data looked for in both directions, two variants to be assigned to users."""
NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
  upstream canned {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://canned; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def children(pid: int, word: str) -> list[int]:
    """Return pids of the processes below `pid` whose command line holds `word`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except (OSError, IndexError):
                continue
            if parent == pid and word in line:
                found.append(int(entry.name))
    return found


def cpu(pids: list[int]) -> float:
    """Return seconds of processor time that these processes' threads used (the scheduler's own nanoseconds)."""
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def memory(pids: list[int]) -> float:
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids) / 1e6


def pin(pids: list[int], core: int) -> None:
    """Give processes, with all their threads, one core, where there are two."""
    if (os.cpu_count() or 1) < 2:
        return
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


class Proxy:
    """Something that is measured: its processes, where it listens, and what it is asked for."""

    def __init__(self, name: str, pids: list[int], port: int, key: str = "none", model: str = "canned") -> None:
        self.name, self.pids, self.key, self.model = name, pids, key, model
        self.address = ("127.0.0.1", port)
        self.ready = 0.0
        """Seconds from when its process was there."""
        pin(pids, PROXY_CORE)

    def plan(self, **more: Any) -> Plan:
        return Plan(self.key, more.pop("model", self.model), **more)

    def cost(self, plan: Plan, requests: int, connections: int = 16) -> tuple[float, float]:
        """Return (microseconds of processor time, answers a second)."""
        run(closed_loop(self.address, plan, min(200, requests), connections))
        before = cpu(self.pids)
        seconds = run(closed_loop(self.address, plan, requests, connections))
        return (cpu(self.pids) - before) / requests * 1e6, requests / seconds


class Bench:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.upstream = free_port()
        process = self.start([sys.executable, str(HERE / "upstream.py"), str(self.upstream), str(EVENTS)], pipe=True)
        assert process.stdout is not None
        process.stdout.readline()
        pin([process.pid, os.getpid()], LOAD_CORE)

    def start(self, command: list[str], *, pipe: bool = False, source: str = "") -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": source} if source else None
        out = subprocess.PIPE if pipe else subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=out, text=True, env=environment)

        def stop() -> None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)

        self.stack.callback(stop)
        return process

    def nginx(self) -> Proxy | None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            print("nginx is not installed: no ratio, only Pilotage's own figures")
            return None
        port, config = free_port(), self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=port, upstream=self.upstream))
        process = self.start([program, "-c", str(config), "-p", str(self.folder)])
        time.sleep(0.5)
        return Proxy("nginx", [process.pid], port)

    def pilotage(self, name: str, source: str = "", *, file: str = EVERYTHING, others: int = 0) -> Proxy:
        """Start a server of one worker; `others` is how many more use cases it serves."""
        pilotage = [sys.executable, "-m", "pilotage"]
        folder = self.folder / f"{name}-{others}"
        case, workspace = folder / "case", str(folder / "workspace")
        case.mkdir(parents=True)
        (case / "usecase.toml").write_text(file.format(port=self.upstream))
        (case / "prompt.md").write_text("You answer questions of a shop's customers, shortly and kindly.\n")
        environment = {**os.environ, "PYTHONPATH": source} if source else None

        def command(*words: str) -> str:
            made = [*pilotage, *words, "--workspace", workspace]
            return subprocess.run(made, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout

        command("apply", str(case))
        key = json.loads(command("keys", "create", "bench", "--role", "infer", "--json"))["secret"]
        prepare(Path(workspace), others, split=file == EVERYTHING)
        door = free_port()
        server = [*pilotage, "serve", "--workspace", workspace, "--workers", "1", "--port", str(door)]
        process = self.start([*server, "--control-port", "0"], source=source)
        while not (workers := children(process.pid, "pilotage.app.worker")):
            time.sleep(0.01)
        seen = time.perf_counter()
        for _ in range(2000):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{door}/readyz", timeout=1)
                break
            except OSError:
                time.sleep(0.01)
        found = Proxy(name, workers, door, key, "bench")
        found.ready = time.perf_counter() - seen
        pin([process.pid, *children(process.pid, "pilotage.app.control")], LOAD_CORE)
        return found


def prepare(workspace: Path, others: int, *, split: bool) -> None:
    """Write what governance would: half of all users for each of two releases, and more use cases of the same kind."""
    from pilotage.store.sqlite import SqliteStore
    from pilotage.store.workspace import Workspace

    store = SqliteStore(Workspace(workspace).state)
    with store.write() as tx:
        route = json.loads(next(row.body for row in tx.serving.changed(0) if row.use_case == "bench"))
        if split:
            baseline, candidate = sorted(route["releases"], reverse=True)[:2]
            sides = {"baseline": baseline, "candidate": candidate}
            route["allocation"] = {"rollout": "bench-1", **sides, "step": 0, "share": 500_000, "generation": 1}
            route["blind_after"] = 86_400_000_000
        for name in ("bench", *[f"bench{number}" for number in range(others)]):
            tx.serving.put(name, json.dumps({**route, "use_case": name}).encode())
    store.close()


def compare(proxies: list[Proxy], unary: int, streamed: int, rounds: int) -> dict[str, dict[str, float]]:
    """Measure in turns, so that a noisy moment meets them all; return the medians."""
    found: dict[str, list[dict[str, float]]] = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        for proxy in proxies:
            us, rate = proxy.cost(proxy.plan(), unary // rounds)
            event, _ = proxy.cost(proxy.plan(stream=True), streamed // rounds)
            found[proxy.name].append({"unary_us": us, "event_us": event / (EVENTS + 2), "requests_a_second": rate})
    results = {}
    for proxy in proxies:
        rows = found[proxy.name]
        result = {figure: sorted(row[figure] for row in rows)[len(rows) // 2] for figure in rows[0]}
        result["megabytes"] = memory(proxy.pids)
        result["ready_s"] = proxy.ready
        results[proxy.name] = result
        print(
            f"{proxy.name:10} {result['unary_us']:8.0f} us a request {result['event_us']:8.1f} us a streamed event"
            f" {result['requests_a_second']:8.0f} requests/s {result['megabytes']:6.0f} MB"
            + (f" ready in {result['ready_s']:.2f} s" if result["ready_s"] else ""),
            flush=True,
        )
    for proxy in proxies:
        if "nginx" in results and proxy.name != "nginx":
            for figure, words in (("unary_us", "a unary request"), ("event_us", "a streamed event")):
                ratio = results[proxy.name][figure] / max(results["nginx"][figure], 0.1)
                print(f"{proxy.name} spends {ratio:.1f} times nginx's processor time on {words}")
    return results


def table(title: str, proxies: list[Proxy], points: list[Any], cost: Callable[[Proxy, Any], float]) -> None:
    print(f"\n{title}: microseconds a request")
    print(" " * 10 + "".join(f"{point!s:>10}" for point in points))
    for proxy in proxies:
        print(f"{proxy.name:10}" + "".join(f"{cost(proxy, point):10.0f}" for point in points), flush=True)


def sweep(bench: Bench, nginx: Proxy | None, pilotage: Proxy) -> None:
    both = [proxy for proxy in (nginx, pilotage) if proxy]
    sizes = [0, 1_000, 10_000, 100_000, 1_000_000]
    table("by bytes of question", both, sizes, lambda p, n: p.cost(p.plan(size=n), 200 if n > 500_000 else 2000)[0])
    table("by connections", both, [1, 10, 100, 1000], lambda p, n: p.cost(p.plan(), 8000, n)[0])
    print("\nby use cases, asked in turn: microseconds a request, megabytes, seconds to be ready")
    for others in (0, 9, 99, 999):
        many = bench.pilotage("many", others=others) if others else pilotage
        models = ["bench", *[f"bench{number}" for number in range(others)]]
        us, _ = many.cost(many.plan(model=models), 8000)
        print(f"{others + 1:6} {us:8.0f} us {memory(many.pids):6.0f} MB {many.ready:6.2f} s", flush=True)
    print("\ndelay in milliseconds at a fixed rate, from when a request was due")
    upstream = Proxy("upstream", [], bench.upstream)
    for rate in (200, 1000):
        for proxy in (upstream, *both):
            delays = run(open_loop(proxy.address, proxy.plan(), rate, 10))
            marks = "".join(f"  p{share * 100:g} {percentile(delays, share) * 1e3:6.2f}" for share in (0.5, 0.9, 0.99))
            print(f"{rate:6} a second  {proxy.name:10}{marks}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unary", type=int, default=30000)
    parser.add_argument("--streamed", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=DIR", help="another version's source tree")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (most, most)
    )  # for a thousand connections, and what is started inherits it
    with tempfile.TemporaryDirectory(prefix="pilotage-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        nginx = bench.nginx()
        others = [bench.pilotage(name, source) for name, _, source in (one.partition("=") for one in options.also)]
        pilotage = bench.pilotage("Pilotage")
        proxies = [proxy for proxy in (nginx, *others, pilotage) if proxy]
        results = compare(proxies, options.unary, options.streamed, options.rounds)
        if options.sweep:
            sweep(bench, nginx, pilotage)
        if options.json:
            print(json.dumps(results))


if __name__ == "__main__":
    main()
