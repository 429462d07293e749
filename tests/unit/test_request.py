from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import RequestError
from pilotage.serving.call import prepare
from pilotage.serving.chat import parse
from pilotage.serving.request import too_deep
from pilotage.spec.release import Release, UpstreamAddress

ASSISTANT = Release(use_case="support", variant="assistant", upstream=UpstreamAddress(kind="openai"), model="m-1")


def a_body(**more: Any) -> bytes:
    return json.dumps({"model": "support", "messages": [{"role": "user", "content": "Hi"}], **more}).encode()


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\[]{}é'), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('x"\\[{', max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(JSON, st.integers(0, 4), st.booleans())
def test_depth_is_counted_without_decoding(value: object, limit: int, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert too_deep(data, limit) == (depth(value) > limit)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"model": NaN}', "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 65 + b"]" * 65, "too_deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "too_deep"),
        (b"[]", "invalid_request"),
        (b'"text"', "invalid_request"),
    ],
)
def test_what_is_not_a_request_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RequestError) as raised:
        parse(data)
    assert (raised.value.status, raised.value.error_code, raised.value.param) == (400, code, None)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": 1, "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": ["b"]}]},
            "messages[1].content[0]",
        ),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"user": 12}, "user"),
        ({"safety_identifier": []}, "safety_identifier"),
    ],
)
def test_a_wrong_field_is_named(more: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as raised:
        parse(a_body(**more))
    assert (raised.value.status, raised.value.param) == (400, param)
    assert param in raised.value.message


def test_a_request_says_what_it_asks() -> None:
    messages = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": [{"type": "text", "text": "Last"}, {"type": "image_url", "image_url": {}}]},
    ]
    request = parse(a_body(messages=messages, user="u", safety_identifier="s", stream=None))
    assert (request.opening, request.question, request.user, request.stream) == ("First", "Last", "s", False)


def sent(data: bytes, release: Release = ASSISTANT, unit: str = "digest") -> Any:
    return msgspec.json.decode(prepare(parse(data), release, unit=unit, request_id="r").body)


def test_unknown_fields_pass_through_and_fixed_parameters_win() -> None:
    fixed = msgspec.structs.replace(ASSISTANT, parameters={"temperature": 0.2, "seed": 4})
    body = sent(a_body(temperature=1.5, top_p=0.9, brand_new={"field": [1, None]}), fixed)
    assert body["model"] == "m-1"
    assert (body["temperature"], body["seed"], body["top_p"], body["brand_new"]) == (0.2, 4, 0.9, {"field": [1, None]})
    assert "stream_options" not in body
    assert "user" not in body


def test_users_leave_as_digests_only() -> None:
    body = sent(a_body(user="alice@example.org", safety_identifier="alice"))
    assert (body["user"], body["safety_identifier"]) == ("digest", "digest")


def test_a_stream_asks_for_its_tokens() -> None:
    assert sent(a_body(stream=True, stream_options={"x": 1}))["stream_options"] == {"x": 1, "include_usage": True}
