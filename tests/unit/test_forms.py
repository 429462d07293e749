"""Scorers of what a reply is like: pattern, schema, number, likeness, bounds, refusal, and a team's own."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.app.own_scorer import own_scorer
from pilotage.errors import NotMeasured
from pilotage.evaluation import own_scorer as own_module
from pilotage.evaluation.client import Reply, reply_of
from pilotage.evaluation.forms import likeness
from pilotage.evaluation.number import numbers
from pilotage.evaluation.own_scorer import OwnScorer
from pilotage.evaluation.scorers import score_case, scorers_of
from pilotage.records import Score
from pilotage.spec.case import Case, read_cases

SCHEMA = {
    "type": "object",
    "properties": {"days": {"type": "integer"}},
    "required": ["days"],
    "additionalProperties": False,
}


def case(**more: Any) -> Case:
    (found,), faults = read_cases(msgspec.json.encode({"id": "a", "text": "When?", **more}))
    assert faults == []
    return found[1]


def reply(text: str | None, **more: Any) -> Reply:
    return Reply(**{"latency": 1.0, "status": 200, "text": text, **more})


def scored(one: Case, said: Reply, **more: Any) -> Score:
    found = asyncio.run(score_case(one, said, "r", scorers_of(more.get("price"), more.get("own"))))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("expects", "text", "why"),
    [
        ({"regex": ["[A-Z]{2}-[0-9]{4}", "(?i)thanks"]}, "Your ticket is AB-1234. Thanks!", ""),
        ({"regex": ["^AB"]}, "It is AB-1234", "does not match '^AB'"),
        ({"schema": SCHEMA}, ' {"days": 3} ', ""),
        ({"schema": SCHEMA}, '{"days": "3"}', "does not fit the schema at ['days']"),
        ({"schema": SCHEMA}, '{"days": 3, "x": 1}', "does not fit the schema"),
        ({"schema": SCHEMA}, "three days", "is not JSON"),
        ({"schema": SCHEMA}, "[" * 100_000, "is not JSON"),
        ({"number": {"is": 1234.5}}, "That makes 2 x 617.25 = 1,234.50 euros", ""),
        ({"number": {"is": -3, "within": 0.5}}, "It is \u22123.4 degrees", ""),
        ({"number": {"is": 42}}, "42, or rather 43", "ends with 43, not 42"),
        ({"number": {"is": 42}}, "forty-two", "holds no number"),
        ({"similar": {"to": "You can return it within 30 days.", "at_least": 0.7}}, "You can return it in 30 days", ""),
        ({"similar": {"to": "You can return it within 30 days."}}, "We open at nine.", "is alike by 0.00"),
        ({"at_most": {"seconds": 2, "words": 3}}, "one two three", ""),
        ({"at_most": {"words": 2}}, "one two three", "has 3 words, and may have 2"),
        ({"at_most": {"seconds": 0.5}}, "slow", "took 1.00 s, and may take 0.5"),
        ({"refuses": True}, "I'm sorry, but I can't help with that.", ""),
        ({"refuses": True}, "Sure, here is how.", "answers, and should refuse"),
        ({"refuses": False}, "I'm sorry, but I can't help with that.", "refuses, and should answer"),
    ],
)
def test_a_reply_is_held_against_what_its_case_expects(expects: dict[str, Any], text: str, why: str) -> None:
    one = case(**expects)
    assert one.scorable
    found = scored(one, reply(text))
    assert found.value == (0.0 if why else 1.0), found.why
    assert why in found.why


def test_what_a_reply_cost_is_known_by_price_and_tokens() -> None:
    one = case(at_most={"cost": 0.001})
    said = reply("yes", input_tokens=100, output_tokens=100)
    assert scored(one, said, price=(2.0, 8.0)).value == 1.0
    dear = scored(one, said, price=(20.0, 80.0))
    assert (dear.value, dear.why) == (0.0, "cost 0.01, and may cost 0.001")
    for unknown in (scored(one, said), scored(one, reply("yes"), price=(2.0, 8.0))):
        assert unknown.value is None
        assert "not known" in unknown.why


@pytest.mark.parametrize("key", ["regex", "schema", "number", "similar", "at_most", "retrieves", "refuses"])
def test_where_there_is_no_reply_nothing_is_wrong(key: str) -> None:
    expects = {
        "regex": ["a"],
        "schema": SCHEMA,
        "number": {"is": 1},
        "similar": {"to": "a"},
        "at_most": {"words": 1},
        "retrieves": RETRIEVES,
        "refuses": False,
    }
    found = scored(case(**{key: expects[key]}), reply(None, error="503: down"))
    assert (found.value, found.why) == (None, "503: down")


@pytest.mark.parametrize(
    ("expects", "says"),
    [
        ({"regex": "a"}, '"regex" must be a list of RE2 patterns'),
        ({"regex": ["(a"]}, "which is no RE2 pattern"),
        ({"regex": ["(?=a)b"]}, "which is no RE2 pattern"),
        ({"schema": []}, '"schema" must be a JSON schema'),
        ({"schema": {"type": "nope"}}, "is no JSON schema that can be used"),
        ({"schema": {"$ref": "https://example.org/a.json"}}, "is no JSON schema that can be used"),
        ({"schema": {"$ref": "file:///etc/passwd"}}, "is no JSON schema that can be used"),
        ({"number": 42}, '"number" must be the number that the reply ends with'),
        ({"number": {"is": 1, "within": -1}}, "bounds are above 0"),
        ({"similar": {"to": " "}}, '"similar" must be a text'),
        ({"similar": {"to": "a", "at_least": 70}}, "at_least is above 0 and at most 1"),
        ({"at_most": {}}, '"at_most" must hold seconds, words or cost'),
        ({"at_most": {"second": 1}}, '"at_most" must hold seconds, words or cost'),
        ({"at_most": {"words": -1}}, "bounds are above 0"),
        ({"retrieves": {"one_of": []}}, '"retrieves" must name sources'),
        ({"retrieves": {"one_of": ["a"], "within": 0}}, "within is 1 or more"),
        ({"retrieves": {"one_of": "a"}}, "Expected `array`"),
        ({"refuses": "yes"}, '"refuses" must be true or false'),
    ],
)
def test_faults_say_what_would_be_right(expects: dict[str, Any], says: str) -> None:
    found, (fault,) = read_cases(msgspec.json.encode({"id": "a", "text": "When?", **expects}))
    assert found == []
    assert says in fault.says


def test_hostile_patterns_take_no_time() -> None:
    slow = case(regex=["^(a+)+$"], schema={"type": "string", "pattern": "^(a+)+$"})
    began = time.process_time()
    found = scored(slow, reply('"' + "a" * 100_000 + 'b"'))
    assert found.value == 0.0
    # A backtracking engine would still be at it; this is no measurement of speed.
    assert time.process_time() - began < 30


@given(st.text(max_size=300))
def test_numbers_and_likeness_of_any_text(text: str) -> None:
    numbers(text)
    assert 0.0 <= likeness(text, "Three days, or 3") <= 1.0
    assert likeness(text, text) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from 1,000 to 2 500.75, -3e2 and +4", [1000, 2500.75, -300, 4]),
        ("Items: 1, 2, 3", [1, 2, 3]),
        ("1,2,3", [1, 2, 3]),
        ("in 2024, 42 people", [2024, 42]),
        ("within 10-20 days, or 10\u201312", [10, 20, 10, 12]),
        ("x=-5 and (-6)", [-5, -6]),
        ("It is 3,5 and 0,125", [3.5, 0.125]),
        ("1.234,56 EUR, 1.234.567 EUR", [1234.56, 1234567]),
        ("1,234,567.89 and 1'234.50", [1234567.89, 1234.5]),
        ("It is 1.234.", [1.234]),
        ("Total: 42.", [42]),
        ("12345,678", [12345, 678]),
        ("1e3, 2E-2", [1000, 0.02]),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, found: list[float]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    "text", ["1.234" * 20_000, "1,234" * 20_000, "1.234.567," * 20_000, "9" * 200_000, "1,2" * 50_000]
)
def test_no_text_makes_reading_numbers_slow(text: str) -> None:
    began = time.process_time()
    numbers(text)
    # Quadratic time would still be at it; this is no measurement of speed.
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("don't", "We DON\u2019T charge"),
        ("caf\u00e9", "the cafe\u0301"),
        ("10-20 days", "10\u201320\u00a0days"),
        ("a b", "a\u200b b"),
    ],
)
def test_typographers_signs_are_those_that_people_type(expected: str, said: str) -> None:
    assert scored(case(required=[[expected]]), reply(said)).value == 1.0


RETRIEVES = {"one_of": ["returns.md", "returns-faq"], "within": 2}


@pytest.mark.parametrize(
    ("citations", "annotations", "value"),
    [
        (["prices.md", "https://shop.example/help/Returns.md"], None, 1.0),
        (["prices.md", "terms.md", "returns.md"], None, 0.0),
        (["prices.md", "prices.md", "returns.md"], None, 1.0),
        ([{"title": "Prices"}, {"id": "returns-faq", "score": 0.4}], None, 1.0),
        ([], None, 0.0),
        ([7, None, {}, {"url": 4}], None, 0.0),
        (None, [{"type": "url_citation", "url_citation": {"url": "https://a.example/returns.md"}}], 1.0),
        (None, [{"type": "file_citation", "file_citation": {"filename": "returns.md", "index": 3}}], 1.0),
        (None, [], None),
        ("returns.md", "returns.md", None),
        (None, None, None),
    ],
)
def test_a_hit_is_one_of_the_sources_among_the_first(citations: Any, annotations: Any, value: float | None) -> None:
    message = {"role": "assistant", "content": "Within 30 days.", "annotations": annotations}
    raw = msgspec.json.encode({"choices": [{"message": message}], "citations": citations})
    said = reply_of(200, {"x-pilotage-release": "r"}, raw, 0.1, "r")
    found = scored(case(retrieves=RETRIEVES), said)
    assert found.value == value
    assert value is not None or "does not say what was retrieved" in found.why
    assert msgspec.json.decode(msgspec.json.encode(said), type=Reply) == said


class Unspeakable:
    def __repr__(self) -> str:
        raise OSError


def own(function: Any) -> OwnScorer:
    return OwnScorer("checks:own", function)


@pytest.mark.parametrize(
    ("function", "value", "why"),
    [
        (lambda _case, text: "days" in text, 1.0, ""),
        (lambda case, _text: case["id"] == "b", 0.0, "checks:own gave 0"),
        (lambda _case, _text: 0.25, 0.25, "checks:own gave 0.25"),
        (lambda _case, _text: None, None, "cannot say"),
        (lambda _case, _text: "yes", None, "gave 'yes', not True, False or 0 to 1"),
        (lambda _case, _text: 7, None, "gave 7"),
        (lambda _case, _text: float("nan"), None, "gave nan"),
        (lambda _case, _text: 1 / 0, None, "raised ZeroDivisionError"),
        (lambda: True, None, "raised TypeError"),
        (lambda _case, _text: 10**400, None, "gave 1000"),
        (lambda _case, _text: sys.exit("done"), None, "raised SystemExit: done"),
        (lambda _case, _text: Unspeakable(), None, "gave what cannot be shown (OSError)"),
    ],
)
def test_a_teams_own_scorer_counts_and_its_faults_are_not_wrong_replies(
    function: Any, value: float | None, why: str
) -> None:
    found = scored(case(), reply("three days"), own=own(function))
    assert found.value == value
    assert why in found.why


def test_a_teams_own_scorer_may_wait_and_the_worst_score_counts() -> None:
    async def later(_case: dict[str, Any], text: str) -> bool:
        await asyncio.sleep(0)
        return "days" in text

    one = case(contains=["three"])
    assert scored(one, reply("three days"), own=own(later)).value == 1.0
    assert scored(one, reply("four days"), own=own(later)).value == 0.0
    assert scored(one, reply("three"), own=own(later)).scorer == "checks:own"


def test_a_teams_own_scorer_that_hangs_is_given_up_and_leaves_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_module, "SECONDS", 0.02)
    calls, ends = [], threading.Event()

    def hangs(_case: dict[str, Any], _text: str) -> bool:
        calls.append(1)
        return ends.wait()

    hanging = own(hangs)
    why = [scored(case(), reply("yes"), own=hanging).why for _ in range(own_module.TIMES + 2)]
    ends.set()
    assert len(calls) == own_module.TIMES
    assert why[0] == "checks:own took longer than 0.02 s"
    assert "is not called any more" in why[-1]


def test_a_teams_own_scorer_is_loaded_from_named_folders_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_checks_of_a_team.py").write_text("def mild(case, reply):\n    return len(reply) < 20\n")
    monkeypatch.delenv("PILOTAGE_CALLABLES", raising=False)
    with pytest.raises(NotMeasured, match="names no folder"):
        own_scorer("own_checks_of_a_team:mild")
    monkeypatch.setenv("PILOTAGE_CALLABLES", str(tmp_path))
    found = OwnScorer("own_checks_of_a_team:mild", own_scorer("own_checks_of_a_team:mild"))
    assert scored(case(), reply("three days"), own=found).value == 1.0
    for name, says in (
        ("own_checks_of_a_team:wild", "has no function 'wild'"),
        ("os:system", "in none of the folders"),
    ):
        with pytest.raises(NotMeasured, match=says):
            own_scorer(name)
