"""What the runner of evaluations costs a case: `python bench/evaluate.py`.

10,000 cases are asked of a small server in a process of its own that answers after a millisecond. Measured is the
runner's processor time a case, from the first question to the recorded evidence, scoring and keeping among it; then the
same again with every answer kept.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import subprocess
import sys
import time
from typing import Any

from pilotage.evaluation.run import evaluate

RELEASE = "bench/good@0123456789ab"


class Server(asyncio.Protocol):
    """Answers every POST after a millisecond, whatever it asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self._data = body[length:]
        delay = 0.001 if head.startswith(b"POST") else 0.0
        asyncio.get_running_loop().call_later(delay, self._transport.write, REPLY)


ANSWER = json.dumps(
    {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "It takes 30 days."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 6},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)


class Desk:
    """The commands that an evaluation calls, held in memory."""

    def __init__(self, count: int) -> None:
        rows = ({"id": f"c{n}", "text": f"How long, number {n}?", "required": [["30 days"]]} for n in range(count))
        self.blob = "\n".join(map(json.dumps, rows)).encode()
        self.stored: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        match name:
            case "evaluation_plan":
                digest = hashlib.sha256(self.blob).hexdigest()
                cases = [{"path": "cases/all.jsonl", "digest": digest}]
                return {"use_case": "bench", "charter": "c", "candidate": RELEASE, "baseline": "", "cases": cases}
            case "blob":
                return {"data": base64.b64encode(self.blob).decode()}
            case "results":
                return {"results": self.stored.get(arguments["run"], {})}
            case "record_results":
                self.stored.setdefault(arguments["run"], {}).update(arguments["results"])
        return {"id": "e"}


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        gateway = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        desk = Desk(options.cases)
        for what in ("asked", "kept"):
            wall, spent = time.perf_counter(), time.process_time()
            found = asyncio.run(evaluate(desk, gateway, "k", "bench", concurrency=options.concurrency))
            wall, spent = time.perf_counter() - wall, time.process_time() - spent
            assert found[what] == options.cases
            print(
                f"{options.cases:,} cases {what}: {spent / options.cases * 1e3:.3f} ms of processor time a case, {wall:.1f} s"
            )
        server.terminate()


if __name__ == "__main__":
    main()
