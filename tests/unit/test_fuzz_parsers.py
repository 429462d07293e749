# ruff: noqa: PT017 (a fault is as good as a value here)
"""Whatever bytes come, from callers and from providers: what reads them gives a value or a fault that is documented."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.clock import FrozenClock
from pilotage.errors import RequestError, UpstreamError
from pilotage.gateway.caller import Caller
from pilotage.gateway.listener import Listener
from pilotage.gateway.wire import Incoming, path_of
from pilotage.serving import chat, embeddings, images, messages, responses, speech
from pilotage.serving.exposure import Exposure
from pilotage.serving.outcome import Outcome
from pilotage.serving.request import Request
from pilotage.serving.routing import Assignment
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Route
from pilotage.upstream.anthropic.reply import to_completion
from pilotage.upstream.anthropic.stream import Chunks
from pilotage.upstream.sse import Splitter, event

# The words that the parsers look for, so that what is made comes near to what is meant.
WORDS = st.sampled_from(
    [
        "model",
        "messages",
        "role",
        "user",
        "system",
        "assistant",
        "tool",
        "content",
        "text",
        "type",
        "input",
        "stream",
        "choices",
        "delta",
        "message",
        "index",
        "usage",
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "finish_reason",
        "stop",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "error",
        "code",
        "output",
        "output_text",
        "response",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "text_delta",
        "input_json_delta",
        "thinking_delta",
        "tool_use",
        "response.completed",
        "response.output_text.delta",
        "image_generation.completed",
        "speech.audio.done",
        "data",
        "tools",
        "tool_choice",
        "image_url",
        "source",
        "base64",
        "metadata",
        "user_id",
        "stop_sequences",
        "max_tokens",
        "system",
        "image",
        "tool_result",
        "thinking",
        "signature_delta",
        "end_turn",
        "partial_json",
        "content_block",
        "stop_reason",
        "output_config",
        "format",
        "json_schema",
        "schema",
        "input_schema",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | WORDS
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=6),
    max_leaves=25,
)
PARSERS: dict[str, Callable[[bytes], Request]] = {
    "chat": chat.parse,
    "messages": messages.parse,
    "responses": responses.parse,
    "embeddings": embeddings.parse,
    "images": images.parse,
    "speech": speech.parse,
}
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True},
    "messages": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "?"}], "stream": True},
    "responses": {"model": "m", "input": "?", "stream": True},
    "embeddings": {"model": "m", "input": "?"},
    "images": {"model": "m", "prompt": "?", "stream": True},
    "speech": {"model": "m", "input": "?", "voice": "v", "stream_format": "sse"},
}
RELEASE = Release(use_case="m", variant="v", upstream=UpstreamAddress(kind="openai"), model="real")


def encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return b"{}"


class Nobody:
    def started(self, event: Any) -> None: ...
    def finished(self, event: Any, text: Any, *, redact: bool) -> None: ...


class Whole:
    """A provider's streamed answer that is never read."""

    status = 200
    content_type = "text/event-stream"

    def chunks(self) -> Any:
        return None

    async def close(self) -> None: ...


def outcome_of(request: Request) -> Outcome:
    route = Route(use_case="m", unit="user", live="r", releases={"r": RELEASE}, metrics={}, retention="full")
    exposure = Exposure(id="i", route=route, assignment=Assignment(RELEASE, "r", "live"), received=1)
    return Outcome(exposure, request, Nobody(), FrozenClock(1))


@pytest.mark.parametrize("surface", PARSERS)
@settings(max_examples=80, deadline=None)
@given(change=st.dictionaries(WORDS, VALUES, max_size=4), data=st.data())
def test_any_request_is_taken_or_refused_by_its_field(
    surface: str, change: dict[str, Any], data: st.DataObject
) -> None:
    for body in (encoded({**BODIES[surface], **change}), data.draw(st.binary(max_size=200))):
        try:
            request = PARSERS[surface](body)
        except RequestError as fault:
            assert fault.status == 400
            continue
        # What was taken can be sent, hashed and recorded.
        try:
            encoded(request.outgoing(RELEASE))
        except UpstreamError as fault:
            assert fault.kind in ("prompt", "protocol")
        assert isinstance(request.question + request.opening + request.transcript, str)
        assert request.everything is not None


