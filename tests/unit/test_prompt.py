from __future__ import annotations

import json

import msgspec
import pytest

from pilotage.errors import UpstreamError
from pilotage.serving import prompt
from pilotage.serving.call import prepare
from pilotage.serving.chat import parse
from pilotage.spec.release import Release, UpstreamAddress

MESSAGES = [
    {"role": "system", "content": "The caller's own"},
    {"role": "user", "content": "Where is <my> parcel?"},
]
REQUEST = parse(json.dumps({"model": "support", "messages": MESSAGES}).encode())


def with_prompt(text: str) -> Release:
    return Release(use_case="support", variant="a", upstream=UpstreamAddress(kind="openai"), model="m", prompt=text)


def test_the_prompt_sees_the_request_and_is_plain_text() -> None:
    text = "{{ use_case }}: {{ question }} ({{ messages | length }})"
    assert prompt.render(with_prompt(text), REQUEST) == "support: Where is <my> parcel? (2)"


def test_it_comes_first_and_the_callers_messages_follow_untouched() -> None:
    body = msgspec.json.decode(prepare(REQUEST, with_prompt("Be brief."), unit="", request_id="r").body)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, *MESSAGES]
    body = msgspec.json.decode(prepare(REQUEST, with_prompt(""), unit="", request_id="r").body)
    assert body["messages"] == MESSAGES


def test_a_template_is_compiled_once() -> None:
    release = with_prompt("Compiled {{ question }} once")
    prompt.render(release, REQUEST)
    before = prompt._compiled.cache_info().misses
    prompt.render(release, REQUEST)
    assert prompt._compiled.cache_info().misses == before


@pytest.mark.parametrize(
    "text",
    [
        "{{ nobody }}",
        "{% if %}",
        "{{ 1 // 0 }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages[7].content }}",
        "{% for n in range(10000000) %}x{% endfor %}",
        "{{ question + 1 }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_does_not_render_is_its_releases_fault(text: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        prompt.render(with_prompt(text), REQUEST)
    assert raised.value.kind == "prompt"
    assert "parcel" not in raised.value.message
