"""Chat completions through a release's filters: a whole one, and a stream's chunks.

What is not known of an answer's form is left out of it, for it might say again what was found elsewhere. Log
probabilities name every token, so they do not go out beside a text that was held back or changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.guardrails.look import Blocked
from pilotage.serving.filtering.texts import arguments, rewritten
from pilotage.upstream.chat import UNREADABLE
from pilotage.upstream.sse import DONE, data_of, event

if TYPE_CHECKING:
    from pilotage.guardrails.passage import Channel, Passage

FILTERED = "content_filter"
_SAID = ("content", "reasoning_content", "reasoning", "refusal")
_KEPT = frozenset({"role", "tool_calls", "function_call", "thinking_blocks", "annotations", "audio", *_SAID})


def whole(reply: bytes, passage: Passage) -> bytes:
    """Return a unary answer as it may go out; what is none is returned as it is, for its surface to judge."""
    completion = _decoded(reply)
    choices = completion.get("choices") if completion is not None else None
    if completion is None or not isinstance(choices, list):
        return reply
    said = _plain(choices)
    if said and passage.clear(said, "out"):
        return reply
    try:
        new = [_choice(choice, passage) for choice in choices]
    except Blocked:
        new = [_ended(index) for index in range(len(choices))]
    if all(one is other for one, other in zip(new, choices, strict=True)):
        return reply
    return msgspec.json.encode({**completion, "choices": new})


def _plain(choices: list[Any]) -> list[str]:
    """Return all texts of these choices where they hold nothing else that would have to be looked at, else nothing."""
    said = []
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            return []
        for key, value in message.items():
            if key in _SAID and isinstance(value, str):
                said.append(value)
            elif key not in _KEPT or (value and key != "role"):
                return []
    return said


def _choice(choice: Any, passage: Passage) -> Any:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return choice
    message = choice["message"]
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": message.get("function_call")}]:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            passage.calls(str(function.get("name")), str(function.get("arguments") or ""))
    kept = {key: value for key, value in message.items() if key in _KEPT}
    new = rewritten(kept, passage.leaving(at_once=True))
    if new == message:
        return choice
    return {**choice, "message": new, "logprobs": None}


def _ended(index: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": ""}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": FILTERED}


_CONTENT = b'"content":'
_TEXT = msgspec.json.Decoder(str)


class _Stencil(NamedTuple):
    """What most events of one stream have in common: all but the text of one choice, before it and behind it.

    An event that differs in nothing else needs not be read whole, and is written as the one that was read whole before it.
    """

    choice: int
    before: bytes
    after: bytes
    opening: bytes
    closing: bytes

    def text(self, found: bytes) -> str | None:
        """Return the text of an event of this kind, None for any other."""
        if not (found.startswith(self.before) and found.endswith(self.after)):
            return None
        said = found[len(self.before) : -len(self.after)]
        if not (said.startswith(b'"') and said.endswith(b'"')):
            return None
        try:
            return _TEXT.decode(said)
        except UNREADABLE:
            return None

    def said(self, text: str) -> bytes:
        return self.opening + msgspec.json.encode(text) + self.closing


def _stencil(found: bytes, part: dict[str, Any], head: dict[str, Any]) -> _Stencil | None:
    """Return what an event has in common with those like it; None for one that says more than a text."""
    choices = part["choices"]
    choice = choices[0] if len(choices) == 1 and part.get("usage") is None else None
    if not isinstance(choice, dict) or choice.get("finish_reason"):
        return None
    delta, index = choice.get("delta"), choice.get("index", 0)
    if not isinstance(delta, dict) or list(delta) != ["content"] or found.count(_CONTENT) != 1:
        return None
    before, _, rest = found.partition(_CONTENT)
    blank = b" " if rest.startswith(b" ") else b""
    end = rest.find(b'"', len(blank) + 1) + 1
    if rest[len(blank) : end] != msgspec.json.encode(delta["content"]):
        return None
    made = _said(head, [{"index": index, "delta": {"content": ""}, "finish_reason": None}])
    opening, _, closing = made.rpartition(_CONTENT + b'""')
    return _Stencil(index, before + _CONTENT + blank, rest[end:], opening + _CONTENT, closing)


class ChatSieve:
    """One stream. `take` returns what goes out for an event; `done` tells that it was blocked and nothing follows."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._texts: dict[tuple[int, str], Channel] = {}
        self._calls: dict[int, dict[int, dict[str, Any]]] = {}
        self._begun: set[int] = set()
        self._stencil: _Stencil | None = None
        self._head: dict[str, Any] = {}
        self.done = False

    def take(self, found: bytes) -> bytes:
        try:
            stencil = self._stencil
            if stencil is not None and (text := stencil.text(found)) is not None:
                new = self._channel(stencil.choice, "content").feed(text)
                return stencil.said(new) if new else b""
            return self._read(found)
        except Blocked:
            self.done = True
            ended = [{"index": index, "delta": {}, "finish_reason": FILTERED} for index in sorted(self._begun or {0})]
            return _said(self._head, ended) + event(DONE)

    def _read(self, found: bytes) -> bytes:
        """Read an event whole."""
        data = data_of(found)
        if data is None:
            return found
        if data == DONE:
            return self._rest() + found
        part = _decoded(data)
        if part is None or not isinstance(part.get("choices"), list):
            return found
        said = self._part(part)
        self._stencil = _stencil(found, part, self._head) if said else None
        return said

    def _part(self, part: dict[str, Any]) -> bytes:
        self._head = {key: value for key, value in part.items() if key not in ("choices", "usage")}
        ahead: list[bytes] = []
        choices = []
        for choice in part["choices"]:
            if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
                continue
            index = choice.get("index", 0)
            delta = choice.get("delta")
            new = self._delta(index, delta) if isinstance(delta, dict) else {}
            finish = choice.get("finish_reason")
            if finish:
                ahead += self._flushed(index)
            elif not any(new.values()) and index in self._begun and isinstance(delta, dict):
                # Held back, all of it.
                continue
            if not any(new.values()) or set(new) == {"role"}:
                new = {"role": new["role"]} if "role" in new and index not in self._begun else {}
            self._begun.add(index)
            choices.append({"index": index, "delta": new, "finish_reason": finish})
        usage = part.get("usage")
        if choices or usage is not None or not part["choices"]:
            ahead.append(_said(self._head, choices, usage))
        return b"".join(ahead)

    def _delta(self, index: int, delta: dict[str, Any]) -> dict[str, Any]:
        new: dict[str, Any] = {}
        for key, value in delta.items():
            if key in _SAID and isinstance(value, str):
                new[key] = self._channel(index, key).feed(value)
            elif key == "tool_calls" and isinstance(value, list):
                for call in value:
                    self._gather(index, call)
            elif key == "function_call" and isinstance(value, dict):
                self._gather(index, {"index": -1, "function": value})
            elif key in _KEPT:
                new[key] = rewritten(value, self._passage.leaving(at_once=True))
        return new

    def _channel(self, index: int, key: str) -> Channel:
        channel = self._texts.get((index, key))
        if channel is None:
            channel = self._texts[index, key] = self._passage.leaving(at_once=False)
        return channel

    def _gather(self, index: int, call: Any) -> None:
        """A call is looked at when all of it is there."""
        if not isinstance(call, dict):
            return
        number = call.get("index", 0)
        kept = self._calls.setdefault(index, {}).setdefault(number if isinstance(number, int) else 0, {})
        for key in ("id", "type"):
            if call.get(key):
                kept[key] = call[key]
        function = call.get("function")
        if isinstance(function, dict):
            if function.get("name"):
                kept["name"] = function["name"]
            if isinstance(function.get("arguments"), str):
                kept.setdefault("arguments", []).append(function["arguments"])

    def _flushed(self, index: int) -> list[bytes]:
        """Return the events that say what was held back of one choice."""
        delta: dict[str, Any] = {}
        for (of, key), channel in list(self._texts.items()):
            if of == index:
                rest = channel.feed("", last=True)
                del self._texts[of, key]
                if rest:
                    delta[key] = rest
        events = [_said(self._head, [{"index": index, "delta": delta, "finish_reason": None}])] if delta else []
        for number, kept in sorted(self._calls.pop(index, {}).items()):
            given = "".join(kept.get("arguments", ()))
            self._passage.calls(str(kept.get("name")), given)
            function = {
                "name": kept.get("name"),
                "arguments": arguments(given, self._passage.leaving(at_once=True)),
            }
            if number < 0:
                call: dict[str, Any] = {"function_call": function}
            else:
                one = {
                    "index": number,
                    "id": kept.get("id"),
                    "type": kept.get("type", "function"),
                    "function": function,
                }
                call = {"tool_calls": [one]}
            events.append(_said(self._head, [{"index": index, "delta": call, "finish_reason": None}]))
        return events

    def _rest(self) -> bytes:
        left = {index for index, _ in self._texts} | set(self._calls)
        return b"".join(said for index in sorted(left) for said in self._flushed(index))


def _said(head: dict[str, Any], choices: list[dict[str, Any]], usage: Any = None) -> bytes:
    return event(msgspec.json.encode({**head, "choices": choices, **({"usage": usage} if usage is not None else {})}))


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None
