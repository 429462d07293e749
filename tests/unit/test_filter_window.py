# ruff: noqa: RUF001 - these signs are here because they look like others

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.look import Find, Timer
from pilotage.guardrails.personal_data import PersonalData
from pilotage.guardrails.window import Window

FINDER = PersonalData()
PIECES = st.sampled_from(
    [
        "4111 1111 1111 1111", "5555-5555-5555-4444", "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "jane@example.co.uk",
        "a.b+c@", "x.de", "+49 30 1234567", "(030) 123-4567", "555-123-4567", "123-45-6789", "12345678Z", "AB 12 34 56 C",
        "sk-a1B2a1B2a1B2a1B2a1", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh1", "192.168.10.254", "2001:db8::ff00:42:8329",
        "-----BEGIN RSA PRIVATE KEY-----", "MIIabc", "-----END RSA PRIVATE KEY-----", "86095742719", "tax id ", "bsn ", "call ",
        " ", " ", " ", "\n", ".", ",", ":", "-", "--", "1", "12", "0", "@", "word", "is", "Ab", "ABCDEF12A34B567C", "４１１１", "\u200b",
        "é", "ﷺ", "½", "Ａ", "а", "①", "中文", "1 2 3 4 5 6 7 8 9 0 " * 15, "x" * 70, "9" * 300, "20/11/2020", "/", "(", "+",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map("".join)


def label(find: Find, _: str) -> str:
    return f"[{find.kind}]"


def whole(text: str) -> str:
    return Window(FINDER, label).feed(text, Timer(60), last=True)


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    window = Window(FINDER, label)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    out = [window.feed(text[start:end], Timer(60)) for start, end in pairwise(places)]
    return [*out, window.feed("", Timer(60), last=True)]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(TEXTS, st.lists(st.integers(0, 10_000), max_size=12))
def test_however_a_text_is_cut_the_same_comes_out_and_nothing_comes_out_that_is_taken_back(
    text: str, cuts: list[int]
) -> None:
    assert "".join(in_pieces(text, cuts)) == whole(text)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TEXTS)
def test_sign_by_sign_too(text: str) -> None:
    assert "".join(in_pieces(text, list(range(len(text))))) == whole(text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(), st.text())
@example("\u0301", "é").via("a mark alone")
def test_folding_goes_sign_by_sign_and_the_way_back_is_exact(one: str, other: str) -> None:
    folded = Folded(one + other)
    assert folded.text == Folded(one).text + Folded(other).text
    assert Folded(folded.text).text == folded.text
    assert len(folded.data) == len(folded.text)
    at = 0
    for sign_at, sign in enumerate(one + other):
        became = Folded(sign).text
        assert folded.text[at : at + len(became)] == became
        for place in range(at, at + len(became)):
            assert folded.origin(place) == sign_at
            assert folded.stood(place, place + 1) == (sign_at, sign_at + 1)
        at += len(became)
    assert at == len(folded.text)


def test_ordinary_words_are_held_for_one_word_at_most() -> None:
    window = Window(FINDER, label)
    text = "Your parcel arrives tomorrow, and you will get a message. " * 5
    out = 0
    for at in range(0, len(text), 4):
        out += len(window.feed(text[at : at + 4], Timer(60)))
        assert at + 4 - out <= 24


def test_shuffled_digits_and_signs_come_out_the_same() -> None:
    chance = random.Random(7)
    for _ in range(60):
        text = "".join(chance.choices("0123456789 -./()+@aA:", [4] * 10 + [6] + [1] * 10, k=chance.randint(1, 700)))
        cuts = [chance.randint(0, len(text)) for _ in range(chance.randint(0, 40))]
        assert "".join(in_pieces(text, cuts)) == whole(text)
