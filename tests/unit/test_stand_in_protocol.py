"""The stand-in's protocol: requests read strictly, replies in OpenAI's shapes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pilotage.demo.protocol import Completion, Fault, read
from pilotage.demo.writer import Written


def body(**changes: Any) -> bytes:
    asked = {"model": "stand-in-careful", "messages": [{"role": "user", "content": "How long?"}]}
    return msgspec.json.encode({**asked, **changes})


@pytest.mark.parametrize(
    ("sent", "status", "param", "code"),
    [
        (b"{", 400, None, None),
        (body(model="other"), 404, "model", "model_not_found"),
        (body(model=3), 400, "model", "invalid_type"),
        (body(messages=[]), 400, "messages", None),
        (body(messages=[{"role": "system", "content": "only this"}]), 400, "messages", None),
        (body(temperature=2.5), 400, "temperature", None),
        (body(max_tokens=-1), 400, "max_tokens", None),
        (body(n=2), 400, "n", None),
    ],
)
def test_what_cannot_be_answered_gets_an_error_in_openais_shape(
    sent: bytes, status: int, param: str | None, code: str | None
) -> None:
    with pytest.raises(Fault) as raised:
        read(sent)
    error = msgspec.json.decode(raised.value.body)["error"]
    assert raised.value.status == status
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert error["message"]


def test_the_question_is_the_last_users_text_also_in_parts() -> None:
    parts = [{"type": "text", "text": "How"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "long?"}]
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    assert read(body(messages=[*messages, {"role": "user", "content": parts}])).question == "How long?"


def test_unknown_fields_are_accepted() -> None:
    assert read(body(user="x", metadata={"a": 1}, max_completion_tokens=7)).limit == 7


def test_a_whole_reply_counts_its_tokens() -> None:
    completion = Completion(read(body()), Written(["45", " days"], "stop"), 1)
    reply = msgspec.json.decode(completion.whole())
    assert reply["choices"][0]["message"]["content"] == "45 days"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize("counted", [True, False])
def test_a_stream_is_one_event_a_token_and_counts_where_asked(counted: bool) -> None:
    request = read(body(stream=True, stream_options={"include_usage": counted}))
    events = Completion(request, Written(["45", ' "days"'], "length"), 1).events()
    assert events[-1] == b"data: [DONE]\n\n"
    chunks = [msgspec.json.decode(event.removeprefix(b"data: ")) for event in events[:-1]]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:4]] == ["", "45", ' "days"', None]
    assert chunks[3]["choices"][0]["finish_reason"] == "length"
    if counted:
        assert chunks[4] == {**chunks[4], "choices": [], "usage": {**chunks[4]["usage"], "completion_tokens": 2}}
    assert len(chunks) == (5 if counted else 4)
