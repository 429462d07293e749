"""Callers that speak Anthropic's Messages, at use cases whose releases sit anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pilotage import access
from pilotage.spec.release import Release, UpstreamAddress
from tests.integration.anthropic_provider import TEXTS, Anthropic
from tests.integration.gateway_rig import Provider, Reply, Rig, release, search

WORDS = "Parcels arrive in three days — usually."
TOOLS: Any = [{"name": "track", "description": "Where a parcel is.", "input_schema": {"type": "object"}}]


def native(use_case: str, base_url: str) -> Release:
    address = UpstreamAddress(kind="anthropic", base_url=base_url)
    return Release(use_case=use_case, variant="a", upstream=address, model="claude")


@pytest.fixture(scope="module")
def anthropic() -> Iterator[Anthropic]:
    running = Anthropic()
    yield running
    running.close()


@pytest.fixture(scope="module")
def rig(provider: Provider, anthropic: Anthropic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))
    knowledge = rig.knowledge(parcels="# Parcels\n\nA parcel arrives in three days.")
    for name in ("ok", "echo", "status-500", "status-429", "error-later", "garbage"):
        rig.route(name, release(name, provider.url(name), prompt="You answer for {{ use_case }}."))
    rig.route("faq", search("faq", knowledge))
    rig.route("talk", release("talk", provider.url("ok")), unit="conversation", retention="full")
    for name in ("answers", "thinks"):
        rig.route(name, native(name, anthropic.url(name)))
    down = release("falls", provider.url("status-500"), fallbacks=(search("falls", knowledge).reference,))
    rig.route("falls", down, search("falls", knowledge))
    rig.start()
    yield rig
    rig.close()


def ask(rig: Rig, model: str, content: object = "When does my parcel arrive?", **more: Any) -> Reply:
    headers = more.pop("headers", None) or {"x-api-key": rig.key}
    body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": content}], **more}
    return rig.ask("POST", "/v1/messages", body, key=None, headers=headers)


def events(reply: Reply) -> list[dict[str, Any]]:
    found = []
    for event in reply.body.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize(("model", "text"), [("ok", WORDS), ("answers", "".join(TEXTS)), ("faq", None)])
def test_a_message_is_answered_wherever_the_release_sits(rig: Rig, model: str, text: str | None) -> None:
    reply = ask(rig, model)
    assert reply.status == 200
    message = reply.json
    assert (message["type"], message["role"], message["stop_reason"]) == ("message", "assistant", "end_turn")
    assert message["id"].startswith("msg_")
    (block,) = message["content"]
    assert block["type"] == "text"
    assert block["text"] == text if text else "three days" in block["text"]
    assert set(message["usage"]) >= {"input_tokens", "output_tokens"}
    started, finished = rig.record(reply)
    assert (started.surface, finished.error, finished.counted) == ("messages", "", True)


def test_what_goes_out_is_a_chat(rig: Rig, provider: Provider) -> None:
    content = [
        {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    ]
    ask(
        rig,
        "echo",
        content,
        system=[{"type": "text", "text": "Be brief."}],
        stop_sequences=["END"],
        top_k=3,
        thinking={"type": "disabled"},
        tools=TOOLS,
        tool_choice={"type": "tool", "name": "track", "disable_parallel_tool_use": True},
        metadata={"user_id": "alice"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    body = provider.seen("echo")["body"]
    shape = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert body == {
        "response_format": {"type": "json_schema", "json_schema": shape},
        "model": "real-model",
        "max_tokens": 99,
        "messages": [
            {"role": "system", "content": "You answer for echo."},
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                ],
            },
        ],
        "stop": ["END"],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "track",
                    "description": "Where a parcel is.",
                    "parameters": {"type": "object"},
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "track"}},
        "parallel_tool_calls": False,
        "user": access.keyed(rig.store.secret("unit"), "echo", "alice"),
    }


def test_what_only_messages_knows_reaches_a_provider_that_speaks_it(rig: Rig, anthropic: Anthropic) -> None:
    content = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    thoughts = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "Yes?"}]
    turns = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": thoughts},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True}]},
    ]
    ask(rig, "thinks", messages=turns, thinking={"type": "enabled", "budget_tokens": 50}, top_k=3)
    body = anthropic.seen["thinks"]["body"]
    assert (body["thinking"], body["top_k"]) == ({"type": "enabled", "budget_tokens": 50}, 3)
    assert body["messages"] == [
        {"role": "user", "content": content},
        {"role": "assistant", "content": thoughts},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "text", "text": "no"}],
                    "is_error": True,
                }
            ],
        },
    ]


@pytest.mark.parametrize(("model", "text"), [("ok", WORDS), ("answers", "".join(TEXTS))])
def test_events_come_in_anthropics_order(rig: Rig, model: str, text: str) -> None:
    reply = ask(rig, model, stream=True)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = [event for event in events(reply) if event["type"] != "ping"]
    kinds = [event["type"] for event in told]
    deltas = kinds.count("content_block_delta")
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert "".join(event["delta"]["text"] for event in told if event["type"] == "content_block_delta") == text
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert told[-2]["usage"]["output_tokens"] > 0
    _, finished = rig.record(reply)
    assert (finished.finish_reason, finished.error, finished.counted) == ("stop", "", True)


def test_tools_and_thoughts_stream_as_blocks_of_their_own(rig: Rig) -> None:
    told = events(ask(rig, "thinks", stream=True, tools=TOOLS))
    blocks = [event["content_block"]["type"] for event in told if event["type"] == "content_block_start"]
    assert blocks == ["thinking", "text", "tool_use"]
    deltas = [event["delta"] for event in told if event["type"] == "content_block_delta" and event["index"] == 2]
    assert json.loads("".join(delta["partial_json"] for delta in deltas)) == {"parcel": 7}
    assert [event["delta"]["signature"] for event in told if event.get("delta", {}).get("signature")] == ["c2ln"]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


def test_errors_have_anthropics_shape(rig: Rig) -> None:
    for reply, status, kind in (
        (ask(rig, "ok", headers={"x-api-key": "plt_no"}), 401, "authentication_error"),
        (ask(rig, "nobody"), 404, "not_found_error"),
        (ask(rig, "ok", messages=[]), 400, "invalid_request_error"),
        (ask(rig, "ok", [{"type": "search_result"}]), 400, "invalid_request_error"),
        (ask(rig, "status-500"), 502, "api_error"),
        (ask(rig, "status-429"), 429, "rate_limit_error"),
        (ask(rig, "garbage"), 502, "api_error"),
    ):
        assert reply.status == status
        assert set(reply.json) == {"type", "error"}
        assert (reply.json["type"], reply.json["error"]["type"]) == ("error", kind)
        assert reply.headers["request-id"] == reply.headers["x-request-id"]


def test_a_stream_that_breaks_ends_with_an_error_event(rig: Rig) -> None:
    told = events(ask(rig, "error-later", stream=True))
    assert told[-1]["type"] == "error"
    assert told[-1]["error"]["type"] == "api_error"


def test_a_fallback_answers_a_message(rig: Rig) -> None:
    for more in ({}, {"stream": True}):
        reply = ask(rig, "falls", **more)
        assert reply.status == 200
        assert reply.headers["x-pilotage-error"] == "status:500"
        assert b"three days" in reply.body.replace(b"\\n", b" ")


def test_a_conversation_is_told_by_its_first_message(rig: Rig) -> None:
    started, _ = rig.record(ask(rig, "talk", "Hello there"))
    assert started.unit == access.keyed(rig.store.secret("unit"), "talk", "conversation", "Hello there")


def test_tokens_are_counted_by_a_provider_that_speaks_messages(rig: Rig, anthropic: Anthropic) -> None:
    body = {
        "model": "answers",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Where?"}],
        "tools": TOOLS,
    }
    reply = rig.ask("POST", "/v1/messages/count_tokens", body, key=None, headers={"x-api-key": rig.key})
    assert (reply.status, reply.json) == (200, {"input_tokens": 14})
    seen = anthropic.seen["answers"]
    assert seen["path"].endswith("/messages/count_tokens")
    assert set(seen["body"]) == {"model", "system", "messages", "tools"}
    assert seen["body"]["model"] == "claude"
    elsewhere = rig.ask(
        "POST", "/v1/messages/count_tokens", {**body, "model": "ok"}, key=None, headers={"x-api-key": rig.key}
    )
    assert (elsewhere.status, elsewhere.json["error"]["type"]) == (400, "invalid_request_error")
    assert "providers that speak Messages" in elsewhere.json["error"]["message"]
    assert rig.ask("POST", "/v1/messages/count_tokens", body, key=None).status == 401
