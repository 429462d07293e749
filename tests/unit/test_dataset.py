from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import FaultyFile
from pilotage.evaluation.dataset import answer_key, asked, load_cases, take_evenly
from pilotage.evaluation.promptfoo import cases_of, written
from pilotage.evaluation.story import notes
from pilotage.spec.case import Case
from pilotage.spec.use_case import UseCase


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


def test_a_table_is_as_good_as_json_lines() -> None:
    table = (
        "\ufeffid,text,scenario,kind,required,forbidden,contains,exact,note\r\n"
        'r1,"How long, please?",returns,misspelt,30 days|thirty days;refund,60 days,,,from Ada\r\n'
        ",,,,,,,,\r\n"
        'r2,"Two\r\nlines",,,,,A|B,,\r\n'
    )
    cases = load_cases([("cases/all.csv", table.encode())])
    assert cases == [
        Case(
            id="r1",
            text="How long, please?",
            scenario="returns",
            kind="misspelt",
            required=(("30 days", "thirty days"), ("refund",)),
            forbidden=("60 days",),
        ),
        Case(id="r2", text="Two\r\nlines", contains=("A", "B")),
    ]
    semicolons = load_cases([("all.CSV", b"id;text;exact\nx;How long?;30 days\n")])
    assert semicolons == [Case(id="x", text="How long?", exact="30 days")]


def test_faults_of_a_table_are_named_by_line() -> None:
    found = faults(
        ("a.csv", b'id,text\nr1,"on two\nlines"\nr2,\nr3,a,b\nr1,twice\n'),
        ("b.csv", b"number,question\n1,x\n"),
        ("c.csv", b'id,text\nr9,"open\n'),
        ("d.csv", b"id,text\nr8,\xff\n"),
        ("e.csv", b""),
    )
    says = dict(fault.split(": ", 1) for fault in found)
    assert list(says) == ["a.csv:4", "a.csv:5", "a.csv:6", "b.csv:1", "c.csv:2", "d.csv:2", "e.csv:1"]
    assert 'lacks "text"' in says["a.csv:4"]
    assert "3 cells under 2 headings" in says["a.csv:5"]
    assert "already used at a.csv:2" in says["a.csv:6"]
    assert "must name id and text" in says["b.csv:1"]
    assert "cannot be read as CSV" in says["c.csv:2"]
    assert "UTF-8" in says["d.csv:2"]


PROMPTFOO = b"""
prompts: ["{{question}}"]
defaultTest:
  vars: { tone: kind }
  assert: [{ type: not-icontains, value: guarantee }]
tests:
  - description: Returns
    vars: { question: "How long can I send it back?" }
    assert:
      - { type: icontains-any, value: [30 days, thirty days] }
      - { type: contains, value: "EUR" }
  - vars: { question: Say yes }
    assert: [{ type: equals, value: "yes" }, { type: not-contains, value: "no" }]
"""


def test_tests_of_promptfoo_become_cases() -> None:
    found = cases_of("promptfooconfig.yaml", PROMPTFOO)
    assert load_cases([("x.jsonl", written(found).encode())]) == [
        Case(
            id="promptfoo-1",
            text="How long can I send it back?",
            scenario="Returns",
            required=(("30 days", "thirty days"),),
            forbidden=("guarantee",),
            contains=("EUR",),
        ),
        Case(id="promptfoo-2", text="Say yes", exact="yes", forbidden=("guarantee", "no")),
    ]
    assert cases_of("x.yaml", b"- vars: {a: one, b: two}", question="b")[0]["text"] == "two"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"tests: [{vars: {q: x}, assert: [{type: javascript, value: 'output.length'}]}]", "'javascript' is code"),
        (b"tests: [{vars: {q: x}, assert: [{type: llm-rubric, value: kind}]}]", "'llm-rubric' has no counterpart"),
        (b"tests: [{vars: {q: x}, assert: [{value: kind}]}]", "'without a type'"),
        (b"tests: [{vars: {a: x, b: y}}]", "It has: a, b; name it with --question"),
        (b"tests: [{vars: {q: x}, assert: [{type: contains}]}]", "has no text"),
        (b"tests: [7]", "It has: none"),
        (b"tests: file://more.yaml", "has no list of tests"),
        (b"a: [", "x.yaml:1: is not YAML"),
        (b"!!python/object/apply:os.system ['true']", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
    ],
)
def test_what_promptfoo_has_and_we_do_not_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(FaultyFile) as fault:
        cases_of("x.yaml", data)
    assert says in " ".join(fault.value.faults)


def test_the_data_story_is_looked_at() -> None:
    spec = UseCase.model_validate(
        {
            "name": "desk",
            "owner": "Ada",
            "variants": {"faq": {"upstream": "search", "knowledge": ["knowledge/*.md"]}},
            "evaluation": {"cases": ["cases/*.csv"]},
        },
        strict=False,
    )
    question = "How long may I keep a parcel before I have to send it back to you?"
    files = {
        "knowledge/a.md": f"# Returns\n\nAsk ada.lovelace@example.com.\n\n{question.upper()} 30 days.\n".encode(),
        "cases/all.csv": f"id,text\nc1,{question}\nc2,Short?\n".encode(),
    }
    found = notes(spec, files)
    assert [(note.file, note.line, note.kind) for note in found] == [
        ("usecase.toml", 1, "rights"),
        ("knowledge/a.md", 3, "personal_data"),
        ("cases/all.csv", 2, "leak"),
    ]
    assert not any("ada" in str(note) for note in found)
