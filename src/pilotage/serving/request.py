"""A chat request as the caller sent it: checked where Pilotage relies on it, otherwise passed through."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.errors import RequestError
from pilotage.upstream.chat import text_of

BODY_LIMIT = 4 << 20
DEPTH_LIMIT = 64

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is the whole request, unknown fields included. `user` is what it says about who asks, if anything."""

    body: dict[str, Any]
    model: str
    messages: list[dict[str, Any]]
    stream: bool
    wants_usage: bool
    user: str

    @property
    def question(self) -> str:
        """Return the text of the last message of the user, or an empty string."""
        return next((text_of(m.get("content")) for m in reversed(self.messages) if m["role"] == "user"), "")

    @property
    def opening(self) -> str:
        """Return the text of the user's first message: what tells one conversation from another."""
        return next((text_of(m.get("content")) for m in self.messages if m["role"] == "user"), "")

    @property
    def transcript(self) -> str:
        """Return the messages as people read them, for retained texts."""
        return "\n\n".join(f"{m['role']}: {text_of(m.get('content'))}" for m in self.messages)


def decode(data: bytes) -> Any:
    """Return the JSON value; raise RequestError where it is none or nests deeper than the limit."""
    if too_deep(data):
        raise _faulty(f"the body nests deeper than {DEPTH_LIMIT} levels", code="too_deep")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise _faulty(f"the body is not JSON: {fault}", code="invalid_json") from None
    except RecursionError:
        raise _faulty(f"the body nests deeper than {DEPTH_LIMIT} levels", code="too_deep") from None


def too_deep(data: bytes, limit: int = DEPTH_LIMIT) -> bool:
    """Return whether well-formed JSON nests deeper than `limit`, without decoding it.

    Every pass removes the innermost brackets, so the passes that are needed are the depth. What cannot be removed is
    not well-formed, which is the decoder's to say.
    """
    if data.count(b"{") + data.count(b"[") <= limit:
        return False
    left = _without_strings(data).translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(limit):
        inner = left.replace(b"[]", b"")
        if len(inner) == len(left):
            return False
        left = inner
    return b"[]" in left


def _without_strings(data: bytes) -> bytes:
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # What stands between an odd quote and the next is a string.
    return b"".join(data.split(b'"')[::2])


def parse(data: bytes) -> ChatRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    body = decode(data)
    if not isinstance(body, dict):
        raise _faulty(f"the body is {_kind(body)}; it must be an object with model and messages")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", model, "a use case's name as text")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong("stream", stream, "true or false")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise _wrong("stream_options", options, "an object")
    wants_usage = (options or {}).get("include_usage")
    if wants_usage is not None and not isinstance(wants_usage, bool):
        raise _wrong("stream_options.include_usage", wants_usage, "true or false")
    for name in ("safety_identifier", "user"):
        if body.get(name) is not None and not isinstance(body[name], str):
            raise _wrong(name, body[name], "text")
    return ChatRequest(
        body=body,
        model=model,
        messages=_messages(body.get("messages")),
        stream=bool(stream),
        wants_usage=bool(wants_usage),
        user=body.get("safety_identifier") or body.get("user") or "",
    )


def _messages(messages: object) -> list[dict[str, Any]]:
    if not isinstance(messages, list):
        raise _wrong("messages", messages, "a list of messages")
    if not messages:
        raise _faulty("messages is empty; send at least one message", param="messages", code="empty_messages")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict):
            raise _wrong(where, message, "an object with role and content")
        role = message.get("role")
        if not isinstance(role, str) or not role:
            raise _wrong(f"{where}.role", role, "text such as 'user'")
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise _wrong(f"{where}.content", content, "text, or a list of parts")
        for number, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                raise _wrong(f"{where}.content[{number}]", part, "an object with a type")
    return messages


def _kind(value: object) -> str:
    match value:
        case None:
            return "missing or null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "empty text" if not value else "text"
        case list():
            return "a list"
        case _:
            return "an object"


def _wrong(param: str, value: object, right: str) -> RequestError:
    return _faulty(f"{param} is {_kind(value)}; it must be {right}", param=param, code="invalid_type")


def _faulty(message: str, *, param: str | None = None, code: str = "invalid_request") -> RequestError:
    return RequestError(400, message, code=code, param=param)
