"""Load on a gateway: raw HTTP/1.1 over keep-alive connections, so that what is measured is not the client.

Closed loop (each connection sends its next request when the last is answered) or open loop (requests leave at a fixed
rate whether or not earlier ones are answered, so that a slow answer delays no other: no coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

USERS = 5_000
QUESTION = "How do I return a jacket?"
END, TAIL = b"\r\n\r\n", b"\r\n0\r\n\r\n"


class Plan:
    """What is sent: the request of a unit, as bytes."""

    def __init__(
        self,
        key: str,
        model: str | list[str],
        *,
        stream: bool = False,
        size: int = 0,
        events: int = 0,
        headers: bytes = b"",
    ) -> None:
        """`size` is the bytes of the question, `events` how many the answer's stream has (0: as many as the upstream's usual)."""
        content = QUESTION + " " + "x" * max(0, size - len(QUESTION)) if size else QUESTION
        self._models = [model] if isinstance(model, str) else model
        self._stream = stream
        self._key, self._headers = key, headers
        messages = [{"role": "user", "content": content}]
        told: dict[str, Any] = {"messages": messages, "stream": stream, **({"max_tokens": events} if events else {})}
        self._bodies = [json.dumps({"model": model, **told}).encode() for model in self._models]

    def request(self, number: int) -> bytes:
        body = self._bodies[number % len(self._bodies)]
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\naccept: */*\r\naccept-encoding: gzip\r\n"
            b"content-type: application/json\r\nuser-agent: bench\r\n"
            b"authorization: Bearer %b\r\n%bx-pilotage-unit: u%d\r\ncontent-length: %d\r\n\r\n%b"
        ) % (self._key.encode(), self._headers, number % USERS, len(body), body)

    @property
    def stream(self) -> bool:
        return self._stream


class Client(asyncio.Protocol):
    """One connection. `answered` is called with the client after each whole answer."""

    def __init__(self, stream: bool, answered: Callable[[Client], None]) -> None:
        self.stream, self.answered = stream, answered
        self.buffer = b""
        self.need = -1
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.stream:
            # Chunks pass by unread: only the last few bytes tell the end.
            if not self.buffer and not data.startswith(b"HTTP/1.1 200"):
                self.fail(data)
            self.buffer = (self.buffer + data)[-64:]
            if self.buffer.endswith(TAIL):
                if b"[DONE]" not in self.buffer:
                    self.fail(self.buffer)
                self.buffer = b""
                self.answered(self)
            return
        self.buffer = self.buffer + data if self.buffer else data
        if self.need < 0:
            end = self.buffer.find(END)
            if end < 0:
                return
            if not self.buffer.startswith(b"HTTP/1.1 200"):
                self.fail(self.buffer)
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            if at < 0:
                # In chunks.
                if not self.buffer.endswith(TAIL):
                    return
                self.need = len(self.buffer)
            else:
                self.need = end + 4 + int(head[at + 15 : at + 27].split(b"\r\n", 1)[0])
        if len(self.buffer) >= self.need:
            self.buffer, self.need = b"", -1
            self.answered(self)

    def fail(self, said: bytes) -> None:
        sys.exit(f"an answer that is none: {said[:400]!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.buffer or self.need >= 0:
            self.fail(b"the connection was closed: %r" % (exc,))


async def connect(address: tuple[str, int], count: int, make: Callable[[], Client]) -> list[Client]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(make, *address))[1] for _ in range(count)]


async def closed_loop(
    address: tuple[str, int], plan: Plan, requests: int, connections: int = 16, at_once: int = 64
) -> float:
    """Send the requests, the connections in turn and so many at one time, and return the seconds it took."""
    done = asyncio.get_running_loop().create_future()
    left: Iterator[int] = iter(range(requests))
    answers = 0

    free: deque[Client] = deque()

    def answered(client: Client) -> None:
        nonlocal answers
        answers += 1
        free.append(client)
        if (number := next(left, None)) is not None:
            free.popleft().send(plan.request(number))
        elif answers == requests:
            done.set_result(None)

    clients = await connect(address, connections, lambda: Client(plan.stream, answered))
    free.extend(clients)
    started = time.perf_counter()
    for _ in range(min(at_once, connections)):
        if (number := next(left, None)) is not None:
            free.popleft().send(plan.request(number))
    await done
    took = time.perf_counter() - started
    for client in clients:
        client.transport.close()
    return took


async def open_loop(address: tuple[str, int], plan: Plan, rate: float, seconds: float) -> list[float]:
    """Send at a fixed rate; return each answer's delay in seconds, counted from when its request was due, sorted."""
    loop = asyncio.get_running_loop()
    free: deque[Client] = deque()
    delays: list[float] = []
    due: dict[Client, float] = {}
    opened: list[Client] = []

    def answered(client: Client) -> None:
        delays.append(time.perf_counter() - due.pop(client))
        free.append(client)

    async def one() -> Client:
        _, client = await loop.create_connection(lambda: Client(plan.stream, answered), *address)
        opened.append(client)
        return client

    for _ in range(32):
        free.append(await one())
    began, number, total = time.perf_counter(), 0, int(rate * seconds)
    while number < total:
        now = time.perf_counter() - began
        while number < total and number / rate <= now:
            client = free.popleft() if free else await one()
            due[client] = began + number / rate
            client.send(plan.request(number))
            number += 1
        await asyncio.sleep(max(0.0005, number / rate - (time.perf_counter() - began)))
    while due:  # noqa: ASYNC110 - answers come in any order
        await asyncio.sleep(0.01)
    for client in opened:
        client.transport.close()
    return sorted(delays)


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def run(work: Any) -> Any:
    import uvloop

    return uvloop.run(work)
