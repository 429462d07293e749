"""A provider of OpenAI's other surfaces, in the shapes that the real one sends, on a real socket in a thread."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "Parcels arrive in three days."
SOUND = bytes(range(256)) * 400
PICTURE = base64.b64encode(b"\x89PNG" + bytes(50)).decode()
VECTOR = [0.25, -0.5, 1.0]
USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    content = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [content]}
    usage = {**USAGE, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "real-model-7",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
        "of a field that is new": 1,
        **more,
    }


def response_events() -> list[dict[str, Any]]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", "delta": f"{word} ", "logprobs": [], **place} for word in "abc"]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response("in_progress", output=[], usage=None)},
        *deltas,
        {"type": "response.of_a_kind_that_is_new", "x": 1},
        {"type": "response.completed", "response": response()},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


class Surfaces:
    """Which way it behaves is the first part of the path; `seen` holds the last request of each."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                _, behaviour, _, surface = self.path.split("/", 3)
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.seen[behaviour] = {"path": self.path, "body": body}
                provider.behave(self, behaviour, surface, body)

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

    def behave(self, handler: BaseHTTPRequestHandler, behaviour: str, surface: str, body: dict[str, Any]) -> None:
        if behaviour == "down":
            self._whole(handler, {"error": {"message": "no"}}, status=500)
        elif behaviour == "garbage":
            self._whole(handler, {"object": "something else"})
        elif surface == "responses" and not body.get("stream"):
            self._whole(handler, response())
        elif surface == "responses":
            events = response_events()
            self._events(handler, events[:3] if behaviour == "breaks" else events)
        elif surface == "embeddings":
            vector: Any = VECTOR
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(b"\0\0\x80>\0\0\0\xbf\0\0\x80?").decode()
            data = [{"object": "embedding", "index": 0, "embedding": vector}]
            usage = {"prompt_tokens": 11, "total_tokens": 11}
            self._whole(handler, {"object": "list", "data": data, "model": "real-model-7", "usage": usage})
        elif surface == "images/generations" and not body.get("stream"):
            self._whole(handler, {"created": 1, "data": [{"b64_json": PICTURE}], "usage": USAGE})
        elif surface == "images/generations":
            picture = {"b64_json": PICTURE, "created_at": 1, "size": "1024x1024", "quality": "low"}
            picture |= {"background": "opaque", "output_format": "png"}
            partial = {"type": "image_generation.partial_image", "partial_image_index": 0, **picture}
            self._events(handler, [partial, {"type": "image_generation.completed", "usage": USAGE, **picture}])
        elif body.get("stream_format") == "sse":
            delta = {"type": "speech.audio.delta", "audio": base64.b64encode(SOUND[:64]).decode()}
            self._events(handler, [delta, {"type": "speech.audio.done", "usage": USAGE}])
        else:
            self._start(handler, "audio/mpeg", chunked=True)
            for start in range(0, len(SOUND), 10_000):
                self._chunk(handler, SOUND[start : start + 10_000])
                if behaviour == "breaks" and start:
                    handler.close_connection = True
                    return
            handler.wfile.write(b"0\r\n\r\n")

    def _whole(self, handler: BaseHTTPRequestHandler, value: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _start(self, handler: BaseHTTPRequestHandler, kind: str, *, chunked: bool) -> None:
        handler.send_response(200)
        handler.send_header("content-type", kind)
        if chunked:
            handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()

    def _chunk(self, handler: BaseHTTPRequestHandler, data: bytes) -> None:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _events(self, handler: BaseHTTPRequestHandler, events: list[dict[str, Any]]) -> None:
        self._start(handler, "text/event-stream", chunked=True)
        for event in events:
            self._chunk(handler, f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        handler.wfile.write(b"0\r\n\r\n")
