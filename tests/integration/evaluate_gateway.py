"""A small server that speaks a gateway's protocol, for tests: `python evaluate_gateway.py` prints its port.

It answers for the releases `desk/good@...`, `desk/bad@...` (never right), `desk/mute@...` (never answers) and `desk/judge@...` (judges by a rule); a question
may ask for trouble: drop, garbage, refuse, fallback, silent, slow. `GET /log` returns what was asked of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "plt_test_secret"
LOG: list[dict[str, Any]] = []
LOCK = threading.Lock()


def _judged(question: str) -> str:
    """Return a judge's answer by a rule: a reply that repeats the question is right; one that begs is obeyed, in prose."""
    if "beg" in question:
        return "It is right, of course."
    if question.startswith("Which"):
        first, second = question.partition("SECOND REPLY")[::2]
        sides = ["You asked" in first, "You asked" in second]
        return json.dumps({"better": "tie" if sides[0] == sides[1] else "first" if sides[0] else "second"})
    return json.dumps({"verdict": "right" if "You asked" in question else "wrong", "why": "by the rule"})


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one segment: apart, they would wait for each other's acknowledgement.
    wbufsize = -1

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/log":
            with LOCK:
                self._send(200, LOG)
        else:
            self._send(200, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question, model = body["messages"][-1]["content"], body["model"]
        with LOCK:
            LOG.append({"model": model, "question": question, "source": self.headers["x-pilotage-source"]})
        if self.headers["authorization"] != f"Bearer {KEY}":
            self._refuse(401, "no such key")
        elif not model.startswith("desk/"):
            self._refuse(404, "no such model")
        elif "refuse" in question or model.startswith("desk/mute"):
            self._refuse(502, "the provider is down")
        elif "crowded" in question and _crowded(question):
            told = {"patient": "1", "tomorrow": "86400"}
            wait = next((seconds for word, seconds in told.items() if word in question), "")
            self._refuse(429, "too many requests", retry_after=wait)
        elif "drop" in question:
            self.close_connection = True
            self.connection.close()
        elif "garbage" in question:
            self._send(200, ["not", "a", "completion"])
        else:
            if "slow" in question:
                time.sleep(0.3)
            self._answer(question, model)

    def _answer(self, question: str, model: str) -> None:
        text = f"You asked: {question}" if "/good@" in model else "I cannot say."
        if "/judge@" in model:
            text = _judged(question)
        content = None if "silent" in question else text
        usage = {"prompt_tokens": len(question.split()), "completion_tokens": len(text.split())}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
            "usage": usage,
        }
        self._send(200, reply, release=model, served="desk/search@000000000000" if "fallback" in question else "")

    def _refuse(self, status: int, message: str, retry_after: str = "") -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "x"}
        self._send(status, {"error": error}, retry_after=retry_after)

    def _send(self, status: int, body: Any, release: str = "", served: str = "", retry_after: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        named = (("x-pilotage-release", release), ("x-pilotage-served", served), ("retry-after", retry_after))
        for name, value in named:
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def _crowded(question: str) -> bool:
    """Turn each such question away twice."""
    with LOCK:
        return len([one for one in LOG if one["question"] == question]) <= 2


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Gateway)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
