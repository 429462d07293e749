from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import FaultyFile
from pilotage.evaluation.dataset import answer_key, asked, load_cases, take_evenly
from pilotage.spec.case import Case


def lines(*cases: dict[str, Any] | str) -> bytes:
    return "\n".join(case if isinstance(case, str) else json.dumps(case) for case in cases).encode()


def faults(*files: tuple[str, bytes]) -> tuple[str, ...]:
    with pytest.raises(FaultyFile, match="no case was asked") as fault:
        load_cases(files)
    return fault.value.faults


def test_a_question_with_facts_a_plain_question_and_a_conversation() -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Do you"}, {"type": "text", "text": "ship?"}]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "  "},
    ]
    facts = {
        "id": "a",
        "text": "How long?",
        "scenario": "returns",
        "kind": "short",
        "required": [["30 days", "a month"]],
    }
    cases = load_cases(
        [
            ("one.jsonl", lines(facts, "", {"id": "b", "text": "Hi"})),
            ("two.jsonl", lines({"id": "c", "messages": talk})),
        ]
    )
    assert cases[0] == Case(
        id="a", text="How long?", scenario="returns", kind="short", required=(("30 days", "a month"),)
    )
    assert [case.scorable for case in cases] == [True, False, False]
    assert asked(cases[1]) == ({"role": "user", "content": "Hi"},)
    assert asked(cases[2]) == tuple(talk)
    assert cases[2].text == "Do you ship?"


def test_every_fault_of_every_file_is_named_by_line() -> None:
    good = {"id": "a", "text": "How long?", "exact": "30 days"}
    found = faults(
        (
            "one.jsonl",
            lines(good, "{", {"id": "b"}, {"id": "c", "text": "x", "messages": [{"role": "user", "content": "x"}]}),
        ),
        (
            "two.jsonl",
            lines(
                good, {"id": "d", "messages": [{"role": "robot", "content": "x"}]}, {"id": "e", "text": "x", "exact": 3}
            ),
        ),
        (
            "three.jsonl",
            lines(
                {"id": "f", "text": "x", "contains": [""]},
                {"id": "g", "text": "x", "required": [[]]},
                {"id": "h", "text": "x", "contain": ["y"]},
            ),
        ),
    )
    says = dict(fault.split(": ", 1) for fault in found)
    assert list(says) == [
        *(f"one.jsonl:{line}" for line in (2, 3, 4)),
        *(f"two.jsonl:{line}" for line in (1, 2, 3)),
        *(f"three.jsonl:{line}" for line in (1, 2, 3)),
    ]
    assert "already used at one.jsonl:1" in says["two.jsonl:1"]
    assert "both" in says["one.jsonl:4"]
    assert "conversation" in says["two.jsonl:2"]
    assert "'contain'; did you mean 'contains'?" in says["three.jsonl:3"]


def test_an_answer_belongs_to_what_is_asked_and_not_to_what_is_expected() -> None:
    one, other, third = load_cases(
        [
            (
                "a.jsonl",
                lines(
                    {"id": "1", "text": "How long?", "exact": "x"},
                    {"id": "2", "messages": [{"content": "How long?", "role": "user"}]},
                    {"id": "3", "text": "How far?", "exact": "x"},
                ),
            )
        ]
    )
    assert answer_key(one) == answer_key(other) != answer_key(third)


@given(st.integers(1, 200), st.integers(1, 250))
def test_cases_are_taken_evenly(count: int, most: int) -> None:
    cases = [Case(id=str(number), text="x") for number in range(count)]
    taken = [int(case.id) for case in take_evenly(cases, most)]
    assert len(taken) == min(count, most) == len(set(taken))
    gaps = [after - before for before, after in pairwise(taken)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert len(take_evenly(cases, None)) == count
