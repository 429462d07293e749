"""What the search form asks for, and how inferences read in lists and files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from pilotage.console import exported
from pilotage.console.cases import case_of, shown_of
from pilotage.console.inference_filters import asked
from pilotage.console.inference_rows import money, outcome_of, row_of, seconds, shortened, timing

ENDED: dict[str, Any] = {
    "served": "help/a@0",
    "status": 200,
    "error": "",
    "fallback": False,
    "cancelled": False,
    "attempts": 1,
    "first_byte": 200_000,
    "duration": 1_200_000,
    "input_tokens": 10,
    "output_tokens": 20,
    "counted": True,
    "cost": 123,
    "finish_reason": "stop",
    "model": "m",
    "hits": [{"guardrail": "links", "side": "out", "action": "redact", "kind": "", "count": 1}],
}


def inference(**changes: Any) -> dict[str, Any]:
    started: dict[str, Any] = dict.fromkeys(("rollout", "unit"), "") | {
        "id": "0a",
        "at": 5,
        "use_case": "help",
        "release": "help/a@0",
        "arm": "live",
        "source": "live",
        "surface": "chat",
        "streamed": False,
        "step": -1,
        "share": 0,
        "text": False,
        "feedback": [{"metric": "resolved", "value": 1.0, "at": 7, "received": 8, "by": "key"}],
        "finished": ENDED,
    }
    return started | changes


def test_the_form_is_read_in_the_units_of_the_command() -> None:
    form = asked(
        {"ms_from": "1,5", "cost_to": "0.002", "metric": "resolved", "value_from": "-1", "since": "2026-11-23T14:00"}
    )
    assert form.faults == []
    assert form.arguments == {
        "source": "live",
        "metric": "resolved",
        "value_least": -1.0,
        "duration_least": 1_500,
        "cost_most": 2_000,
        "since": 1_795_442_400_000_000,
    }
    assert "source" not in asked({"source": "all"}).arguments
    assert asked({"words": "a b", "before": "0f"}).link(before="") == "words=a+b&source=live"


@pytest.mark.parametrize(
    "query",
    [
        {"ms_from": "nan"},
        {"ms_to": "1e999"},
        {"cost_from": "--"},
        {"since": "2026-13-01"},
        {"until": "0001-01-01"},
        {"outcome": "x"},
        {"unit": "é"},
        {"before": "0" * 65},
    ],
)
def test_what_cannot_be_read_is_said_and_left_out(query: dict[str, str]) -> None:
    form = asked(query)
    assert len(form.faults) == 1
    assert form.arguments == {"source": "live"}


def test_a_row_says_how_it_ended() -> None:
    row = row_of(inference())
    assert (row.outcome, row.bad, row.took, row.cost, row.tokens) == (
        "answered",
        False,
        "1200 ms",
        "0.000123",
        "10 + 20",
    )
    assert (row.hits, row.said) == ("links", "resolved 1")
    assert outcome_of(inference(finished=None)) == ("not finished", True)
    failed = {**ENDED, "error": "timeout", "fallback": True}
    assert outcome_of(inference(finished=failed)) == ("error: timeout, a fallback answered", True)
    assert outcome_of(inference(finished={**ENDED, "status": 429})) == ("refused (429)", True)
    assert timing(ENDED) == [
        ("until the first byte", "200 ms"),
        ("from the first byte to the last", "1000 ms"),
        ("in all", "1200 ms"),
    ]
    assert [seconds(one) for one in (431, 9_999, 10_000, 12_000_000)] == ["0.43 ms", "10 ms", "10 ms", "12 s"]
    assert [money(one) for one in (0, 9_999, 12_345_678)] == ["0.000000", "0.009999", "12.35"]


def test_what_was_looked_for_is_a_piece_of_its_own() -> None:
    text = {"request": "user: " + "x" * 100 + " Where  is\n<b>it</b>? " + "y" * 100, "reply": "there"}
    before, found, after = row_of(inference(**text), "where IS <b>").pieces
    assert (found.text, found.found) == ("Where  is\n<b>", True)
    assert before.text.startswith("… x")
    assert after.text.endswith("y …")
    assert row_of(inference(**text), ".*").pieces == ()
    assert row_of(inference(reply="A. b"), "a. B").pieces[1].text == "A. b"


def test_a_file_goes_on_over_pages_and_no_cell_is_a_formula() -> None:
    pages: dict[str, dict[str, Any]] = {
        "": {"inferences": [inference(release="=1+1")], "older": "0a"},
        "0a": {"inferences": [], "older": "09"},
        "09": {"inferences": [inference(id="08", finished=None)], "older": ""},
    }

    def page(arguments: dict[str, Any]) -> dict[str, Any]:
        return pages[arguments.get("before", "")]

    table = b"".join(exported.lines("csv", page, {}, texts=False)).decode()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["id"] for row in rows] == ["0a", "08"]
    assert (rows[0]["release"], rows[0]["hits"], rows[0]["feedback"]) == (
        "'=1+1",
        "links:out:redact",
        "resolved=1 (key)",
    )
    assert rows[1]["status"] == ""
    lines = b"".join(exported.lines("jsonl", page, {}, texts=False)).splitlines()
    assert json.loads(lines[0])["release"] == "=1+1"
    assert len(lines) == 2
    one = b"".join(exported.lines("jsonl", page, {}, texts=True)).splitlines()
    assert len(one) == 1, "with texts, one reading and one entry of the ledger"


def test_a_form_becomes_a_case() -> None:
    fields = {
        "question": " Where? ",
        "required": "here | there\n\n | \nnow",
        "forbidden": "\n",
        "kind": "",
        "scenario": "s",
    }
    assert case_of({"text": "W"}, fields) == {
        "kind": "production",
        "text": "Where?",
        "required": [["here", "there"], ["now"]],
        "scenario": "s",
    }
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "?"}, {"role": "user", "content": "W"}]
    assert case_of({"messages": talk}, fields)["messages"] == [*talk[:2], {"role": "user", "content": "Where?"}]


def test_what_is_long_is_cut_and_said_to_be() -> None:
    turns = [
        {"role": "user", "text": "a" * 50},
        {"role": "assistant", "text": ""},
        {"role": "answer", "text": "b" * 30},
    ]
    assert shortened(turns, 100) == (turns, 0)
    shown, cut = shortened(turns, 40)
    assert ([len(turn["text"]) for turn in shown], cut) == ([10, 0, 30], 40)
    shown, cut = shortened(turns, 20)
    assert ([turn["role"] for turn in shown], cut) == (["assistant", "answer"], 60)
    said = [{"metric": "stars", "value": float(n), "at": n, "received": n, "by": "unit"} for n in range(300)]
    assert row_of(inference(feedback=said)).said == "stars 0, stars 1, stars 2, stars 3, stars 4 and 295 more"
    assert shown_of({"text": "x" * 5_000}).endswith("characters more")
