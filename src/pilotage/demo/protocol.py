"""The stand-in's side of OpenAI's chat completions: requests read strictly, replies encoded by hand for speed."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.clock import SECOND, SystemClock
from pilotage.demo.answers import MODELS
from pilotage.demo.writer import Written, count_tokens

DEFAULT_LIMIT = 512


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return " ".join(part.text for part in self.content or () if part.type == "text")


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatRequest(msgspec.Struct):
    """What of a request the stand-in heeds; other fields are accepted and mean nothing to it."""

    model: str
    messages: list[_Message]
    temperature: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    seed: int | None = None
    n: int | None = 1

    @property
    def question(self) -> str:
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def limit(self) -> int:
        return self.max_completion_tokens or self.max_tokens or DEFAULT_LIMIT

    @property
    def input_tokens(self) -> int:
        return sum(count_tokens(message.text) for message in self.messages)


class Fault(Exception):
    """A refused request, in OpenAI's shape."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.body = msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


_REQUEST = msgspec.json.Decoder(ChatRequest)


def read(body: bytes) -> ChatRequest:
    """Return the request; raise Fault where it is not one that can be answered."""
    try:
        request = _REQUEST.decode(body)
    except msgspec.ValidationError as fault:
        _, _, place = str(fault).partition("`$.")
        raise Fault(400, str(fault), code="invalid_type", param=place.rstrip("`") or None) from None
    except msgspec.DecodeError as fault:
        raise Fault(400, f"the body is not JSON: {fault}") from None
    if request.model not in MODELS:
        known = " and ".join(MODELS)
        raise Fault(404, f"no model {request.model!r}; there are {known}", code="model_not_found", param="model")
    if not request.question.strip():
        raise Fault(400, "messages holds no text of a user", param="messages")
    if request.temperature is not None and not 0 <= request.temperature <= 2:
        raise Fault(400, f"temperature is {request.temperature:g}; it lies between 0 and 2", param="temperature")
    if request.limit < 1:
        raise Fault(400, "max_tokens is at least 1", param="max_tokens")
    if request.n not in (None, 1):
        raise Fault(400, "the stand-in gives one choice; leave n out", param="n")
    return request


class Completion:
    """One reply, encoded whole or as the events of a stream."""

    def __init__(self, request: ChatRequest, written: Written, number: int) -> None:
        self._written = written
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-standin{number:016x}",
            "created": SystemClock().now() // SECOND,
            "model": request.model,
            "system_fingerprint": "stand-in",
        }
        output = len(written.tokens)
        self._usage = {
            "prompt_tokens": request.input_tokens,
            "completion_tokens": output,
            "total_tokens": request.input_tokens + output,
        }
        self._counts_in_stream = request.stream_options is not None and request.stream_options.include_usage

    def whole(self) -> bytes:
        message = {"role": "assistant", "content": "".join(self._written.tokens), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._written.finish}
        return msgspec.json.encode(
            {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage}
        )

    def events(self) -> list[bytes]:
        """Return server-sent events: one that opens, one a token, one that says why it ended, then the counts if asked."""
        rest = b',"usage":null}\n\n' if self._counts_in_stream else b"}\n\n"
        before = b"data: " + msgspec.json.encode({**self._head, "object": "chat.completion.chunk"})[:-1]

        def event(delta: bytes, finish: bytes = b"null") -> bytes:
            return (
                before + b',"choices":[{"index":0,"delta":' + delta + b',"logprobs":null,"finish_reason":' + finish
                + b"}]" + rest
            )  # fmt: skip

        events = [event(b'{"role":"assistant","content":"","refusal":null}')]
        events += [event(b'{"content":' + msgspec.json.encode(token) + b"}") for token in self._written.tokens]
        events.append(event(b"{}", msgspec.json.encode(self._written.finish)))
        if self._counts_in_stream:
            events.append(before + b',"choices":[],"usage":' + msgspec.json.encode(self._usage) + b"}\n\n")
        return [*events, b"data: [DONE]\n\n"]
