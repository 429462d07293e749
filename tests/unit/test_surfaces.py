"""Whatever callers send, and whatever providers answer, comes to an answer or to an error that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotage.clock import FrozenClock
from pilotage.errors import RequestError, UpstreamError
from pilotage.serving import chat, embeddings, images, messages, responses, speech
from pilotage.serving.exposure import Exposure
from pilotage.serving.messages.reply import to_message
from pilotage.serving.outcome import Outcome
from pilotage.serving.request import Request
from pilotage.serving.routing import Assignment
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Route
from pilotage.upstream.anthropic.reply import to_completion
from pilotage.upstream.anthropic.stream import Chunks
from pilotage.upstream.anthropic.upstream import asked_in_messages
from pilotage.upstream.sse import event

PARSERS: list[Callable[[bytes], Request]] = [
    chat.parse,
    messages.parse,
    responses.parse,
    embeddings.parse,
    images.parse,
    speech.parse,
]
KEYS = st.sampled_from(
    [
        *("model", "messages", "role", "content", "type", "text", "source", "tools", "function", "name", "input"),
        *("tool_choice", "tool_calls", "tool_use_id", "system", "metadata", "user_id", "stop", "stream", "prompt"),
        *("image_url", "url", "arguments", "choices", "delta", "message", "index", "usage", "finish_reason", "id"),
        *("content_block", "stop_reason", "thinking_blocks", "signature", "response", "output", "data", "n", "file"),
    ]
)
WORDS = st.sampled_from(
    [
        *("user", "assistant", "tool", "system", "text", "image", "image_url", "tool_use", "tool_result", "thinking"),
        *("base64", "url", "function", "auto", "document", "file", "message_start", "content_block_start"),
        *("content_block_delta", "message_delta", "message_stop", "text_delta", "input_json_delta", "error", "{}", ""),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers(-2, 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=5).map(lambda body: {"model": "m", **body})
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]), "content": VALUES},
        optional={"tool_calls": VALUES, "thinking_blocks": VALUES, "tool_call_id": VALUES},
    ),
    min_size=1,
    max_size=3,
)


BLOCKS = st.fixed_dictionaries(
    {"type": WORDS},
    optional=dict.fromkeys(("text", "thinking", "signature", "partial_json", "input", "id", "stop_reason"), VALUES),
)
EVENTS = st.fixed_dictionaries(
    {"type": WORDS},
    optional={"delta": BLOCKS, "content_block": BLOCKS, "error": VALUES, "message": st.just({"id": "m"}) | VALUES},
)
DELTAS = st.dictionaries(
    st.sampled_from(["content", "refusal", "reasoning_content", "tool_calls", "thinking_blocks"]),
    VALUES | st.lists(BLOCKS, max_size=2) | st.lists(st.fixed_dictionaries({"index": st.integers(0, 2)}), max_size=2),
)
CHUNKS = st.builds(lambda delta: {"choices": [{"index": 0, "delta": delta, "message": delta}]}, DELTAS)


class Nowhere:
    def started(self, event: object) -> None: ...
    def finished(self, event: object, text: object, *, redact: bool) -> None: ...


def release(kind: str) -> Release:
    return Release(use_case="u", variant="v", upstream=UpstreamAddress(kind=kind), model="m")


def outcome(request: Request) -> Outcome:
    given = release("openai")
    route = Route(use_case="u", unit="user", live="r", releases={"r": given}, metrics={}, retention="full")
    exposure = Exposure(id="i", route=route, assignment=Assignment(given, "r", "live"), received=0)
    return Outcome(exposure, request, Nowhere(), FrozenClock())


@pytest.mark.parametrize("parse", PARSERS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES, turns=TURNS | VALUES)
def test_a_request_is_read_or_refused(parse: Callable[[bytes], Request], body: dict[str, Any], turns: Any) -> None:
    for given_body in (body, {**body, "messages": turns}, {**body, "input": turns, "prompt": "p"}):
        try:
            request = parse(json.dumps(given_body).encode())
        except RequestError:
            continue
        assert isinstance(request.question + request.opening + request.transcript, str)
        for kind in ("openai", "anthropic"):
            sent = request.outgoing(release(kind))
            if request.chats:
                with suppress(UpstreamError):
                    asked_in_messages(sent)


@pytest.mark.parametrize("parse", PARSERS[:5])
@given(reply=BODIES)
def test_an_answer_is_read_or_is_none(parse: Callable[[bytes], Request], reply: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "input": "x", "prompt": "x"}
    request = parse(json.dumps(body).encode())
    with suppress(UpstreamError):
        request.whole(json.dumps(reply).encode(), "application/json", outcome(request))


@given(reply=BODIES, said=st.lists(BLOCKS, max_size=3) | VALUES, whole=CHUNKS)
def test_translations_end_in_an_answer_or_an_error(reply: dict[str, Any], said: Any, whole: dict[str, Any]) -> None:
    with suppress(UpstreamError):
        to_completion(json.dumps({**reply, "id": "m", "content": said, "usage": {}}).encode(), 1)
    with suppress(UpstreamError):
        to_message(json.dumps({**reply, **whole}).encode())


@given(events=st.lists(EVENTS | BODIES, max_size=6), told=st.lists(CHUNKS | BODIES, max_size=6))
def test_streams_end_in_an_answer_or_an_error(events: list[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    chunks = Chunks(1, with_usage=True)
    asked = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    request = messages.parse(asked)
    form = request.form(outcome(request))
    with suppress(UpstreamError):
        for one in events:
            chunks.take(event(json.dumps(one).encode()))
    with suppress(UpstreamError):
        for one in told:
            form.take(event(json.dumps(one).encode()))
        form.end()
