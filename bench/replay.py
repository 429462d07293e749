"""How exactly the rehearsal's sender keeps a schedule, seen by who receives: python bench/replay.py [RATE [SECONDS [TRACE.csv]]].

A canned server in another process notes when each request's last byte came; the sender has one core, where the system
lets processes be pinned. Arrival error is the time noted less the time scheduled, from the first request on.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop

from pilotage.staging.replay import Ask, replay
from pilotage.staging.trace import read_trace

BODY = json.dumps(
    {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * 90}}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 90},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
QUESTION = [{"role": "user", "content": "How do I return a jacket? " * 10}]


class Receiver(asyncio.Protocol):
    def __init__(self, seen: list[float]) -> None:
        self.seen, self.buffer = seen, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            if head.startswith(b"GET"):
                said = json.dumps(self.seen).encode()
                self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
                self.buffer = self.buffer[end + 4 :]
                continue
            at = head.find(b"content-length:")
            whole = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < whole:
                return
            self.buffer = self.buffer[whole:]
            self.seen.append(now)
            self.transport.write(ANSWER)


async def receive() -> None:
    seen: list[float] = []
    server: Any = await asyncio.get_running_loop().create_server(lambda: Receiver(seen), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def send(port: int, schedule: list[float]) -> None:
    asks = [Ask(at=at, messages=QUESTION) for at in schedule]
    begins: list[float] = []
    before = time.process_time()
    sent = await replay(f"http://127.0.0.1:{port}", "k", "r", asks, lambda _d, _o: None, begun=begins.append)
    spent = time.process_time() - before
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    seen = json.JSONDecoder().raw_decode((await reader.readuntil(b"]")).decode())[0]
    writer.close()
    assert len(seen) == len(sent) == len(schedule), (len(seen), len(sent))
    assert not any(one.reply.error for one in sent), sent[0]
    errors = np.sort(seen) - begins[0] - np.array(schedule)
    show = [f"{name} {np.quantile(errors, share) * 1000:.2f} ms" for name, share in (("p50", 0.5), ("p99", 0.99))]
    print(
        f"{len(sent)} requests in {schedule[-1]:.1f} s ({len(sent) / schedule[-1]:.0f} a second): arrival error"
        f" {', '.join(show)}, most {errors.max() * 1000:.2f} ms; sender's processor {spent / schedule[-1]:.0%} of a core,"
        f" {spent / len(sent) * 1e6:.0f} us a request"
    )


def main() -> None:
    if sys.argv[1:2] == ["receive"]:
        uvloop.run(receive())
        return
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 2_000.0
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    if len(sys.argv) > 3:
        burst = read_trace(Path(sys.argv[3])).busiest(int(rate * seconds))
        factor = burst[-1].at / 1e6 / seconds
        schedule = [one.at / 1e6 / factor for one in burst]
    else:
        schedule = np.cumsum(np.random.default_rng(1).exponential(1 / rate, int(rate * seconds))).tolist()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with subprocess.Popen([sys.executable, __file__, "receive"], stdout=subprocess.PIPE, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            port = int(receiver.stdout.readline())
            if len(cores) > 1:
                os.sched_setaffinity(receiver.pid, {cores[1]})
                os.sched_setaffinity(0, {cores[0]})
            uvloop.run(send(port, schedule))
        finally:
            receiver.terminate()


if __name__ == "__main__":
    main()
