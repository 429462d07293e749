"""Responses through a release's filters: a whole one, and a stream's events.

A stream says each text in its deltas and again, whole, in the events that end it; what was counted in the one is not
counted in the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.guardrails.look import Blocked
from pilotage.serving.filtering.stream import taken
from pilotage.serving.filtering.texts import arguments, rewritten
from pilotage.upstream.chat import UNREADABLE
from pilotage.upstream.sse import DONE, data_of

if TYPE_CHECKING:
    from pilotage.guardrails.passage import Channel, Passage

_REASON = {"reason": "content_filter"}
_ARGUMENTS = (
    "response.function_call_arguments.",
    "response.custom_tool_call_input.",
    "response.mcp_call_arguments.",
)
_CALLS = ("function_call", "custom_tool_call", "mcp_call")
_KEYS = ("item_id", "output_index", "content_index", "summary_index")


def whole(reply: bytes, passage: Passage) -> bytes:
    response = _decoded(reply)
    if response is None or not isinstance(response.get("output"), list):
        return reply
    try:
        _called(response["output"], passage)
        new = _response(response, passage.leaving(at_once=True))
    except Blocked:
        new = _blocked(response)
    return reply if new == response else msgspec.json.encode(new)


def _called(items: Any, passage: Passage) -> None:
    for item in items:
        if isinstance(item, dict) and item.get("type") in _CALLS:
            passage.calls(str(item.get("name")), str(item.get("arguments") or item.get("input") or ""))


def _response(response: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Its other fields repeat the request; of them the instructions hold the release's prompt."""
    output = response.get("output")
    new = {**response, "output": rewritten(_silent(output), channel) if isinstance(output, list) else output}
    if new.get("instructions"):
        new["instructions"] = None
    return new


def _silent(value: Any) -> Any:
    """Return a value without log probabilities, which name every token."""
    if isinstance(value, list):
        return [_silent(item) for item in value]
    if isinstance(value, dict):
        return {key: _silent(item) for key, item in value.items() if key != "logprobs"}
    return value


def _blocked(response: dict[str, Any]) -> dict[str, Any]:
    ended: dict[str, Any] = {"status": "incomplete", "incomplete_details": _REASON, "output": [], "instructions": None}
    return {**response, **ended}


def ended(response: dict[str, Any], *, stream: bool) -> bytes:
    """Return an answer that was blocked whole, whose provider's is `response`."""
    blocked = _blocked(response)
    if not stream:
        return msgspec.json.encode(blocked)
    begun = {**blocked, "status": "in_progress", "incomplete_details": None, "usage": None}
    return _event({"type": "response.created", "sequence_number": 0, "response": begun}) + _event(
        {"type": "response.incomplete", "sequence_number": 1, "response": blocked}
    )


class ResponsesSieve:
    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._texts: dict[tuple[Any, ...], Channel] = {}
        self._last: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._names: dict[Any, str] = {}
        self._counted: set[tuple[Any, ...]] = set()
        self._response: dict[str, Any] = {"object": "response", "output": []}
        self.done = False

    def take_all(self, events: list[bytes]) -> bytes:
        return taken(self, events)

    def take(self, found: bytes) -> bytes:
        data = data_of(found)
        if data is None or data == DONE:
            return found
        part = _decoded(data)
        kind = part.get("type") if part is not None else None
        if part is None or not isinstance(kind, str):
            return found
        if isinstance(part.get("response"), dict):
            self._response = part["response"]
        try:
            return b"".join(_event(one) for one in self._events(kind, part))
        except Blocked:
            self.done = True
            return _event(
                {
                    "type": "response.incomplete",
                    "sequence_number": part.get("sequence_number", 0),
                    "response": _blocked(self._response),
                }
            )

    def _events(self, kind: str, part: dict[str, Any]) -> list[dict[str, Any]]:
        stem, _, last = kind.rpartition(".")
        key = (stem, *(part.get(name) for name in _KEYS))
        item = part.get("item")
        if isinstance(item, dict) and item.get("type") in _CALLS:
            self._names[part.get("output_index")] = str(item.get("name"))
        if kind.startswith(_ARGUMENTS) and last == "done":
            # The events that follow say the same again.
            name = self._names.get(part.get("output_index"), str(part.get("name")))
            self._passage.calls(name, str(part.get("arguments") or part.get("input") or ""))
        part.pop("logprobs", None)
        part.pop("obfuscation", None)
        if last == "delta" and isinstance(part.get("delta"), str) and "audio" not in stem:
            return self._delta(kind, key, part)
        if last == "done" and key in self._texts:
            return [*self._flushed(key), self._again(part, counts=False)]
        if kind.startswith(_ARGUMENTS) and last == "done":
            return [self._again(part, counts=True)]
        if isinstance(part.get("response"), dict):
            channel = self._passage.leaving(at_once=True, counts=not self._counted)
            return [{**part, "response": _response(part["response"], channel)}]
        return [self._again(part, counts=not self._counted)]

    def _delta(self, kind: str, key: tuple[Any, ...], part: dict[str, Any]) -> list[dict[str, Any]]:
        if kind.startswith(_ARGUMENTS):
            # JSON is looked at when all of it is there: in the event that ends it.
            return []
        channel = self._texts.get(key)
        if channel is None:
            channel = self._texts[key] = self._passage.leaving(at_once=False)
            self._counted.add(key)
        self._last[key] = part
        said = channel.feed(part["delta"])
        return [{**part, "delta": said}] if said else []

    def _flushed(self, key: tuple[Any, ...]) -> list[dict[str, Any]]:
        rest = self._texts.pop(key).feed("", last=True)
        return [{**self._last.pop(key), "delta": rest}] if rest else []

    def _again(self, part: dict[str, Any], *, counts: bool) -> dict[str, Any]:
        channel = self._passage.leaving(at_once=True, counts=counts)
        new = dict(part)
        for name in ("text", "refusal", "part", "item", "annotation", "delta", "input"):
            if name in part:
                new[name] = rewritten(_silent(part[name]), channel)
        if isinstance(part.get("arguments"), str):
            new["arguments"] = arguments(part["arguments"], channel)
        return new


def _event(part: dict[str, Any]) -> bytes:
    kind = str(part["type"])
    if not kind.isprintable():
        kind = "unknown"
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(part))


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None
