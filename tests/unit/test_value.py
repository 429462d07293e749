"""What it is worth: ratios of means, money for a goal reached, net value and break-even traffic."""

from __future__ import annotations

import numpy as np
import pytest

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import Reply
from pilotage.evaluation.measures import Judged
from pilotage.evaluation.price import Price
from pilotage.evaluation.value import Bargain, cost_a_goal, net_value, why_no_break_even
from pilotage.records import Score
from pilotage.spec.case import Case
from pilotage.stats.ratio import ratio_interval

BARGAIN = Bargain(
    currency="EUR",
    price=Price(1000.0, 2000.0),
    before=Price(0.0, 0.0),
    goal="resolved",
    worth=2.0,
    fixed=300.0,
    units_a_day=100.0,
    requests_a_unit=1.5,
)


def reply(tokens: int | None = 10, error: str = "") -> Reply:
    return Reply(latency=0.1, status=200, text="x", error=error, input_tokens=tokens, output_tokens=tokens)


def judged(right: float | None, before: float | None = 0.0, tokens: int | None = 10) -> Judged:
    def score(value: float | None) -> Score:
        return Score(case="c", release="r", scorer="s", value=value, why="")

    error = "no answer" if right is None else ""
    return Judged(
        case=Case(id="c", text="q", contains=("x",)),
        reply=reply(None if right is None else tokens, error),
        score=score(right),
        before=score(before),
    )


def test_an_interval_of_a_ratio_covers_it() -> None:
    random, covered = np.random.default_rng(7), 0
    for _ in range(1000):
        right = (random.random(80) < 0.6).astype(float)
        money = random.gamma(4, 1, 80) * (1 + right)  # right answers are longer
        found = ratio_interval(money.tolist(), right.tolist())
        assert found is not None
        covered += found.low <= 4 * 1.6 / 0.6 <= found.high
    assert 930 <= covered <= 970


def test_a_ratio_over_what_may_be_nothing_is_not_bounded() -> None:
    assert ratio_interval([1.0, 1.0, 1.0], [0.0, 0.0, 1.0]) is None
    assert ratio_interval([1.0, 1.0], [0.0, 0.0]) is None
    same = ratio_interval([2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    assert same is not None
    assert (same.value, same.low, same.high) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="two pairs"):
        ratio_interval([1.0], [1.0])


def test_money_for_each_right_answer() -> None:
    cases = [judged(1.0)] * 60 + [judged(0.0)] * 20
    found = cost_a_goal(cases, BARGAIN)
    each = (10 * 1000 + 10 * 2000) / 1e6
    assert found.value == pytest.approx(each * 80 / 60)
    assert found.low < found.value < found.high
    wider = cost_a_goal([*cases, *[judged(None)] * 10], BARGAIN)
    assert wider.low < found.low
    assert wider.high > found.high
    with pytest.raises(NotMeasured, match="0 were right"):
        cost_a_goal([judged(0.0)] * 5, BARGAIN)


def test_what_a_month_brings_and_what_traffic_pays_for_it() -> None:
    cases = [judged(1.0, 0.0)] * 30 + [judged(1.0, 1.0)] * 30 + [judged(0.0, 1.0)] * 10
    value, even = net_value(cases, BARGAIN, [reply()] * len(cases), "before@1")
    a_unit = 2.0 * (20 / 70) - 1.5 * 0.03
    assert value.value == pytest.approx(a_unit * 100 * 30 - 300)
    assert value.low < value.value < value.high
    assert value.detail["a_month"]["10x"][0] == pytest.approx(a_unit * 1000 * 30 - 300)
    assert even.value == pytest.approx(10 / a_unit)
    assert even.low < even.value < even.high
    assert why_no_break_even([value, even]) == ""


def test_where_no_gain_is_shown_no_traffic_pays() -> None:
    cases = [judged(1.0, 0.0)] * 3 + [judged(0.0, 1.0)] * 3
    (value,) = net_value(cases, BARGAIN, [reply()] * len(cases), "before@1")
    assert value.low < 0
    assert "no traffic is known to pay" in why_no_break_even([value])
