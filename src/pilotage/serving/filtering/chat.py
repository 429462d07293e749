"""Chat completions through a release's filters.

What is not known of an answer's form is left out of it, for it might say again what was found elsewhere. Log
probabilities name every token, so they do not go out beside a text that was held back or changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.guardrails.look import Blocked
from pilotage.serving.filtering.stencil import said
from pilotage.serving.filtering.texts import rewritten
from pilotage.upstream.chat import UNREADABLE
from pilotage.upstream.sse import DONE, event

if TYPE_CHECKING:
    from pilotage.guardrails.filters import Filters
    from pilotage.guardrails.passage import Passage

FILTERED = "content_filter"
SAID = ("content", "reasoning_content", "reasoning", "refusal")
GIVEN = {"function": "arguments", "custom": "input"}
"""What a call gives its tool, by the kind of tool: JSON to a function, any text to another."""
KEPT = frozenset({"role", "tool_calls", "function_call", "thinking_blocks", "annotations", "audio", *SAID})


_Nothing = Annotated[list[Any], msgspec.Meta(max_length=0)] | None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    """A message that says texts and nothing else that would have to be looked at."""

    role: Any = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: _Nothing = None
    annotations: _Nothing = None
    thinking_blocks: _Nothing = None
    function_call: None = None
    audio: None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Plain(msgspec.Struct):
    choices: list[_Choice]


_PLAIN = msgspec.json.Decoder(_Plain)


def whole(reply: bytes, passage: Passage) -> bytes:
    """Return a unary answer as it may go out; what is none is returned as it is, for its surface to judge."""
    completion = decoded(reply)
    choices = completion.get("choices") if completion is not None else None
    if completion is None or not isinstance(choices, list):
        return reply
    try:
        new = [_choice(choice, passage) for choice in choices]
    except Blocked:
        new = [_ended(index) for index in range(len(choices))]
    if all(one is other for one, other in zip(new, choices, strict=True)):
        return reply
    return msgspec.json.encode({**completion, "choices": new})


def clear(reply: bytes, filters: Filters) -> bool:
    """Return whether it is certain, at one glance, that a unary answer passes as it is."""
    try:
        messages = [choice.message for choice in _PLAIN.decode(reply).choices]
    except UNREADABLE:
        return False
    texts = [
        text for one in messages for text in (one.content, one.reasoning_content, one.reasoning, one.refusal) if text
    ]
    return bool(texts) and filters.clear(texts, "out")


def _choice(choice: Any, passage: Passage) -> Any:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return choice
    message = choice["message"]
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": message.get("function_call")}]:
        for kind, given in GIVEN.items():
            tool = call.get(kind) if isinstance(call, dict) else None
            if isinstance(tool, dict):
                passage.calls(str(tool.get("name")), str(tool.get(given) or ""))
    kept = {key: value for key, value in message.items() if key in KEPT}
    new = rewritten(kept, passage.leaving(at_once=True))
    if new == message:
        return choice
    return {**choice, "message": new, "logprobs": None}


def _ended(index: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": ""}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": FILTERED}


def ended(completion: dict[str, Any], *, stream: bool) -> bytes:
    """Return an answer that was blocked whole, whose provider's is `completion`."""
    choices = [_ended(index) for index in range(len(completion["choices"]))]
    if not stream:
        return msgspec.json.encode({**completion, "choices": choices})
    head = {key: value for key, value in completion.items() if key not in ("choices", "usage")}
    deltas = [{"index": one["index"], "delta": one["message"], "finish_reason": FILTERED} for one in choices]
    usage = completion.get("usage")
    return said(head, deltas) + (said(head, [], usage) if usage is not None else b"") + event(DONE)


def decoded(data: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None
