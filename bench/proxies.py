"""The programs that are measured, each started before one canned upstream and kept on a core of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from files import ENVOY, EVERYTHING, NGINX, PROMPT
from load import Plan, closed_loop, run

HERE = Path(__file__).parent
LOAD_CORE, PROXY_CORE = 0, 1
PATIENCE = 120.0
"""Seconds until a proxy listens."""


class Proxy:
    """Something that is measured: its processes, where it listens, and what it is asked for."""

    def __init__(
        self,
        name: str,
        pids: list[int],
        port: int,
        key: str = "none",
        model: str = "canned",
        *,
        effort: float = 1.0,
        headers: bytes = b"",
        streams: bool = True,
    ) -> None:
        """`effort` is the part of the requests that it gets, `headers` what it is told beside with each."""
        self.name, self.pids, self.key, self.model = name, pids, key, model
        self.effort, self.headers, self.streams = effort, headers, streams
        self.address = ("127.0.0.1", port)
        self.ready = 0.0
        """Seconds from when its process was there."""
        pin(pids, PROXY_CORE)

    def plan(self, **more: Any) -> Plan:
        return Plan(self.key, more.pop("model", self.model), headers=self.headers, **more)

    def cost(self, plan: Plan, requests: int, connections: int = 16, at_once: int = 64) -> tuple[float, float]:
        """Return (microseconds of processor time, answers a second)."""
        requests = max(40, int(requests * self.effort))
        run(closed_loop(self.address, plan, min(200, requests), min(connections, 16), at_once))
        before = cpu(self.pids)
        seconds = run(closed_loop(self.address, plan, requests, connections, at_once))
        return (cpu(self.pids) - before) / requests * 1e6, requests / seconds


class Bench:
    def __init__(self, folder: Path, stack: ExitStack, *, events: int, port: int = 0) -> None:
        self.folder, self.stack = folder, stack
        self.upstream = port or free_port()
        process = self.start([sys.executable, str(HERE / "upstream.py"), str(self.upstream), str(events)], pipe=True)
        assert process.stdout is not None
        process.stdout.readline()
        pin([process.pid, os.getpid()], LOAD_CORE)

    def start(
        self, command: list[str], *, pipe: bool = False, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        out = subprocess.PIPE if pipe else subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=out, stderr=None if pipe else out, text=True, env=environment)

        def stop() -> None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)

        self.stack.callback(stop)
        return process

    def nginx(self) -> Proxy | None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            print("nginx is not installed: no ratio, only the others' own figures")
            return None
        config = self.folder / "nginx.conf"
        return self._plain("nginx", [program, "-c", str(config), "-p", str(self.folder)], config, NGINX)

    def envoy(self) -> Proxy | None:
        found = importlib.util.find_spec("envoy")
        packed = Path(found.origin).parent / "_bin" / "envoy" if found is not None and found.origin else None
        program = shutil.which("envoy") if packed is None or not packed.exists() else str(packed)
        if program is None:
            print("Envoy is not installed (requirements/bench.txt): it is left out")
            return None
        config = self.folder / "envoy.yaml"
        quiet = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
        return self._plain("Envoy", [program, "-c", str(config), *quiet], config, ENVOY)

    def peer(self, name: str, port: int) -> Proxy:
        """Return a proxy that somebody else started, by the port that it listens on."""
        return Proxy(name, listening(port), port)

    def _plain(self, name: str, command: list[str], config: Path, text: str) -> Proxy:
        port = free_port()
        config.write_text(text.format(folder=self.folder, port=port, upstream=self.upstream))
        return waited_for(name, self.start(command), port)

    def pilotage(
        self,
        name: str,
        source: str = "",
        *,
        file: str = EVERYTHING,
        prompt: str = PROMPT,
        retention: str = "none",
        others: int = 0,
    ) -> Proxy:
        """Start a server of one worker; `others` is how many more use cases it serves."""
        pilotage = [sys.executable, "-m", "pilotage"]
        folder = self.folder / f"{name}-{others}"
        case, workspace = folder / "case", str(folder / "workspace")
        case.mkdir(parents=True)
        (case / "usecase.toml").write_text(file.format(port=self.upstream, retention=retention))
        (case / "prompt.md").write_text(prompt)
        environment = {**os.environ, "PYTHONPATH": source} if source else None

        def command(*words: str) -> str:
            made = [*pilotage, *words, "--workspace", workspace]
            return subprocess.run(made, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout

        command("apply", str(case))
        key = json.loads(command("keys", "create", "bench", "--role", "infer", "--json"))["secret"]
        split = ["--split"] if file == EVERYTHING else []
        prepare = [sys.executable, str(HERE / "prepare.py"), workspace, str(others), *split]
        subprocess.run(prepare, check=True, env=environment)
        door = free_port()
        server = [*pilotage, "serve", "--workspace", workspace, "--workers", "1", "--port", str(door)]
        process = self.start([*server, "--control-port", "0"], environment=environment)
        while not (workers := children(process.pid, "pilotage.app.worker")):
            if process.poll() is not None:
                sys.exit(f"the server of {name} ended with code {process.returncode} before it served")
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


def waited_for(name: str, process: subprocess.Popen[str], port: int, **more: Any) -> Proxy:
    """Return the proxy that a process becomes as soon as it listens."""
    seen = time.perf_counter()
    while time.perf_counter() - seen < PATIENCE:
        if process.poll() is not None:
            sys.exit(f"{name} ended with code {process.returncode} before it listened")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.01)
    found = Proxy(name, listening(port), port, **more)
    found.ready = time.perf_counter() - seen
    return found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def processes() -> dict[int, Path]:
    return {int(entry.name): entry for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def children(pid: int, word: str) -> list[int]:
    """Return pids of the processes below `pid` whose command line holds `word`."""
    found: list[int] = []
    for child, entry in processes().items():
        try:
            parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
        except (OSError, IndexError):
            continue
        if parent == pid and word in line:
            found.append(child)
    return found


def listening(port: int) -> list[int]:
    """Return pids of the processes that hold the socket which listens on a port of this machine."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port}
    found: list[int] = []
    for pid, entry in processes().items():
        try:
            if any(str(one.readlink()) in sockets for one in (entry / "fd").iterdir()):
                found.append(pid)
        except OSError:
            continue
    return found or sys.exit(f"nobody listens on port {port}")


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
