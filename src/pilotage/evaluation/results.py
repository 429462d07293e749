"""What came of each case, for other programs: JSON lines, and JUnit's XML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pilotage.report.junit import TestCase
from pilotage.report.junit import junit as suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.measures import Judged


def result_of(one: Judged) -> dict[str, Any]:
    """Return one case with what came of it. `value` is None where it was not, or could not be, scored."""
    reply = one.reply
    return {
        "case": one.case.id,
        "kind": one.case.kind,
        "scenario": one.case.scenario,
        "question": one.case.text,
        "reply": reply.text,
        "error": reply.error,
        "value": one.value,
        "why": one.score.why if one.score else "the case says nothing of a right reply",
        "baseline": one.value_before,
        "latency": reply.latency,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        **({"media": msgspec.to_builtins(reply.media)} if reply.media else {}),
    }


def lines(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as JSON lines."""
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in results)


def junit(name: str, results: Sequence[dict[str, Any]]) -> str:
    """Return the results as JUnit's XML: a wrong reply is a failure, one that could not be scored is an error."""
    return suite(name, [_test_case(one) for one in results])


def _test_case(one: dict[str, Any]) -> TestCase:
    made = TestCase(one["case"], one["kind"], seconds=one["latency"])
    if one["value"] is None:
        outcome: Literal["error", "skipped"] = "error" if one["error"] else "skipped"
        return made._replace(outcome=outcome, message=one["error"] or one["why"])
    if one["value"] < 1:
        text = f"asked: {one['question']}\nanswered: {one['reply'] or ''}"
        return made._replace(outcome="failure", message=one["why"], text=text)
    return made