@pytest.mark.parametrize("surface", PARSERS)
@settings(max_examples=80, deadline=None)
@given(value=VALUES, data=st.data())
def test_any_answer_is_one_or_the_providers_fault(surface: str, value: Any, data: st.DataObject) -> None:
    request = PARSERS[surface](encoded({**BODIES[surface], "stream": False}))
    for reply in (encoded(value), data.draw(st.binary(max_size=200))):
        try:
            body, content_type = request.whole(reply, "application/json", outcome_of(request))
        except UpstreamError as fault:
            assert fault.kind in ("protocol", "broken")
        except NotImplementedError:
            assert surface == "speech"
        else:
            assert isinstance(body, bytes)
            assert content_type


@pytest.mark.parametrize("surface", ["chat", "messages", "responses", "images", "speech"])
@settings(max_examples=80, deadline=None)
@given(values=st.lists(VALUES, max_size=6), junk=st.binary(max_size=60))
def test_any_event_is_passed_on_or_the_providers_fault(surface: str, values: list[Any], junk: bytes) -> None:
    request = PARSERS[surface](encoded(BODIES[surface]))
    relay = request.relay(Whole(), outcome_of(request), "r")
    form: Any = relay._form  # type: ignore[union-attr]
    try:
        for found in Splitter().feed(b"".join(event(encoded(value)) for value in values) + b"data: " + junk + b"\n\n"):
            assert isinstance(form.take_all(found), bytes)
            assert isinstance(form.take(found), bytes)
        assert isinstance(form.end(), bytes)
    except UpstreamError as fault:
        assert fault.kind in ("protocol", "broken")
        assert form.fault(fault).endswith(b"\n\n")


@settings(max_examples=80, deadline=None)
@given(values=st.lists(VALUES, max_size=6), junk=st.binary(max_size=60))
def test_any_message_becomes_a_completion_or_the_providers_fault(values: list[Any], junk: bytes) -> None:
    for reply in (*map(encoded, values), junk):
        try:
            assert isinstance(to_completion(reply, 1), bytes)
        except UpstreamError as fault:
            assert fault.kind in ("protocol", "broken")
    chunks = Chunks(1, with_usage=True)
    try:
        for value in values:
            assert isinstance(chunks.take(event(encoded(value))), bytes)
        chunks.take(b"data: " + junk + b"\n\n")
    except UpstreamError as fault:
        assert fault.kind in ("protocol", "broken")


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.out, self.closed = b"", False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.out += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


HEADS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /v1/x HTTP/1.1\r\n",
        b"host: x\r\n",
        b"content-length: 3\r\n",
        b"content-length: 30\r\n",
        b"transfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip\r\n",
        b"expect: 100-continue\r\n",
        b"connection: close\r\n",
        b"connection: upgrade\r\nupgrade: h2c\r\n",
        b"\r\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"\n",
        b"\r",
        b": ",
        b"\0",
    ]
)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(HEADS | st.binary(max_size=12), max_size=14), cuts=st.lists(st.integers(1, 40), max_size=10))
def test_any_bytes_of_a_caller_are_answered_or_refused(parts: list[bytes], cuts: list[int]) -> None:
    seen: list[bytes] = []

    async def handle(incoming: Incoming) -> None:
        try:
            seen.append(await incoming.body(1000))
            await incoming.reply(200, b"yes")
        except RequestError as fault:
            await incoming.refuse(fault)

    async def work() -> None:
        listener, wire = Listener(handle), Wire()
        caller = Caller(listener)
        caller.connection_made(wire)
        data = b"".join(parts)
        for cut in [*cuts, len(data)]:
            piece, data = data[:cut], data[cut:]
            if piece and not wire.closed:
                caller.data_received(piece)
                await asyncio.sleep(0)
        for _ in range(6):
            await asyncio.sleep(0)
        caller.connection_lost(None)
        for _ in range(6):
            await asyncio.sleep(0)
        assert not listener.callers
        assert not listener.lanes
        # Nothing is told but whole answers, and no more of them than there were requests.
        heads = wire.out.count(b"HTTP/1.1 ") - wire.out.count(b"HTTP/1.1 100 ")
        assert heads <= len(seen) + 1

    asyncio.run(work())


@given(st.binary(max_size=60))
def test_any_target_has_a_path_or_none(url: bytes) -> None:
    assert isinstance(path_of(url), str)
