# ruff: noqa: SIM905 (words are read more easily in a row)
"""Schemas that answers are held against: which can be used, what is said of an answer, and that none takes long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.guardrails.conformance import Conformance
from pilotage.guardrails.look import Late
from pilotage.spec.answer_schema import Unusable, Work

ANSWER = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "days": {"type": "integer"}, "in": {"$ref": "#/$defs/unit"}},
    "required": ["answer"],
    "additionalProperties": False,
    "$defs": {"unit": {"enum": ["days", "weeks"]}},
}
TREE = {
    "$defs": {
        "node": {
            "anyOf": [
                {"type": "number"},
                {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}},
            ]
        }
    },
    "$ref": "#/$defs/node",
}


def doubling(steps: int) -> dict[str, Any]:
    """Each step looks twice at what the one before looks at."""
    parts: dict[str, Any] = {"a0": {"type": "integer"}}
    for step in range(1, steps):
        parts[f"a{step}"] = {"allOf": [{"$ref": f"#/$defs/a{step - 1}"}] * 2}
    return {"$defs": parts, "$ref": f"#/$defs/a{steps - 1}"}


def test_faults_are_said_by_their_place_and_without_the_answers_own_values() -> None:
    held = Conformance(json.dumps(ANSWER))
    assert held.faults('{"answer": "In three days.", "days": 3, "in": "days"}') == []
    assert held.faults('{"answer": "x", "days": "jane@example.org"}') == [
        'at /days: this value is not of type "integer"'
    ]
    assert held.faults('{"days": 3}') == ['at /: "answer" is a required property']
    assert "is not one of" in held.faults('{"answer": "", "in": "years"}')[0]
    for text in ('```json\n{"answer": ""}\n```', "", "Sure: {}", '{"answer": ', "NaN", '"\\ud800"', "9" * 5_000):
        assert "not JSON alone" in held.faults(text)[0]
    assert "deeper than 64 levels" in held.faults("[" * 70 + "]" * 70)[0]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "is no object"),
        ('{"type": "nope"}', "is no JSON schema"),
        ('{"$ref": "https://example.com/x.json"}', "refer to its own parts"),
        ('{"$ref": "#/$defs/none"}', "which is not there"),
        ('{"$ref": "#"}', "in a circle"),
        ('{"anyOf": [{"not": {"$ref": "#"}}]}', "in a circle"),
        ('{"items": {"$id": "https://example.com/x.json"}}', "has an $id within"),
        ('{"properties": {"a": {"$dynamicRef": "#a"}}}', "has $dynamicRef"),
        ('{"pattern": "(?=a)b"}', "is no JSON schema"),
        (json.dumps({"enum": ["x" * 70_000]}), "larger than 64 KB"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why(schema: str, says: str) -> None:
    with pytest.raises(Unusable, match=says.replace("$", r"\$")):
        Conformance(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "https://example.com/x.json", "properties": {"$ref": {"type": "string"}, "$anchor": {}}},
        {"properties": {"next": {"$ref": "#"}}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a/b": True},
            "$ref": "#/definitions/a~1b",
        },
        {"prefixItems": [{"type": "string"}], "items": False, "unevaluatedProperties": False},
        TREE,
    ],
)
def test_what_refers_to_its_own_parts_can_be_used(schema: dict[str, Any]) -> None:
    assert Conformance(json.dumps(schema)).faults("{}") == []


def test_a_schema_that_makes_endless_work_is_not_begun() -> None:
    assert Conformance(json.dumps(doubling(12))).faults("1") == []
    with pytest.raises(Late):
        Conformance(json.dumps(doubling(60))).faults("1")
    # The tree's two branches are each looked at by both sides of the choice, level by level.
    tree: Any = 1
    for _ in range(8):
        tree = {"left": tree, "right": 2}
    assert Conformance(json.dumps(TREE)).faults(json.dumps(tree)) == []
    ways: Any = {"$defs": {"n": {"anyOf": [{"items": {"$ref": "#/$defs/n"}}] * 6}}, "$ref": "#/$defs/n"}
    with pytest.raises(Late):
        Conformance(json.dumps(ways)).faults("[" * 40 + "]" * 40)
    with pytest.raises(Late):
        Conformance('{"items": {"pattern": "^(a|b)*c$"}}').faults(json.dumps(["ab" * 100] * 200_000))


KEYS = st.sampled_from(
    "type properties items anyOf allOf not $ref $defs enum required a b pattern additionalProperties minimum if then"
    " uniqueItems const maxLength $schema dependencies".split()
)
LEAVES = st.sampled_from(
    [
        "object",
        "string",
        "integer",
        "array",
        "#",
        "#/$defs/a",
        "#/properties/b",
        "^a+$",
        "a",
        True,
        False,
        1,
        -0.5,
        None,
    ]
) | st.text(max_size=4)
SCHEMAS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=4), max_leaves=12
    ),
    max_size=5,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(KEYS, part, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, VALUES, st.text(max_size=20))
def test_any_schema_and_any_answer_give_a_verdict_or_a_named_fault(schema: Any, value: Any, junk: str) -> None:
    try:
        held = Conformance(json.dumps(schema))
    except Unusable:
        return
    for text in (json.dumps(value), junk):
        try:
            assert all(held.faults(text))
        except Late:
            assert Work(schema).of(8) > 1
