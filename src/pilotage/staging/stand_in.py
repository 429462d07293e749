"""A provider's place while a candidate is rehearsed: it behaves as the provider was measured to, and costs nothing.

`python -m pilotage.staging.stand_in BEHAVIOUR.json` prints its port. It answers OpenAI's chat completions below
`/<place>/v1`, each place a provider of its own. `POST /<place>/fault` with `{"kind": ..., "factor": ...}` makes it fail in
one way until the next such word; an empty kind ends that. Its answers are filler: no quality is claimed for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import sys
from collections import deque
from pathlib import Path
from typing import Any, cast

import httptools
import msgspec
import uvloop

from pilotage.staging.behaviour import Behaviour, Sample, alike

OUTAGE, SLOW, LIMITED, MALFORMED = "outage", "slow", "rate_limit", "malformed"
RETRY_AFTER = 1
_LEAST = 0.001
_CHARACTERS_A_TOKEN = 4
_PARENT_SECONDS = 1.0
_SIZES = 256
_WANTED = re.compile(rb"\[(\d{1,6}) tokens\]")
"""What a question of a rehearsal ends with: `questions.WANTED`."""


class _Asked(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = False
    model: str = ""


class _Fault(msgspec.Struct):
    kind: str = ""
    factor: float = 10.0


_ASKED = msgspec.json.Decoder(_Asked)


class Place:
    """One provider's place: how it fares now, and what it was asked in the last minute."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._random = random.Random(1)  # noqa: S311 - it spreads answers, and guards nothing
        self._recent: deque[float] = deque()
        self._near: dict[tuple[int, int | None], list[Sample]] = {}
        self.fault = _Fault()

    def draw(self, asked: _Asked, now: float) -> tuple[int, int, int, float, str]:
        """Return (status, input tokens, output tokens, seconds until the answer, error kind or empty)."""
        tokens_in = max(1, sum(len(bytes(one)) for one in asked.messages) // _CHARACTERS_A_TOKEN)
        bound = asked.max_completion_tokens or asked.max_tokens
        wanted = _WANTED.search(bytes(asked.messages[-1])) if asked.messages else None
        # A trace says how long its answers are, as far as the request's bound lets them be.
        length = min(int(wanted[1]), bound or int(wanted[1])) if wanted else None
        while self._recent and self._recent[0] < now - 60:
            self._recent.popleft()
        quota = self._behaviour.a_minute
        if self.fault.kind == LIMITED or (quota is not None and len(self._recent) >= quota):
            return 429, 0, 0, _LEAST, "status:429"
        self._recent.append(now)
        sample = self._random.choice(self._alike(tokens_in, length))
        tokens_out = length if length is not None else min(sample.output_tokens, bound or sample.output_tokens)
        seconds = max(_LEAST, sample.seconds) * (self.fault.factor if self.fault.kind == SLOW else 1)
        chance = self._random.random()
        for kind, share in self._behaviour.errors.items():
            chance -= share
            if chance < 0:
                return _status(kind), 0, 0, seconds, kind
        return 200, tokens_in, tokens_out, seconds, ""

    def _alike(self, tokens_in: int, length: int | None) -> list[Sample]:
        # Sizes within a tenth are one, so that most draws are a look-up.
        key = _step(tokens_in), None if length is None else _step(length)
        if key not in self._near:
            if len(self._near) > _SIZES:
                self._near.clear()
            self._near[key] = alike(self._behaviour.samples, tokens_in, length)
        return self._near[key]


def _step(size: int) -> int:
    return int(size).bit_length() * 8 + (int(size) >> max(0, int(size).bit_length() - 4)) % 8


def _status(kind: str) -> int:
    """Return the status by which an error kind is made; 0 breaks the connection off."""
    name, _, code = kind.partition(":")
    return int(code) if name == "status" and code.isdecimal() else 0


class Caller(asyncio.Protocol):
    """One connection of a gateway's."""

    def __init__(self, places: dict[str, Place], behaviour: Behaviour) -> None:
        self._places, self._behaviour = places, behaviour
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._url, self._body = b"", bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        with contextlib.suppress(httptools.HttpParserUpgrade):
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, bytearray()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        name, _, path = self._url.decode("latin-1").lstrip("/").partition("/")
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = Place(self._behaviour)
        if path == "fault":
            place.fault = msgspec.json.decode(self._body, type=_Fault)
            self._say(200, b"{}")
            return
        if place.fault.kind == OUTAGE:
            self._transport.abort()
            return
        try:
            asked = _ASKED.decode(self._body)
        except msgspec.DecodeError:
            self._say(400, b'{"error": {"message": "the stand-in takes chat completions", "type": "invalid"}}')
            return
        status, tokens_in, tokens_out, seconds, error = place.draw(asked, self._loop.time())
        self._loop.call_later(seconds, self._answer, place, asked, (status, tokens_in, tokens_out, error))

    def _answer(self, place: Place, asked: _Asked, drawn: tuple[int, int, int, str]) -> None:
        status, tokens_in, tokens_out, error = drawn
        if self._transport.is_closing():
            return
        if status == 0 or place.fault.kind == OUTAGE:
            self._transport.abort()
        elif place.fault.kind == MALFORMED:
            self._say(200, b'{"id": "chatcmpl-stand-in", "choices": [{"message": {"content": "this answer is cut o')
        elif status != 200:
            said = {"error": {"message": f"the stand-in fails as the provider did ({error})", "type": "server_error"}}
            self._say(status, msgspec.json.encode(said))
        else:
            self._say(200, _completion(asked.model, tokens_in, tokens_out))

    def _say(self, status: int, body: bytes) -> None:
        retry = b"retry-after: %d\r\n" % RETRY_AFTER if status == 429 else b""
        head = b"HTTP/1.1 %d Status\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, retry, len(body)) + body)


def _completion(model: str, tokens_in: int, tokens_out: int) -> bytes:
    message = {"role": "assistant", "content": "word " * tokens_out}
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "chatcmpl-stand-in", "object": "chat.completion", "created": 1, "model": model}
    return msgspec.json.encode({**body, "choices": [choice], "usage": usage})


async def serve(behaviour: Behaviour) -> None:
    """Serve until the parent is gone."""
    places: dict[str, Place] = {}
    server: Any = await asyncio.get_running_loop().create_server(
        lambda: Caller(places, behaviour), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - nobody tells of a parent's end
        await asyncio.sleep(_PARENT_SECONDS)


def main() -> int:
    behaviour = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Behaviour)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(behaviour))
    return 0


if __name__ == "__main__":
    sys.exit(main())
