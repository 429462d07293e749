"""What is passed on at one glance is what would be passed on if it were looked at closely."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.guardrails.filters import Filters
from pilotage.guardrails.passage import Passage
from pilotage.serving.filtering.chat_sieve import ChatSieve
from pilotage.serving.filtering.texts import plain, texts
from pilotage.spec.filter_rule import FilterRule
from pilotage.upstream.sse import event

# Tests run on busy machines.
FOUND = FilterRule(name="pii", kind="personal_data", side="both", action="redact", deadline=60_000_000)
CLOSER = FilterRule(
    name="words", kind="phrases", side="both", action="flag", phrases=("never said",), deadline=60_000_000
)
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
    assert Filters((FOUND,), "").clear(said, "in") is clear
    assert Filters((FOUND,), "").clear(said, "out") is clear


def test_other_filters_always_look_closely() -> None:
    assert not Filters((FOUND, CLOSER), "").clear(["harmless"], "in")


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
    quick, slow = ChatSieve(passage(FOUND)), ChatSieve(passage(FOUND))
    for number, word in enumerate(words):
        # Told apart by a field of their own, no two events are alike.
        one = quick.take(chunk(word))
        other = slow.take(chunk(word, number=number))
        assert one == other.replace(b',"number":%d' % number, b"")


def test_an_event_that_says_more_is_read_whole() -> None:
    sieve = ChatSieve(passage(FOUND))
    assert sieve.take(chunk("one, "))
    sneaked = chunk("two ").replace(b'"two "', b'"two ","more":"jo@example.com"')
    assert b"example.com" not in sieve.take(sneaked)
    broken = chunk("three ").replace(b'"three "', b'"three')
    assert sieve.take(broken) == broken


def texts_of(out: bytes) -> str:
    said = [
        msgspec.json.decode(one.removeprefix(b"data: ")) for one in out.split(b"\n\n") if one and b"[DONE]" not in one
    ]
    return "".join(one["choices"][0]["delta"].get("content", "") for one in said)


@given(st.lists(WORDS, max_size=12), st.lists(st.integers(1, 5), min_size=12, max_size=12))
@settings(max_examples=150, deadline=None)
def test_events_that_come_together_say_what_they_would_say_one_by_one(words: list[str], sizes: list[int]) -> None:
    ending = [
        event(msgspec.json.encode({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
        event(b"[DONE]"),
    ]
    events = [*map(chunk, words), *ending]
    together, apart = ChatSieve(passage(FOUND)), ChatSieve(passage(FOUND))
    alone = b"".join(apart.take(one) for one in events)
    out = b""
    for size in [*sizes, len(events)]:
        some, events = events[:size], events[size:]
        out += together.take_all(some)
    assert texts_of(out) == texts_of(alone)
    assert out.endswith(event(b"[DONE]"))


def test_nothing_follows_what_is_blocked() -> None:
    sieve = ChatSieve(passage(FilterRule(name="pii", kind="personal_data", side="both", action="block")))
    out = sieve.take_all([chunk("mail "), chunk("jo@example.com "), chunk("or call "), chunk("us"), event(b"[DONE]")])
    assert sieve.done
    assert b"example.com" not in out
    assert out.count(b"content_filter") == out.count(b"[DONE]") == 1
