"""What came of each case, for other programs: JSON lines, and JUnit's XML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.measures import Judged

_UNPRINTABLE = {code: "\ufffd" for code in range(32) if code not in (9, 10, 13)}
"""Characters that no XML may hold."""


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
    }


def lines(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as JSON lines."""
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in results)


def junit(name: str, results: Sequence[dict[str, Any]]) -> str:
    """Return the results as JUnit's XML: a wrong reply is a failure, one that could not be scored is an error."""
    wrong = [one for one in results if one["value"] is not None and one["value"] < 1]
    errors = [one for one in results if one["value"] is None and one["error"]]
    skipped = [one for one in results if one["value"] is None and not one["error"]]
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(results)),
        failures=str(len(wrong)),
        errors=str(len(errors)),
        skipped=str(len(skipped)),
        time=f"{sum(one['latency'] for one in results):.3f}",
    )
    for one in results:
        case = ET.SubElement(
            suite, "testcase", name=_clean(one["case"]), classname=_clean(one["kind"]), time=f"{one['latency']:.3f}"
        )
        if one["value"] is None:
            kind = "error" if one["error"] else "skipped"
            ET.SubElement(case, kind, message=_clean(one["error"] or one["why"]))
        elif one["value"] < 1:
            failure = ET.SubElement(case, "failure", message=_clean(one["why"]))
            failure.text = _clean(f"asked: {one['question']}\nanswered: {one['reply'] or ''}")
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return text.translate(_UNPRINTABLE)
