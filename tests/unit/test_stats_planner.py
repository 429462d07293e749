from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from pilotage.stats.planner import (
    Demand,
    Step,
    Traffic,
    chance,
    expected_units,
    information,
    mean_demand,
    plan,
    rate_demand,
)

DAILY = Traffic(3000)


@pytest.mark.parametrize(
    ("demand", "half", "twentieth"),
    [
        (rate_demand(0.1, 0.01), 11.4, 62),
        (rate_demand(0.1, 0.02), 3.0, 17),
        (rate_demand(0.7, 0.05), 1.0, 4.8),
        (rate_demand(0.7, 0.0, -0.03), 2.8, 15),
        (mean_demand(1.1, 0.1), 1.5, 7.8),
        (rate_demand(0.01, 0.01), 1.8, 12),
    ],
)
def test_days_to_an_80_percent_chance(demand: Demand, half: float, twentieth: float) -> None:
    for share, days in ((0.5, half), (0.05, twentieth)):
        found = plan(demand, [Step(share)], DAILY, 0.05)
        assert found is not None
        assert found.days == pytest.approx(days, rel=0.05)
        assert found.units == pytest.approx(3000 * found.days)
        assert found.candidate_units == pytest.approx(share * found.units)


def test_the_chance_is_that_of_a_brownian_first_passage() -> None:
    """Beside a walk with normal steps of drift g and variance 2 g, corrected for looking only at its steps."""
    rng = np.random.default_rng(1)
    growth, bar = 0.002, -math.log(0.05) + 0.2
    walk = np.cumsum(rng.normal(growth, math.sqrt(2 * growth), (4000, 3000)), axis=1)
    overshoot = 0.583 * math.sqrt(2 * growth)  # Siegmund 1985, equation 10.13
    for n in (500, 1500, 3000):
        hit = (walk[:, :n].max(axis=1) >= bar - overshoot).mean()
        assert chance(growth * n, 0.05) == pytest.approx(hit, abs=0.025)
    assert chance(0.0, 0.05) == 0
    assert chance(1000.0, 0.05) == pytest.approx(1)


def test_expected_units_fall_with_the_square_of_the_effect() -> None:
    one, two = (expected_units(mean_demand(1, effect), 0.5, 0.05) for effect in (0.1, 0.2))
    assert one == pytest.approx(4 * two)
    assert one == pytest.approx((math.log(20) + 0.2) * 2 * 4 / 0.01)


def test_prediction_saves_and_clustering_costs() -> None:
    plain = Demand(0.1, 1.0, 1.0)
    assert Demand(0.1, 1.0, 1.0, correlation=0.6).growth(0.5) == pytest.approx(plain.growth(0.5) / 0.64)
    assert Demand(0.1, 1.0, 1.0, design_effect=2).growth(0.5) == pytest.approx(plain.growth(0.5) / 2)


def test_a_ramp_adds_up_its_steps() -> None:
    demand = rate_demand(0.7, 0.05)
    ramp = [Step(0.01, 1), Step(0.05, 1), Step(0.25, 1), Step(0.5)]
    by_hand = sum(demand.growth(share) * 3000 for share in (0.01, 0.05, 0.25)) + demand.growth(0.5) * 1500
    assert information(demand, ramp, DAILY, 3.5) == pytest.approx(by_hand)
    found = plan(demand, ramp, DAILY, 0.05, matures_after=0.5)
    at_once = plan(demand, [Step(0.5)], DAILY, 0.05)
    assert found is not None
    assert at_once is not None
    assert at_once.days < found.days
    assert chance(information(demand, ramp, DAILY, found.days - 0.5), 0.05) == pytest.approx(0.8, abs=1e-6)


def test_returning_units_count_once() -> None:
    crowd = Traffic(1000, fresh=0.2, regulars=4000)
    assert crowd.new_units(0) == 0
    assert crowd.new_units(1e-3) == pytest.approx(1.0, rel=1e-3)  # at first everybody is new
    assert crowd.new_units(1000) == pytest.approx(200 * 1000 + 4000)
    assert Traffic(500, fresh=0.0, regulars=2000).new_units(1e6) == pytest.approx(2000)
    # Once the regulars have all been seen, no proof comes of waiting.
    assert plan(rate_demand(0.1, 0.01), [Step(0.5)], Traffic(500, fresh=0.0, regulars=2000), 0.05) is None


def test_plans_survive_json() -> None:
    for value in (Step(0.5), Step(0.05, 2.0), DAILY, rate_demand(0.1, 0.01)):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_bad_input_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="rates lie between"):
        rate_demand(0.99, 0.02)
    for effect in (0.0, math.nan):
        with pytest.raises(ValueError, match="differ from the null"):
            mean_demand(1.0, effect)
    with pytest.raises(ValueError, match="variances"):
        Demand(0.1, math.nan, 1.0)
    with pytest.raises(ValueError, match="correlation"):
        Demand(0.1, 1.0, 1.0, correlation=1.0)
    with pytest.raises(ValueError, match="how many regulars"):
        Traffic(1000, fresh=0.5)
    with pytest.raises(ValueError, match="traffic"):
        Traffic(0)
    with pytest.raises(ValueError, match="some days"):
        Step(0.5, 0)
    with pytest.raises(ValueError, match="two sides"):
        Step(1.0)
    with pytest.raises(ValueError, match="a step or more"):
        plan(mean_demand(1, 0.1), [], DAILY, 0.05)
    for power in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"0\.8 is usual"):
            plan(mean_demand(1, 0.1), [Step(0.5)], DAILY, 0.05, power=power)
    with pytest.raises(ValueError, match="alpha"):
        plan(mean_demand(1, 0.1), [Step(0.5)], DAILY, 0.0)
