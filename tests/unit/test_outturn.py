from __future__ import annotations

import numpy as np
import pytest

from pilotage.stats.outturn import SURE, outturn


def test_few_days_say_nothing() -> None:
    assert outturn([(1, 2.0), (2, 3.0)], 5.0, {3: 1.0}) is None


def test_a_steady_cost_is_told_to_the_cent() -> None:
    found = outturn([(day, 2.0) for day in range(10)], 20.0, {0: 3.0, 1: 2.0})
    assert found == pytest.approx((30.0, 30.0, 30.0))


def test_what_is_spent_is_spent() -> None:
    found = outturn([(0, 0.0), (1, 10.0), (2, 0.0)], 10.0, {3: 1.0})
    assert found is not None
    assert found.low == 10.0


def test_weekends_are_cheaper_from_the_third_week_on() -> None:
    days = [(day, 1.0 if day % 7 in (2, 3) else 10.0) for day in range(21)]
    found = outturn(days, 0.0, {2: 1.0, 3: 1.0})
    assert found is not None
    assert found.value == pytest.approx(2.0)


@pytest.mark.parametrize(("n", "left"), [(5, 10), (28, 3)])
def test_nine_in_ten_months_end_within(n: int, left: int) -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(600):
        costs = rng.normal(100, 10, n + left)
        parts: dict[int, float] = {}
        for day in range(n, n + left):
            parts[day % 7] = parts.get(day % 7, 0.0) + 1
        found = outturn([(day, float(costs[day])) for day in range(n)], 0.0, parts)
        assert found is not None
        inside += found.low <= costs[n:].sum() <= found.high
    assert inside / 600 == pytest.approx(SURE, abs=0.05)
