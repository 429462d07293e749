"""Calls of every kind of tool meet the list of tools, in whole answers and in streams: functions, custom tools, MCP's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotage.guardrails.filters import Filters
from pilotage.guardrails.passage import Passage
from pilotage.serving.filtering import chat, responses
from pilotage.serving.filtering.chat_sieve import ChatSieve
from pilotage.serving.filtering.stream import Sieve
from pilotage.spec.filter_rule import FilterRule
from pilotage.upstream.sse import DONE, event

PII = FilterRule(name="pii", kind="personal_data", side="out", action="redact", deadline=60_000_000)


def passage(*, pii: bool = False) -> Passage:
    tools = FilterRule(name="tools", kind="tools", side="out", action="block", tools=("search", "shell"))
    return Passage(Filters((tools, PII) if pii else (tools,), ""))


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def chat_call(kind: str, name: str, given: str) -> dict[str, Any]:
    field = {"function": "arguments", "custom": "input"}[kind]
    return {"index": 0, "id": "call_1", "type": kind, kind: {"name": name, field: given}}


def chat_stream(call: dict[str, Any]) -> bytes:
    kind = call["type"]
    field = {"function": "arguments", "custom": "input"}[kind]
    parts = [{**call, kind: {**call[kind], field: ""}}]
    parts += [{"index": 0, kind: {field: call[kind][field][at : at + 3]}} for at in range(0, len(call[kind][field]), 3)]
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": None}]} for part in parts
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return b"".join(event(encoded(one)) for one in events) + event(DONE)


def fed(sieve: Sieve, stream: bytes) -> bytes:
    return b"".join(sieve.take(found + b"\n\n") for found in stream.split(b"\n\n")[:-1] if not sieve.done)


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_chats(kind: str) -> None:
    for name, passes in (("search", True), ("erase", False)):
        call = chat_call(kind, name, '{"a": 1}' if kind == "function" else "ls /tmp")
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        whole = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        assert (name.encode() in chat.whole(encoded(whole), passage())) is passes
        assert (name.encode() in fed(ChatSieve(passage()), chat_stream(call))) is passes


def test_what_a_custom_tool_is_given_is_looked_at_and_its_name_is_not() -> None:
    call = chat_call("custom", "shell", "mail jane@example.org")
    out = fed(ChatSieve(passage(pii=True)), chat_stream(call))
    assert b'"input":"mail [email]"' in out
    assert b"jane" not in out
    whole = {"choices": [{"index": 0, "message": {"content": None, "tool_calls": [call]}}]}
    assert b"mail [email]" in chat.whole(encoded(whole), passage(pii=True))


@pytest.mark.parametrize(
    ("kind", "field", "stem"),
    [
        ("function_call", "arguments", "function_call_arguments"),
        ("custom_tool_call", "input", "custom_tool_call_input"),
        ("mcp_call", "arguments", "mcp_call_arguments"),
    ],
)
def test_responses(kind: str, field: str, stem: str) -> None:
    for name, passes in (("search", True), ("erase", False)):
        item = {"type": kind, "id": "i", "call_id": "c", "name": name, field: '{"a": 1}'}
        response = {"object": "response", "status": "completed", "output": [item]}
        assert (name.encode() in responses.whole(encoded(response), passage())) is passes
        at = {"item_id": "i", "output_index": 0}
        events: list[dict[str, Any]] = [
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, field: ""}},
            {"type": f"response.{stem}.delta", **at, "delta": item[field]},
            {"type": f"response.{stem}.done", **at, field: item[field]},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ]
        out = fed(responses.ResponsesSieve(passage()), b"".join(event(encoded(one)) for one in events))
        assert (b'\\"a\\": 1' in out) is passes
        assert (b"response.completed" in out) is passes
        assert (b"content_filter" in out) is not passes
