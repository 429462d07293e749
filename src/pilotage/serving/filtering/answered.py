"""What an answer says once all of it is there, whole or streamed: texts, calls of tools, and what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.upstream.chat import UNREADABLE, text_of
from pilotage.upstream.sse import DONE, Splitter, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHOLE = ("response.completed", "response.incomplete")
_NO_ANSWER = ("error", "response.failed")


class ToolCall(NamedTuple):
    id: str
    name: str
    arguments: str


class Answered(NamedTuple):
    """`form` is the answer as its surface gives it whole. `calls` and `texts` are those of all its choices.

    `turns` is the first choice as the next request says it again.
    """

    form: dict[str, Any]
    texts: tuple[str, ...]
    calls: tuple[ToolCall, ...]
    turns: tuple[dict[str, Any], ...]
    usage: tuple[int | None, int | None] | None


def chat(data: bytes, *, stream: bool) -> Answered | None:
    """Return a chat completion, or one that its chunks make; None for what is none, or not all of one."""
    form = _gathered(data) if stream else _decoded(data)
    choices = form.get("choices") if form is not None else None
    if form is None or not isinstance(choices, list):
        return None
    said = [_message(choice) for choice in choices]
    usage = form.get("usage")
    return Answered(
        form,
        tuple(text for texts, _ in said for text in texts),
        tuple(call for _, calls in said for call in calls),
        (_turn(choices[0]),) if choices else (),
        _counted(usage, "prompt_tokens", "completion_tokens"),
    )


def response(data: bytes, *, stream: bool) -> Answered | None:
    """Return a response, or the one that ends its stream; None for what is none, or not all of one."""
    form = _last(data) if stream else _decoded(data)
    output = form.get("output") if form is not None else None
    if form is None or not isinstance(output, list) or form.get("status") == "failed":
        return None
    items = [item for item in output if isinstance(item, dict)]
    calls = tuple(
        ToolCall(str(item.get("call_id")), str(item.get("name")), str(item.get("arguments") or ""))
        for item in items
        if item.get("type") == "function_call"
    )
    parts = [part for item in items if item.get("type") == "message" for part in _dicts(item.get("content"))]
    texts = ["".join(str(part.get("text")) for part in parts if part.get("type") == "output_text")]
    if (form.get("incomplete_details") or {}) == {"reason": "content_filter"} or any(
        part.get("type") == "refusal" for part in parts
    ):
        texts = []
    usage = form.get("usage")
    return Answered(
        form,
        tuple(text for text in texts if text or not calls),
        calls,
        tuple(items),
        _counted(usage, "input_tokens", "output_tokens"),
    )


def _message(choice: Any) -> tuple[list[str], list[ToolCall]]:
    """Return what a choice says: no text where it refuses, was blocked, or only calls tools."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return [], []
    calls = [
        ToolCall(str(call.get("id")), str(function.get("name")), str(function.get("arguments") or ""))
        for call in _dicts(message.get("tool_calls"))
        if isinstance(function := call.get("function"), dict)
    ]
    text = text_of(message.get("content"))
    silent = choice.get("finish_reason") == "content_filter" or message.get("refusal") or (calls and not text)
    return [] if silent else [text], calls


def _turn(choice: Any) -> dict[str, Any]:
    message = choice.get("message") if isinstance(choice, dict) else None
    kept = {"content", "tool_calls", "thinking_blocks"}
    said = {key: value for key, value in message.items() if key in kept and value} if isinstance(message, dict) else {}
    return {"role": "assistant", **({} if "tool_calls" in said else {"content": ""}), **said}


def _gathered(data: bytes) -> dict[str, Any] | None:
    """Return the completion that a stream's chunks make, None where it broke off."""
    head: dict[str, Any] = {}
    messages: dict[int, tuple[dict[str, list[str]], dict[int, dict[str, Any]]]] = {}
    reasons: dict[int, str] = {}
    done = False
    for part in _events(data):
        if part is None:
            done = True
            break
        if part.get("error") is not None or not isinstance(part.get("choices"), list):
            return None
        head |= {key: value for key, value in part.items() if key != "choices" and value is not None}
        for choice in _dicts(part["choices"]):
            index = choice.get("index", 0)
            if not isinstance(index, int):
                return None
            if isinstance(delta := choice.get("delta"), dict):
                _add(*messages.setdefault(index, ({}, {})), delta)
            if choice.get("finish_reason"):
                reasons[index] = choice["finish_reason"]
    if not messages or not (done or reasons):
        return None
    choices = [
        {"index": index, "message": _joined(*said), "finish_reason": reasons.get(index)}
        for index, said in sorted(messages.items())
    ]
    return {**head, "choices": choices}


def _add(message: dict[str, list[str]], calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    """Take in one delta: pieces of texts, and of calls by their number."""
    for key in ("content", "refusal"):
        if isinstance(delta.get(key), str):
            message.setdefault(key, []).append(delta[key])
    for call in _dicts(delta.get("tool_calls")):
        number, function = call.get("index", 0), call.get("function")
        kept = calls.setdefault(number if isinstance(number, int) else 0, {"arguments": []})
        if call.get("id"):
            kept["id"] = call["id"]
        if isinstance(function, dict):
            kept["name"] = function.get("name") or kept.get("name")
            kept["arguments"].append(str(function.get("arguments") or ""))


def _joined(message: dict[str, list[str]], calls: dict[int, dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {key: "".join(pieces) for key, pieces in message.items()}
    if calls:
        made["tool_calls"] = [
            {
                "id": kept.get("id"),
                "type": "function",
                "function": {"name": kept.get("name"), "arguments": "".join(kept["arguments"])},
            }
            for _, kept in sorted(calls.items())
        ]
    return made


def _last(data: bytes) -> dict[str, Any] | None:
    last = None
    for part in _events(data):
        if part is None or part.get("type") in _NO_ANSWER:
            return last
        if part.get("type") in _WHOLE and isinstance(part.get("response"), dict):
            last = part["response"]
    return last


def _events(data: bytes) -> Iterator[dict[str, Any] | None]:
    """Yield what each event of a stream says, None for its end."""
    for found in Splitter().feed(data):
        said = data_of(found)
        if said == DONE:
            yield None
        elif said is not None:
            yield _decoded(said) or {}


def _counted(usage: Any, *names: str) -> tuple[int | None, int | None] | None:
    """Return what a provider says of tokens, as far as these are numbers."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = (value if type(value := usage.get(name)) is int else None for name in names)
    return tokens_in, tokens_out


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
