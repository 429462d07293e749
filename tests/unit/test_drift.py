from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.decision import drift
from pilotage.decision.drift import Asked, slice_text
from pilotage.decision.traits import Traits, is_json, language, of_figures, of_texts, question_of
from pilotage.decision.watch import Crossing, Watching, after
from pilotage.spec.watch import Watch
from pilotage.stats.topics import BUCKETS, counted, learn, unit, vocabulary

HOUR = 3_600_000_000
SUBJECTS = (
    ("card", "arrive", "delivery", "waiting", "post", "envelope"),
    ("transfer", "bank", "abroad", "money", "receive", "iban"),
    ("pin", "forgot", "change", "code", "reset", "locked"),
)
OTHER = ("pizza", "recipe", "oven", "dough", "tomato", "cheese", "basil", "flour")


def question(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return "how do i " + " ".join(rng.choice(words, 3, replace=False)) + " my account please"


def asked(rng: np.random.Generator, number: int, *, other: float = 0.0, refused: float = 0.02) -> Asked:
    words = OTHER if rng.random() < other else SUBJECTS[int(rng.integers(len(SUBJECTS)))]
    reply = "I'm sorry, I can't help with that." if rng.random() < refused else "You find it in the app under settings."
    row = {
        "duration": 1_000 + int(rng.integers(1_000)),
        "counted": True,
        "input_tokens": 50,
        "output_tokens": 20,
        "cost": 0,
    }
    figures = of_figures({**row, "finish_reason": "stop"}, [])
    return drift.read(f"i{number}", figures, (question(rng, words), reply), "stop", 7)


class Stream:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.known = drift.learned([asked(self.rng, n) for n in range(2_000)], self.rng)
        watch = Watch.model_validate({"tick": "1h"})
        self.setting = drift.setting(self.known, watch)
        self.watching: Watching = drift.begin(self.known)
        self.hour = 0

    def go(self, hours: int, **change: float) -> list[Crossing]:
        found: list[Crossing] = []
        for _ in range(hours):
            self.hour += 1
            now = [asked(self.rng, n, **change) for n in range(40)]
            batch, self.inside = drift.gathered(self.known, now, self.hour * HOUR)
            self.watching, crossings = after(self.watching, batch, self.setting)
            found += crossings
        return found


@pytest.mark.parametrize(
    ("change", "slices"), [({"other": 0.3}, {"novel+", "unfamiliar>"}), ({"refused": 0.3}, {"refused+"})]
)
def test_what_moves_is_named_and_what_stays_is_quiet(change: dict[str, float], slices: set[str]) -> None:
    stream = Stream(3)
    assert stream.go(60) == []
    found = stream.go(24, **change)
    assert {crossing.stream for crossing in found} >= slices
    first = found[0]
    assert first.value > first.level
    assert 60 <= first.since // HOUR <= 72


def test_examples_are_the_newest_of_a_slice_that_grows() -> None:
    stream = Stream(5)
    before = drift.Drift(until=0, watching=stream.watching, examples={"refused+": tuple(f"old{n}" for n in range(10))})
    stream.go(3, refused=0.5)
    found = drift.examples(before, stream.watching, stream.inside)
    assert len(found["refused+"]) == drift.EXAMPLES
    assert found["refused+"][-1] in stream.inside["refused+"]


def test_without_texts_only_figures_are_looked_at() -> None:
    rng = np.random.default_rng(1)
    figures = [Asked(f"i{n}", Traits({"cost": float(rng.integers(100))}, {"tools": n % 2 == 0})) for n in range(1_000)]
    known = drift.learned(figures, rng)
    assert known.topics is None
    assert set(known.slices) == {"cost<", "cost>", "tools+", "tools-"}


def test_few_requests_teach_nothing() -> None:
    rng = np.random.default_rng(1)
    assert drift.learned([asked(rng, n) for n in range(100)], rng).slices == {}


def test_every_slice_has_words() -> None:
    stream = Stream(3)
    assert all(slice_text(name) and "{" not in slice_text(name) for name in stream.known.slices)
    assert slice_text("reply_tokens>") == "longer replies (in tokens)"


def test_novel_texts_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(2)
    texts = [counted(question(rng, SUBJECTS[n % 3]), 7) for n in range(3_000)]
    words = vocabulary(texts[:1_000])
    topics = learn(words.rows(texts[:1_000]), words.rows(texts[1_000:2_000]), rng)
    _, far = topics.look(words.rows(texts[2_000:]))
    assert (far > topics.strange).mean() < 0.05
    _, other = topics.look(words.rows([counted(question(rng, OTHER), 7) for _ in range(200)]))
    assert (other > topics.strange).mean() > 0.9


def test_topics_of_vectors_are_told_from_others() -> None:
    rng = np.random.default_rng(4)
    subjects = rng.normal(size=(4, 64))

    def vectors(n: int, *of: int) -> list[Asked]:
        rows = subjects[rng.choice(of, n)] + 0.3 * rng.normal(size=(n, 64))
        return [
            msgspec.structs.replace(asked(rng, k), vector=row) for k, row in enumerate(unit(rows.astype(np.float32)))
        ]

    known = drift.learned(vectors(2_000, 0, 1, 2), rng, "shop/embedder@1")
    assert known.topics is not None
    assert known.topics.width == 64
    novel = [one.traits.facts["novel"] for one in drift.told(vectors(400, 0, 1, 2), known)]
    assert sum(novel) < 0.06 * 400
    assert all(one.traits.facts["novel"] for one in drift.told(vectors(100, 3), known))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=drift.Reference)
    assert again == known


