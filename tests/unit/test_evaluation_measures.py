from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import Reply
from pilotage.evaluation.measures import Judged, cost, latency, quality, quality_difference
from pilotage.records import Score
from pilotage.spec.case import Case
from pilotage.stats.interval import wilson

BASELINE = "desk/search@0123456789ab"


def score(value: float | None) -> Score:
    return Score(case="x", release="desk/good@0123456789ab", scorer="facts", value=value, why="no reply")


def judged(*pairs: tuple[float | None, float | None], kind: str = "quality") -> list[Judged]:
    return [
        Judged(
            case=Case(id=f"{number}", text=f"question {number}", kind=kind, exact="x"),
            reply=Reply(latency=0.1, text="r" * 400),
            score=score(now),
            before=score(before),
        )
        for number, (now, before) in enumerate(pairs)
    ]


def test_equal_replies_are_no_proof_of_being_better() -> None:
    found = quality_difference(judged(*[(1.0, 1.0)] * 5, *[(0.0, 0.0)] * 5), BASELINE)
    assert found.value == 0
    assert found.low < 0 < found.high
    assert (found.detail["candidate"], found.detail["baseline"]) == (0.5, 0.5)


def test_the_worst_answers_are_those_that_the_baseline_gets_right() -> None:
    found = quality(judged(*[(0.0, 0.0)] * 12, (0.0, 1.0), (1.0, 0.0), (None, 1.0)))
    assert found.detail["worst"][0]["case"] == "12"
    assert len(found.detail["worst"]) == 10
    assert found.detail["worst"][0]["question"] == "question 12"
    assert len(found.detail["worst"][0]["reply"]) == 300
    assert found.detail["unscored_because"] == {"no reply": 1}


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, None]), st.sampled_from([0.0, 1.0, None])), min_size=1))
def test_an_interval_encloses_whatever_the_unscored_might_have_been(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    cases = judged(*pairs)
    try:
        share, difference = quality(cases), quality_difference(cases, BASELINE)
    except NotMeasured:
        assert not any(now is not None and before is not None for now, before in pairs)
        return
    assert share.low <= share.value <= share.high
    assert difference.low <= difference.value <= difference.high
    for filler in (0.0, 1.0):
        right = sum((filler if now is None else now) == 1 for now, _ in pairs)
        filled = wilson(right, len(pairs))
        assert share.low <= filled.low
        assert filled.high <= share.high


def test_cost_needs_a_price_and_tokens() -> None:
    replies = [Reply(latency=0.1, text="x", input_tokens=tokens, output_tokens=10) for tokens in (100, 300)]
    found = cost([*replies, Reply(latency=0.1, text="x"), Reply(latency=0.1, error="down")], (2.0, 10.0), "EUR")
    assert found.value == pytest.approx((200 * 2 + 10 * 10) / 1_000_000)
    assert (found.low, found.n) == (0.0, 2)
    assert found.detail["without_usage"] == 1
    with pytest.raises(NotMeasured, match="no price"):
        cost(replies, None, "EUR")
    with pytest.raises(NotMeasured, match="1 of 1 replies"):
        cost(replies[:1], (2.0, 10.0), "EUR")


def test_latency_is_that_of_answers() -> None:
    replies = [Reply(latency=number / 100, text="x") for number in range(1, 101)]
    found = latency([*replies, Reply(latency=99.0, error="no answer in time")], 8)
    assert (found.value, found.n) == (0.95, 100)
    assert found.low < 0.95 < found.high <= 1.0
    assert found.detail == {"concurrency": 8, "unanswered": 1}


def test_a_month_costs_what_its_requests_do() -> None:
    replies = [Reply(latency=0.1, text="x", input_tokens=100, output_tokens=tokens) for tokens in (10, 20, 30)]
    found = cost(replies, (2.0, 10.0), "EUR", {"new_units_a_day": 1_000.0, "requests_a_unit": 2.0})
    ends = (found.value, found.low, found.high)
    assert found.detail["a_unit"] == pytest.approx([2 * one for one in ends])
    assert found.detail["a_month"]["1x"] == pytest.approx([60_000 * one for one in ends])
    assert found.detail["a_month"]["100x"] == pytest.approx([6_000_000 * one for one in ends])
    assert "a_month" not in cost(replies, (2.0, 10.0), "EUR").detail
