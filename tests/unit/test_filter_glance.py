"""What is passed on at one glance is what would be passed on if it were looked at closely."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.guardrails.filters import Filters
from pilotage.guardrails.passage import Passage
from pilotage.serving.filtering import chat
from pilotage.serving.filtering.texts import plain, texts
from pilotage.spec.filter_rule import FilterRule
from pilotage.upstream.sse import event

FOUND = FilterRule(name="pii", kind="personal_data", side="both", action="redact")
CLOSER = FilterRule(name="words", kind="phrases", side="both", action="flag", phrases=("never said",))
WORDS = st.sampled_from(
    ["mail", " jo@example.com", " 4111", " 1111", " and", ' "', "\n", " Größe", " is", "", " +49 170 1234567 "]
)


def passage(*rules: FilterRule) -> Passage:
    return Passage(Filters(rules, ""))


def chunk(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event(msgspec.json.encode({"id": "c", "model": "m", "choices": [choice], **more}))


@pytest.mark.parametrize(
    ("said", "clear"),
    [
        (["How do I return it?"], True),
        (["one", "two"], True),
        (["mail me at jo@example.com"], False),
        (["a" * 70_000], False),
    ],
)
def test_only_what_certainly_holds_nothing_is_clear(said: list[str], clear: bool) -> None:
    assert passage(FOUND).clear(said, "in") is clear
    assert passage(FOUND).clear(said, "out") is clear


def test_other_filters_always_look_closely() -> None:
    assert not passage(FOUND, CLOSER).clear(["harmless"], "in")


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": "a", "name": "x@y.example"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "text": "a"}],
    ],
)
def test_plain_texts_are_all_texts_or_none(messages: list[dict[str, object]]) -> None:
    assert plain({"messages": messages}) in ([], texts({"messages": messages}))
    assert plain({"messages": messages, "prompt": "b"}) == []


@given(st.lists(WORDS, max_size=12))
@settings(max_examples=150, deadline=None)
def test_events_that_are_alike_say_what_each_read_whole_would_say(words: list[str]) -> None:
    quick, slow = chat.ChatSieve(passage(FOUND)), chat.ChatSieve(passage(FOUND))
    for number, word in enumerate(words):
        # Told apart by a field of their own, no two events are alike.
        one = quick.take(chunk(word))
        other = slow.take(chunk(word, number=number))
        assert one == other.replace(b',"number":%d' % number, b"")


def test_an_event_that_says_more_is_read_whole() -> None:
    sieve = chat.ChatSieve(passage(FOUND))
    assert sieve.take(chunk("one, "))
    sneaked = chunk("two ").replace(b'"two "', b'"two ","more":"jo@example.com"')
    assert b"example.com" not in sieve.take(sneaked)
    broken = chunk("three ").replace(b'"three "', b'"three')
    assert sieve.take(broken) == broken
