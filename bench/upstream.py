"""A canned OpenAI-protocol server for benchmarks: one write an answer or an event, no delay, no work. A model whose name
begins with "broken" gets 500.

python bench/upstream.py PORT [EVENTS]
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from functools import lru_cache
from typing import Any, cast

import uvloop

WORDS = [
    "you",
    "can",
    "return",
    "it",
    "within",
    "forty",
    "five",
    "days",
    "of",
    "delivery",
    "and",
    "we",
    "refund",
    "what",
    "it",
    "cost",
]
_UNBOUND = 1000
"""What a request without a bound is given by the use case that is measured: it asks for the usual stream."""
_WANTED = re.compile(rb'"max_tokens":(\d+)')
UNARY = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "canned",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "You can return it within 45 days of delivery. " * 8},
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 90, "total_tokens": 150},
    }
).encode()


def event(content: str | None) -> bytes:
    """Return one SSE event in a chunk of its own."""
    if content is None:
        data = b"data: [DONE]\n\n"
    else:
        body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "canned"}
        choice = {"index": 0, "delta": {"content": content}, "finish_reason": None if content else "stop"}
        data = b"data: " + json.dumps({**body, "choices": [choice]}).encode() + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@lru_cache
def stream(events: int) -> list[bytes]:
    """Return a stream of so many events, and the two that end it."""
    said = [event(f" {WORDS[number % len(WORDS)]}") for number in range(events)]
    return [*said, event(""), event(None) + b"0\r\n\r\n"]


class Canned(asyncio.Protocol):
    def __init__(self, events: int) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(UNARY)
        self.unary = head + UNARY
        self.broken = (
            b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        )
        self.usual = events
        self.events = stream(events)
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        cast("socket.socket", transport.get_extra_info("socket")).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            body = body.replace(b" ", b"")
            if b'"model":"broken' in body:
                self.transport.write(self.broken)
            elif b'"stream":true' in body:
                wanted = _WANTED.search(body)
                self.events = stream(self.usual if wanted is None or int(wanted[1]) == _UNBOUND else int(wanted[1]))
                self.transport.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                asyncio.get_running_loop().call_soon(self.stream, 0)
            else:
                self.transport.write(self.unary)

    def stream(self, index: int) -> None:
        if index < len(self.events) and not self.transport.is_closing():
            self.transport.write(self.events[index])
            asyncio.get_running_loop().call_soon(self.stream, index + 1)


async def main(port: int, events: int) -> None:
    loop = asyncio.get_running_loop()
    server: Any = await loop.create_server(lambda: Canned(events), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50))
