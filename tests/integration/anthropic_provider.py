"""A provider that speaks Anthropic's Messages, in the shapes that the real one sends, on a real socket in a thread."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "claude-real-1"
USAGE: dict[str, Any] = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 1,
    "service_tier": "standard",
}
TEXTS = ["Parcels ", "arrive ", "in three days."]
TOOL = {"type": "tool_use", "id": "toolu_01A", "name": "track", "input": {"parcel": 7}}


def message(content: list[dict[str, Any]], stop_reason: str) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {**USAGE, "output_tokens": 9},
    }


def text_events() -> list[dict[str, Any]]:
    deltas = [{"type": "text_delta", "text": text} for text in TEXTS]
    return [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    ]


def tool_events() -> list[dict[str, Any]]:
    pieces = ["", '{"par', 'cel": 7}']
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        {"type": "content_block_start", "index": 1, "content_block": {**TOOL, "input": {}}},
        *({"type": "content_block_delta", "index": 1, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 1},
    ]


def thinking_events() -> list[dict[str, Any]]:
    block = {"type": "thinking", "thinking": "", "signature": ""}
    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
        {"type": "content_block_stop", "index": 0},
    ]


class Anthropic:
    """Which way it behaves is the first part of the path; `seen` holds the last request's headers and body of each."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                behaviour = self.path.split("/")[1]
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.seen[behaviour] = {"path": self.path, "headers": dict(self.headers), "body": body}
                provider.behave(self, behaviour, body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{behaviour}/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def behave(self, handler: BaseHTTPRequestHandler, behaviour: str, body: dict[str, Any]) -> None:
        if behaviour == "overloaded":
            error = {"type": "overloaded_error", "message": "Overloaded"}
            self._whole(handler, 529, {"type": "error", "error": error, "request_id": "req_1"})
        elif behaviour == "refused":
            error = {"type": "invalid_request_error", "message": "max_tokens: must be smaller"}
            self._whole(handler, 400, {"type": "error", "error": error, "request_id": "req_1"})
        elif handler.path.endswith("/count_tokens"):
            self._whole(handler, 200, {"input_tokens": 14})
        elif not body.get("stream"):
            content: list[dict[str, Any]] = [{"type": "text", "text": "".join(TEXTS)}]
            if behaviour == "thinks":
                content = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, *content]
            calls = bool(body.get("tools"))
            self._whole(
                handler, 200, message([*content, TOOL] if calls else content, "tool_use" if calls else "end_turn")
            )
        else:
            self._stream(handler, behaviour, calls=bool(body.get("tools")))

    def _whole(self, handler: BaseHTTPRequestHandler, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _stream(self, handler: BaseHTTPRequestHandler, behaviour: str, *, calls: bool) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream; charset=utf-8")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        start = {**message([], "end_turn"), "stop_reason": None, "usage": USAGE}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
        if behaviour == "thinks":
            events += thinking_events()
        events += text_events()
        if behaviour == "breaks":
            error = {"type": "overloaded_error", "message": "Overloaded"}
            events.append({"type": "error", "error": error})
        else:
            events += tool_events() if calls else []
            delta = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
            events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
            events += [{"type": "of a kind that is new", "x": 1}, {"type": "message_stop"}]
        for event in events:
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        handler.wfile.write(b"0\r\n\r\n")
