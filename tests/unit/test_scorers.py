from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.evaluation.client import Reply
from pilotage.evaluation.scorer import Scorer, normal
from pilotage.evaluation.scorers import Contains, Exact, Facts, fact_faults, score_case
from pilotage.records import Score
from pilotage.spec.case import Case

RELEASE = "desk/good@0123456789ab"


def a_case(**expected: Any) -> Case:
    return Case(id="a", text="How long?", **expected)


def scored(case: Case, text: str | None, error: str = "") -> Score | None:
    return asyncio.run(score_case(case, Reply(latency=0.1, status=200, text=text, error=error), RELEASE))


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("You have 30 days, and the REFUND is free.", True),
        ("Within thirty\n   days you get a refund.", True),
        ("You have 30 days.", False),
        ("A refund within 30 days is guaranteed.", False),
        ("", False),
    ],
)
def test_facts_need_every_group_and_nothing_forbidden(reply: str, right: bool) -> None:
    case = a_case(required=(("30 days", "Thirty days"), ("refund",)), forbidden=("guaranteed",))
    score = scored(case, reply)
    assert score == Score(case="a", release=RELEASE, scorer="facts", value=float(right), why=score.why if score else "")
    assert bool(score and score.why) is not right


def test_a_score_says_what_is_wrong() -> None:
    assert fact_faults("no", [["30 days", "thirty days"]], ["No"]) == ["lacks '30 days' or 'thirty days'", "says 'No'"]


def test_exact_and_contains() -> None:
    assert Exact().applies(a_case(exact=""))
    assert not Exact().applies(a_case(contains=("x",)))
    for text, right in ((" Paris\n", 1.0), ("PARIS", 1.0), ("Paris.", 0.0)):
        score = scored(a_case(exact="Paris"), text)
        assert score is not None
        assert score.value == right
    for text, right in (("a: B, c", 1.0), ("a: b, c", 0.0), ("B", 0.0)):
        score = scored(a_case(contains=("B", "c")), text)
        assert score is not None
        assert score.value == right


def test_unscored_is_not_wrong() -> None:
    for scorer in (Facts(), Exact(), Contains()):
        every: Scorer = scorer
        reply = Reply(latency=0.1, error="no answer in time")
        case = a_case(required=(("x",),), exact="x", contains=("x",))
        score = asyncio.run(every.score(case, reply, RELEASE))
        assert (score.value, score.why) == (None, "no answer in time")


def test_the_worst_score_counts_and_a_case_without_expectation_has_none() -> None:
    score = scored(a_case(required=(("x",),), contains=("Y",)), "x only")
    assert score is not None
    assert (score.scorer, score.value, score.why) == ("contains", 0.0, "lacks 'Y'")
    assert scored(a_case(), "anything") is None


@given(st.text(), st.text(min_size=1), st.text())
def test_what_stands_in_a_reply_is_found_however_it_is_cased_and_spaced(before: str, fact: str, after: str) -> None:
    reply = f"{before} {fact} {after}"
    assert fact_faults(reply, [[fact]], []) == []
    assert fact_faults("  \n".join(reply.split(" ")), [[fact]], []) == []
    assert normal(normal(reply)) == normal(reply)
