"""A provider that misbehaves on request: OpenAI's protocol down to the bytes, as a process of its own on loopback.

`python upstreams.py` prints its port. `POST /<behaviour>/v1/chat/completions` behaves so; `GET /seen/<behaviour>` says
what it received and what became of it; `GET /open/<behaviour>` lets one go on whose name begins with `gated`: each
test has one of its own, for a provider outlives a test.
"""

from __future__ import annotations

import asyncio
import json
import sys
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Any

WORDS = ["Parcels ", "arrive ", "in ", "three ", "days ", "— ", "usually."]
FLOOD = 256 << 20
CLOSE = "connection: close\r\n"

seen: dict[str, dict[str, Any]] = {}
gates: dict[str, asyncio.Event] = {}


def completion(content: str) -> bytes:
    message = {"role": "assistant", "content": content}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "real-model-7",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            "system_fingerprint": "unknown to Pilotage",
        }
    ).encode()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "real-model-7", "choices": choices}
    return b"data: " + json.dumps({**value, **more}).encode() + b"\n\n"


USAGE = chunk({}, choices=[], usage={"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18})
DONE = b"data: [DONE]\n\n"
STREAM = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in WORDS), chunk({}, "stop")]


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: str, body: bytes, kind: str = "application/json", extra: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        await self.write(head.encode() + body)

    async def start(self, kind: str = "text/event-stream; charset=utf-8") -> None:
        await self.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    async def send(self, data: bytes) -> None:
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.write(b"0\r\n\r\n")

    async def gone(self) -> None:
        """Wait until the caller closes."""
        while await self.reader.read(1024):
            pass

    async def request(self) -> tuple[str, dict[str, str], bytes] | None:
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return lines[0].split(" ")[1], headers, body


