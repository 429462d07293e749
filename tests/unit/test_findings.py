"""What lies behind measured numbers, as tables; answers side by side; words that differ."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.governance.compared import compared
from pilotage.governance.findings import tables_of
from pilotage.records import Evidence
from pilotage.report.difference import differing
from pilotage.report.page import pairs
from pilotage.store.sqlite import SqliteStore


def fact(measure: str, **detail: Any) -> Evidence:
    return Evidence(
        id=f"e-{measure}",
        use_case="help",
        release="help/after@0",
        charter="c",
        measure=measure,
        value=0.5,
        low=0.4,
        high=0.6,
        n=10,
        method="test",
        data="d",
        at=7,
        actor="key:a",
        detail=detail,
    )


def test_slices_come_with_intervals_the_worst_first() -> None:
    counts = {
        "easy": {"right": 9, "wrong": 1, "unscored": 0},
        "hard": {"right": 1, "wrong": 9},
        "new": {"right": 0, "wrong": 0},
    }
    table = tables_of(fact("quality", slices={"kind": counts}))[0]
    assert [row[0] for row in table["rows"]] == ["new", "hard", "easy"]
    # Wilson's interval for 1 of 10, as in Newcombe 1998: 0.0179 to 0.4042.
    assert table["rows"][1][4:] == ["10.0 %", "1.8 % to 40.4 % (each alone)"]
    # Where the evidence has intervals that hold at once, those are shown.
    newer = {name: {**one, "value": 0.5, "low": 0.01, "high": 0.6} for name, one in counts.items()}
    assert tables_of(fact("quality", slices={"kind": newer}))[0]["rows"][1][5] == "1.0 % to 60.0 %"
    assert table["rows"][0][4:] == ["", ""]


def test_each_suite_has_its_table() -> None:
    risks = {"LLM01": {"probes": 9, "succeeded": 0, "high": 0.28}, "LLM02": {"probes": 5, "succeeded": 2, "high": 0.8}}
    assert tables_of(fact("security", risks=risks))[0]["rows"][0] == ["LLM02", "5", "2", "at most 80.0 %"]
    gaps = {"success": {"value": -0.1, "low": -0.2, "high": 0.0}}
    groups = [
        {"attribute": "names", "group": group, "reference": "r", "gaps": gaps, "verdict": verdict}
        for group, verdict in (("a", "equivalent"), ("b", "different"))
    ]
    rows = tables_of(fact("bias", comparisons=groups))[0]["rows"]
    assert rows[0] == ["names", "b", "r", "-10.0 (-20.0 to +0.0)", "not measured", "different"]
    rung = {"rate": 1.0, "requests": 5, "errors": 0.0, "p50": 0.1, "p95": 0.2, "p99": 0.3, "holds": True}
    ramp = tables_of(fact("scalability", rungs=[rung, {**rung, "rate": 2.0, "holds": False}], limits=["the provider"]))
    assert ramp[0]["rows"][1] == ["2", "5", "0.0 %", "100", "200", "300", "no"]
    assert ramp[0]["curve"][0] == [1.0, 0.1, 0.2, 0.3]
    assert ramp[1]["rows"] == [["the provider"]]
    nearness = {"parts": {"rate": 1.0, "gaps": 0.98}, "missing": {"sizes": "none told"}}
    near = tables_of(fact("replay_fidelity", fidelity=nearness))[0]["rows"]
    assert near == [["gaps", "0.980"], ["rate", "1.000"], ["sizes", "not told: none told"]]


@pytest.mark.parametrize(
    "measure", ["quality", "quality_difference", "security", "privacy", "bias", "scalability", "cost"]
)
@pytest.mark.parametrize("detail", [{}, {"slices": 1}, {"risks": {"a": []}}, {"rungs": [{}]}, {"comparisons": "x"}])
def test_a_detail_of_another_shape_has_no_table(measure: str, detail: dict[str, Any]) -> None:
    assert tables_of(fact(measure, **detail)) == []


def test_words_that_differ_are_marked() -> None:
    now, before = differing("Returns are free for thirty days.", "Returns are free for 30 days, always.")
    assert [piece.text for piece in now if piece.other] == ["thirty days."]
    assert [piece.text for piece in before if piece.other] == ["30 days, always."]
    assert not any(piece.other for piece in differing("the same", "the  same")[0])


@given(st.text(alphabet="ab <&\n\u00e9", max_size=60), st.text(alphabet="ab <&\n\u00e9", max_size=60))
def test_pieces_put_together_are_the_text(one: str, two: str) -> None:
    for text, pieces in zip((one, two), differing(one, two), strict=True):
        assert "".join(piece.text for piece in pieces) == text


def test_a_long_text_is_compared_at_its_beginning() -> None:
    long = "word " * 5_000
    now, before = differing(f"{long}end", f"{long}other")
    assert "".join(piece.text for piece in now) == f"{long}end"
    assert before[-1].other


def test_answers_come_side_by_side_failures_first_and_markup_stays_text(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        kept = {"scores": "s", "answers": "a", "before": "b"}
        with store.write() as tx:
            for case, value, before in (
                ("right", 1, 1),
                ("better", 1, 0),
                ("worse", 0, 1),
                ("wrong", 0, 0),
                ("open", None, 1),
            ):
                row = {
                    "key": case,
                    "question": f"<b>{case}</b>?",
                    "value": value,
                    "before": before,
                    "why": "misses <i>",
                }
                tx.results.put("help/s", case, row)
                tx.results.put("help/a", case, {"text": f"<script>{case}</script> now"})
                tx.results.put("help/b", case, {"text": f"<script>{case}</script> then"})
            tx.evidence.put(fact("quality", kept=kept, beside="help/before@1"))
        with store.read() as tx:
            found = compared(tx, "help", "help/after@0")
            assert [row["case"] for row in found["rows"]] == ["worse", "wrong", "open", "better", "right"]
            assert (found["baseline"], found["of"], found["next"]) == ("help/before@1", 5, None)
            page = compared(tx, "help", "help/after@0", only="wrong", most=1)
            assert ([row["case"] for row in page["rows"]], page["of"], page["next"]) == (["worse"], 2, 1)
            assert compared(tx, "help", "help/other@0")["release"] == ""
        html = pairs(found)
        assert "<script>" not in html
        assert "<mark>now</mark>" in html
        assert "<mark>then</mark>" in html
        with store.write() as tx:
            tx.results.put("help/bad", "x", {"question": 5})
            newer = fact("quality", kept={"scores": "bad", "answers": "a"})
            tx.evidence.put(msgspec.structs.replace(newer, id="e-newer"))
        with store.read() as tx:
            assert compared(tx, "help", "help/after@0")["rows"] == []