def test_what_has_no_vector_of_the_learned_width_is_not_held_against_topics() -> None:
    rng = np.random.default_rng(4)
    rows = unit(rng.normal(size=(600, 8)).astype(np.float32))
    known = drift.learned(
        [msgspec.structs.replace(asked(rng, k), vector=row) for k, row in enumerate(rows)], rng, "shop/embedder@1"
    )
    assert known.topics is not None
    other = msgspec.structs.replace(asked(rng, 1), vector=rows[0][:4])
    for one in drift.told([asked(rng, 0), other], known):
        assert "novel" not in one.traits.facts
        assert "topic" not in one.traits.kinds


@given(st.text(max_size=300))
def test_any_text_is_looked_at(text: str) -> None:
    pieces = counted(text, 11)
    assert all(0 <= piece < BUCKETS for piece in pieces.pieces)
    assert set(pieces.words) <= set(pieces.pieces)
    assert language(text)
    of_texts(text, text, "stop")


def test_another_seed_hashes_otherwise() -> None:
    assert counted("where is my card", 1) != counted("where is my card", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Where is the card that I ordered?", "English"),
        ("Wo ist meine Karte und wie kann ich sie sperren?", "German"),
        ("Où est ma carte et comment puis-je la bloquer ?", "French"),
        ("где моя карта", "Cyrillic"),
        ("カードはどこですか", "Japanese"),
        ("12345", "an unclear language"),
    ],
)
def test_languages(text: str, said: str) -> None:
    assert language(text) == said


def test_what_a_reply_is() -> None:
    assert is_json(' {"a": [1, 2]}')
    assert not is_json('{"a": [1, 2}')
    assert not is_json("7")
    assert of_texts("?", "I\u2019m sorry, but no.", "stop").facts["refused"]
    assert not of_texts("?", "You can do it in the app.", "stop").facts["refused"]
    assert of_texts("?", "x", "content_filter").facts["refused"]


def test_the_question_is_what_the_user_said_last() -> None:
    assert question_of("user: a") == "a"
    assert question_of("system: be kind\n\nuser: a\n\nassistant: b\n\nuser: c\n\nd") == "c\n\nd"
    assert question_of("") == ""