async def say(connection: Connection, text: str, *, streamed: bool) -> None:
    """Answer with what was asked, three signs an event; after CALL stand a tool's name and its arguments."""
    if text.startswith("CALL "):
        _, name, arguments = text.split(" ", 2)
        call: dict[str, Any] = {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        pieces = [arguments[at : at + 3] for at in range(0, len(arguments), 3)]
        deltas: list[dict[str, Any]] = [{"tool_calls": [call]}] + [
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces
        ]
        whole: dict[str, Any] = {"tool_calls": [{**call, "function": {"name": name, "arguments": arguments}}]}
        finish = "tool_calls"
    else:
        deltas = [{"content": text[at : at + 3]} for at in range(0, len(text), 3)]
        whole, finish = {"content": text}, "stop"
    if not streamed:
        answer = json.loads(completion(""))
        answer["choices"][0] |= {"message": {"role": "assistant", "content": None, **whole}, "finish_reason": finish}
        await connection.reply("200 OK", json.dumps(answer).encode())
        return
    await connection.start()
    for delta in [{"role": "assistant", "content": ""}, *deltas]:
        await connection.send(chunk(delta))
    await connection.send(chunk({}, finish) + USAGE + DONE)
    await connection.end()


async def respond(connection: Connection, text: str, *, streamed: bool) -> None:
    """The same as a response."""
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    whole: dict[str, Any] = {
        "id": "r",
        "object": "response",
        "model": "real-model-7",
        "status": "completed",
        "output": [item],
    }
    whole["usage"] = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    if not streamed:
        await connection.reply("200 OK", json.dumps(whole).encode())
        return
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": {**whole, "output": [], "status": "x"}}]
    events += [
        {"type": "response.output_text.delta", **at, "delta": text[n : n + 3], "logprobs": []}
        for n in range(0, len(text), 3)
    ]
    events.append({"type": "response.output_text.done", **at, "text": text})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": "response.completed", "response": whole})
    await connection.start()
    for event in events:
        await connection.send(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    await connection.end()


async def behave(
    name: str, connection: Connection, facts: dict[str, Any], headers: dict[str, str], *, first: bool
) -> bool:
    """Answer one request; return whether the connection may be used again."""
    body = facts["body"]
    streamed = bool(body.get("stream"))
    if name.startswith("status-"):
        code = name.removeprefix("status-")
        said = json.dumps({"error": {"message": f"the provider says {code}", "type": "t", "param": "temperature"}})
        await connection.reply(f"{code} Whatever", said.encode(), extra="location: http://127.0.0.1:1/elsewhere\r\n")
        return True
    match name:
        case "ok" | "echo":
            said = json.dumps({"headers": headers, "body": body}) if name == "echo" else "".join(WORDS)
            if not streamed:
                await connection.reply("200 OK", completion(said))
                return True
            await connection.start()
            for event in STREAM:
                await connection.send(event)
            if (body.get("stream_options") or {}).get("include_usage"):
                await connection.send(USAGE)
            await connection.send(DONE)
            await connection.end()
            return True
        case "say":
            if facts["path"].endswith("/responses"):
                await respond(connection, body["input"], streamed=streamed)
            else:
                await say(connection, body["messages"][-1]["content"], streamed=streamed)
            return True
        case "twice":
            # What is asked is two answers, with a bar between: the one is given first, the other when asked again.
            responds = facts["path"].endswith("/responses")
            given = body["input"] if responds else body["messages"]
            turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
            answers = next(turn["content"] for turn in turns if turn.get("role") == "user").split(" | ")
            again = any(turn.get("role") == "assistant" for turn in turns)
            text = answers[-1] if again else answers[0]
            if text == "BREAK":
                await connection.reply("500 Broken", b"{}")
            else:
                await (respond if responds else say)(connection, text, streamed=streamed)
            return True
        case "pieces":
            # Single bytes, CRLF, a comment first, data over two lines.
            await connection.start()
            events = [b": warming up\n\n", *STREAM, USAGE, DONE]
            events[2] = events[2].replace(b', "choices"', b',\ndata: "choices"')
            for byte in b"".join(events).replace(b"\n", b"\r\n"):
                await connection.send(bytes([byte]))
            await connection.end()
        case "stale":
            if not first:
                # What a server does that closes an idle connection just as the next request arrives.
                return False
            await connection.reply("200 OK", completion("".join(WORDS)))
            return True
        case "hang":
            await connection.gone()
            facts["gone"] += 1
        case "stall":
            await connection.start()
            for event in STREAM[:3]:
                await connection.send(event)
            await connection.gone()
            facts["gone"] += 1
        case _ if name.startswith("gated"):
            await connection.start()
            for event in STREAM[:3]:
                await connection.send(event)
            await gates.setdefault(name, asyncio.Event()).wait()
            for event in [*STREAM[3:], DONE]:
                await connection.send(event)
            await connection.end()
        case "slow":
            # Every second of those that say so waits for ever.
            waits = body["messages"][-1]["content"] == "WAIT"
            facts["waits"] = facts.get("waits", 0) + waits
            if not waits or facts["waits"] % 2 == 0:
                return await behave("ok", connection, facts, headers, first=first)
            await connection.gone()
            facts["gone"] += 1
        case "flood":
            await connection.start()
            event = chunk({"content": "x" * 16_000})
            try:
                while facts["written"] < FLOOD:
                    await connection.send(event)
                    facts["written"] += len(event)
            except ConnectionError:
                facts["gone"] += 1
                return False
            await connection.send(chunk({}, "stop") + DONE)
            await connection.end()
        case "garbage":
            await connection.reply("200 OK", b"<<< not JSON >>>", extra=CLOSE)
        case "not-text":
            await connection.reply("200 OK", completion("?").replace(b"?", b"\xff"), extra=CLOSE)
        case "bottomless":
            await connection.reply("200 OK", b'{"choices": ' + b"[" * 100_000, extra=CLOSE)
        case "not-http":
            await connection.write(b"220 mail.example ESMTP ready\r\n")
        case "wrong-type":
            await connection.reply("200 OK", b"<html>Please sign in</html>", "text/html", CLOSE)
        case "half-event":
            await connection.start()
            await connection.send(STREAM[0])
            await connection.send(STREAM[1] + STREAM[2][:40])
        case "half-body":
            whole = completion("".join(WORDS))
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(whole)}\r\n\r\n"
            await connection.write(head.encode() + whole[:60])
        case "no-done":
            await connection.start()
            for event in STREAM[:4]:
                await connection.send(event)
            await connection.end()
        case "finished-no-done":
            await connection.start()
            for event in STREAM:
                await connection.send(event)
            await connection.end()
        case "empty-stream":
            await connection.start()
            await connection.send(DONE)
            await connection.end()
        case "bad-event":
            await connection.start()
            await connection.send(STREAM[0] + STREAM[1] + b"data: {not json}\n\n" + STREAM[2])
            await connection.end()
        case "bad-utf8":
            await connection.start()
            await connection.send(STREAM[0] + STREAM[1] + STREAM[2].replace(b"arrive", b"arr\xff\xfe"))
            await connection.end()
        case "huge-event":
            await connection.start()
            await connection.send(
                STREAM[0] + STREAM[1] + chunk({"content": "x" * (10 << 20)}) + chunk({}, "stop") + DONE
            )
            await connection.end()
        case "bad-chunking":
            await connection.start()
            await connection.send(STREAM[0] + STREAM[1])
            await connection.write(b"zz\r\n" + STREAM[2] + b"\r\n")
        case "resets":
            await connection.start()
            await connection.send(STREAM[0] + STREAM[1])
            connection.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
            connection.writer.transport.abort()
        case "drips":
            await connection.start()
            await connection.send(STREAM[0])
            try:
                while True:
                    await connection.send(STREAM[1])
                    await asyncio.sleep(0.02)
            except ConnectionError:
                facts["gone"] += 1
        case "long-body":
            # More than it said it would be, at once: what comes later looks like the answer to the next request.
            whole = completion("".join(WORDS))
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(whole)}\r\n\r\n"
            await connection.write(head.encode() + whole + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse")
        case "error-first" | "error-later":
            await connection.start()
            if name == "error-later":
                await connection.send(STREAM[0] + STREAM[1])
            await connection.send(b'data: {"error": {"message": "overloaded", "code": 529}}\n\n')
            await connection.end()
        case "huge":
            await connection.reply("200 OK", completion("x" * (20 << 20)), extra=CLOSE)
        case "closes":
            pass
        case _:
            await connection.reply("404 Not Found", b"{}", extra=CLOSE)
    return False


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = Connection(reader, writer)
    try:
        first = True
        while True:
            request = await connection.request()
            if request is None:
                return
            path, headers, body = request
            name = path.split("/")[1]
            if name == "seen":
                await connection.reply("200 OK", json.dumps(seen.get(path.split("/")[2], {})).encode())
                continue
            if name == "open":
                gates.setdefault(path.split("/")[2], asyncio.Event()).set()
                await connection.reply("200 OK", b"{}")
                continue
            facts = seen.setdefault(name, {"requests": 0, "connections": 0, "gone": 0, "written": 0})
            facts["requests"] += 1
            facts["connections"] += first
            facts["path"], facts["headers"], facts["body"] = path, headers, json.loads(body)
            if not await behave(name, connection, facts, headers, first=first):
                return
            first = False
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=8 << 20)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
