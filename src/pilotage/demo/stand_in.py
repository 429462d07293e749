"""The stand-in provider: an OpenAI-protocol server that needs no key and no download.

`python -m pilotage.demo.stand_in --knowledge DIR --port N` fits itself over the articles in DIR at start-up, in well
under a second, and then generates: it retrieves, plans, and writes token by token from an n-gram and copy model. It is
here so that the whole road can be walked with real requests; no quality is claimed for it.

On SIGUSR1 every model answers as the careless one does from then on, under the same name as before: a provider that has
swapped a model and tells nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
import xxhash

from pilotage.demo.answers import CARELESS, MODELS, Answers
from pilotage.demo.articles import read_articles
from pilotage.demo.protocol import Completion, Fault, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST = 1 << 20
_DEFAULT_TEMPERATURE = 1.0
_WORSE_TEMPERATURE = 1.4
_JSON = [(b"content-type", b"application/json")]
_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class StandIn:
    """The ASGI application. `first` and `each` are seconds before a reply and between a stream's tokens."""

    def __init__(self, answers: Answers, *, first: float = 0.0, each: float = 0.0) -> None:
        self._answers, self._first, self._each = answers, first, each
        self._worse = False
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "pilotage-stand-in"} for name in MODELS]
        self._models = msgspec.json.encode({"object": "list", "data": models})

    def worsen(self) -> None:
        """Answer worse from now on, whatever model is asked for, and say nothing of it."""
        self._worse = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._route(scope["method"], scope["path"], receive, send)
        except Fault as fault:
            await _reply(send, fault.status, fault.body)

    async def _route(self, method: str, path: str, receive: Receive, send: Send) -> None:
        match method, path:
            case "POST", "/v1/chat/completions":
                await self._complete(await _body(receive), receive, send)
            case "GET", "/v1/models":
                await _reply(send, 200, self._models)
            case _, ("/v1/chat/completions" | "/v1/models"):
                raise Fault(405, f"{method} is not for {path}", code="method_not_allowed")
            case _:
                raise Fault(404, f"nothing is at {path}", code="not_found")

    async def _complete(self, body: bytes, receive: Receive, send: Send) -> None:
        request = read(body)
        temperature = _DEFAULT_TEMPERATURE if request.temperature is None else request.temperature
        # The same conversation gets the same reply: by the caller's seed, else by what was said.
        said = xxhash.xxh3_64_intdigest(msgspec.json.encode([request.messages, request.model, temperature]))
        seed = said if request.seed is None else said ^ request.seed
        model, heat = (CARELESS, _WORSE_TEMPERATURE) if self._worse else (request.model, temperature)
        written = self._answers.answer(model, request.question, temperature=heat, limit=request.limit, seed=seed)
        completion = Completion(request, written, seed & (1 << 64) - 1)
        if self._first:
            await asyncio.sleep(self._first)
        if not request.stream:
            await _reply(send, 200, completion.whole())
            return
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
        gone = asyncio.ensure_future(receive()) if self._each else None
        try:
            for event in completion.events():
                # Waiting for the client to go away is how the time between two tokens is spent.
                if gone is not None and (await asyncio.wait([gone], timeout=self._each))[0]:
                    return
                await send({"type": "http.response.body", "body": event, "more_body": True})
        finally:
            if gone is not None:
                gone.cancel()
        await send({"type": "http.response.body"})


async def _body(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Fault(400, "the client went away before its request was whole")
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            raise Fault(413, f"the body is larger than {LARGEST:,} bytes")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _reply(send: Send, status: int, body: bytes) -> None:
    headers = [*_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(app: StandIn, listener: socket.socket, *, announce: bool) -> None:
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none", server_header=False)
    server = uvicorn.Server(config)
    if announce:
        # The socket listens already: whoever connects from now on is answered as soon as the loop runs.
        host, port = listener.getsockname()[:2]
        print(f"http://{host}:{port}/v1", flush=True)  # noqa: T201 - the parent reads it
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, app.worsen)
    await server.serve(sockets=[listener])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pilotage.demo.stand_in", description="Serve the stand-in model.")
    parser.add_argument("--knowledge", type=Path, required=True, help="the folder of articles (*.md) that it knows")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8790, help="0 takes any free one")
    parser.add_argument("--announce", action="store_true", help="print the base URL when it is ready")
    parser.add_argument("--first-token-ms", type=float, default=0.0, help="wait before each reply")
    parser.add_argument("--token-ms", type=float, default=0.0, help="wait between a stream's tokens")
    given = parser.parse_args(arguments)
    try:
        answers = Answers(read_articles(given.knowledge))
    except (ValueError, OSError) as fault:
        parser.error(str(fault))
    app = StandIn(answers, first=given.first_token_ms / 1000, each=given.token_ms / 1000)
    with socket.create_server((given.host, given.port), backlog=1024) as listener:
        uvicorn_loop = uvicorn.Config(app).get_loop_factory()
        with asyncio.Runner(loop_factory=uvicorn_loop) as runner:
            runner.run(serve(app, listener, announce=given.announce))
    return 0


if __name__ == "__main__":
    sys.exit(main())
