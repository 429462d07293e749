"""Processor time a request at the gateway, beside nginx as a plain proxy, in one run with one canned upstream.

    make bench                         20,000 unary and 1,000 streamed requests against each
    make bench ARGS="--unary 50000"

What is compared is processor time (from /proc/PID/task/*/schedstat) of the proxy's own processes for each request, so the
load generator's and the upstream's share do not count. It is a ratio between two programs on one machine in one run:
read the ratio, not the microseconds. nginx does no work but proxying; Pilotage authenticates, assigns, and records two
events for each request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
EVENTS = 50
USE_CASE = """
name = "bench"
owner = "bench"
[upstreams.canned]
base_url = "http://127.0.0.1:{port}/v1"
[variants.plain]
upstream = "canned"
model = "canned"
"""
NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
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


async def load(url: str, key: str, model: str, requests: int, stream: bool, connections: int = 16) -> float:
    """Send the requests over keep-alive connections, closed loop, and return the seconds it took."""
    body = {"model": model, "messages": [{"role": "user", "content": "How do I return a jacket?"}], "stream": stream}
    left = iter(range(requests))

    async def one(session: aiohttp.ClientSession) -> None:
        for index in left:
            headers = {"Authorization": f"Bearer {key}", "x-pilotage-unit": f"u{index}"}
            async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
                data = await reply.read()
                if reply.status != 200 or (stream and b"[DONE]" not in data):
                    sys.exit(f"{url} answered {reply.status}: {data[:300]!r}")

    started = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one(session))
    return time.perf_counter() - started


def measure(name: str, pids: list[int], url: str, key: str, model: str, unary: int, streamed: int) -> dict[str, float]:
    asyncio.run(load(url, key, model, 200, False))
    before = cpu(pids)
    seconds = asyncio.run(load(url, key, model, unary, False))
    middle = cpu(pids)
    asyncio.run(load(url, key, model, streamed, True))
    after = cpu(pids)
    result = {
        "unary_us": (middle - before) / unary * 1e6,
        "event_us": (after - middle) / streamed / (EVENTS + 2) * 1e6,
        "requests_a_second": unary / seconds,
        "megabytes": memory(pids),
    }
    print(
        f"{name:10} {result['unary_us']:8.0f} us a request {result['event_us']:8.1f} us a streamed event"
        f" {result['requests_a_second']:8.0f} requests/s {result['megabytes']:6.0f} MB",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unary", type=int, default=20000)
    parser.add_argument("--streamed", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pilotage-bench-"))
    pilotage = str(Path(sys.executable).with_name("pilotage"))
    workspace = str(folder / "workspace")
    processes: list[subprocess.Popen[str]] = []
    results: dict[str, dict[str, float]] = {}
    try:
        port = free_port()
        command = [sys.executable, str(HERE / "upstream.py"), str(port), str(EVENTS)]
        upstream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(upstream)
        assert upstream.stdout is not None
        upstream.stdout.readline()
        if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"):
            proxy = free_port()
            config = folder / "nginx.conf"
            config.write_text(NGINX.format(folder=folder, port=proxy, upstream=port))
            process = subprocess.Popen([nginx, "-c", str(config), "-p", str(folder)], text=True)
            processes.append(process)
            time.sleep(0.5)
            results["nginx"] = measure(
                "nginx", [process.pid], f"http://127.0.0.1:{proxy}", "none", "canned", options.unary, options.streamed
            )
        else:
            print("nginx is not installed: no ratio, only Pilotage's own figures")
        (folder / "case").mkdir()
        (folder / "case" / "usecase.toml").write_text(USE_CASE.format(port=port))
        subprocess.run([pilotage, "apply", str(folder / "case"), "--workspace", workspace], check=True)
        made = subprocess.run(
            [pilotage, "keys", "create", "bench", "--role", "infer", "--workspace", workspace, "--json"],
            check=True,
            capture_output=True,
            text=True,
        )
        key = json.loads(made.stdout)["secret"]
        door = free_port()
        serve = [pilotage, "serve", "--workspace", workspace, "--workers", "1", "--port", str(door)]
        process = subprocess.Popen([*serve, "--control-port", "0"], text=True, stdout=subprocess.DEVNULL)
        processes.append(process)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{door}/readyz", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        workers = children(process.pid, "pilotage.app.worker")
        url = f"http://127.0.0.1:{door}"
        results["pilotage"] = measure("Pilotage", workers, url, key, "bench", options.unary, options.streamed)
        if "nginx" in results:
            for figure, words in (("unary_us", "a unary request"), ("event_us", "a streamed event")):
                ratio = results["pilotage"][figure] / max(results["nginx"][figure], 0.1)
                print(f"Pilotage spends {ratio:.1f} times nginx's processor time on {words}")
        if options.json:
            print(json.dumps(results))
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
