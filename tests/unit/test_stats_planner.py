from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from pilotage.stats import binary, bounded, mixture, passage
from pilotage.stats.claim import Claim, harmful, not_inferior, superior, threshold
from pilotage.stats.demand import Demand, Law
from pilotage.stats.mixture import Array
from pilotage.stats.planner import Course, Step, Traffic, course, exposed, growth, mean_demand, plan, rate_demand

DAILY = Traffic(3000)


def rates(baseline: float, candidate: float) -> Law:
    return Law((0.0, 1.0), (1 - baseline, baseline), (1 - candidate, candidate))


STARS = Law((1.0, 2.0, 3.0, 4.0, 5.0), (0.05, 0.05, 0.1, 0.4, 0.4), (0.03, 0.04, 0.09, 0.39, 0.45))
WAITS = Law((0.0, 1.0, 2.0, 5.0, 60.0), (0.1, 0.5, 0.3, 0.09, 0.01), (0.1, 0.5, 0.3, 0.09, 0.01))


def first_passages(demand: Demand, share: float, *, runs: int, seed: int) -> Array:
    """Play the process itself, batch by batch, and return the units at which each run reached the bar."""
    rng = np.random.default_rng(seed)
    law, values = demand.law, np.asarray(demand.law.values)
    n, sign = len(values), demand.claim.sign
    step = max(10, int(4 / growth(demand, share) / 250))
    wealth, sums = np.zeros((runs, 5)), np.zeros((runs, 2 * n))
    first, alive = np.full(runs, math.inf), np.arange(runs)
    for units in range(step, 400 * step * 12, step):
        came = rng.multinomial(step, demand.chances(share), size=len(alive)).astype(float)
        seen = sums[:, :n] + sums[:, n:]
        if demand.method == "rate":
            arms = came[:, [1, 0, 3, 2]] if sign > 0 else came[:, [3, 2, 1, 0]]
            pi = share if sign > 0 else 1 - share
            of_candidate = sums[:, n:].sum(axis=1) if sign > 0 else sums[:, :n].sum(axis=1)
            whole = seen.sum(axis=1) + demand.known
            pooled = (seen[:, 1] + law.means[0] * demand.known) / whole
            part = (of_candidate + pi * demand.known) / whole
            wealth += binary.increments(arms, pooled, part, np.full(len(alive), pi), demand.claim)
        else:
            middle, quarter = (values[0] + values[-1]) / 2, (values[-1] - values[0]) / 4
            units_seen = seen.sum(axis=1)
            centre = (seen @ values + middle) / (units_seen + 1)
            around = seen @ values**2 - 2 * centre * (seen @ values) + units_seen * centre**2
            variance = (np.maximum(around, 0) + quarter**2) / (units_seen + 1)
            sides = came[:, :n], came[:, n:]
            wealth += bounded.increments(
                sides, values, centre=centre, variance=variance, share=share, claim=demand.claim
            )
        sums += came
        hit = mixture.log_mixture(wealth) >= threshold(0.05)
        first[alive[hit]] = units - step / 2
        alive, wealth, sums = alive[~hit], wealth[~hit], sums[~hit]
        if not len(alive):
            break
    return first


@pytest.mark.parametrize(
    ("claim", "law", "share"),
    [
        (superior(0.02), rates(0.1, 0.12), 0.5),
        (superior(0.02), rates(0.1, 0.14), 0.5),
        (not_inferior(0.03), rates(0.7, 0.7), 0.05),
        (not_inferior(0.02, "lower"), rates(0.005, 0.005), 0.05),
        (harmful(0.01, "lower", at="zero"), rates(0.01, 0.02), 0.05),
        (harmful(0.02, "lower"), rates(0.01, 0.05), 0.01),
        (superior(0.2), STARS, 0.25),
        (not_inferior(0.5, "lower"), WAITS, 0.1),
    ],
)
def test_a_plan_is_within_a_tenth_of_the_process_itself(claim: Claim, law: Law, share: float) -> None:
    demand = Demand(claim, law, "rate" if len(law.values) == 2 else "bounded")
    played = first_passages(demand, share, runs=1500, seed=11)
    planned = course(demand, [Step(share)], DAILY, 0.05)
    mean, likely = planned.mean(), planned.to(0.8)
    assert mean is not None
    assert likely is not None
    assert mean.units == pytest.approx(played.mean(), rel=0.1)
    assert likely.units == pytest.approx(np.percentile(played, 80), rel=0.1)


def test_one_bet_alone_passes_a_straight_line_as_the_formula_says() -> None:
    """P = Phi((gn - b) / sqrt(2gn)) + e^b Phi(-(gn + b) / sqrt(2gn)) (Siegmund 1985, equation 3.15)."""
    drift, bar = 0.002, 3.2
    units = np.geomspace(100, 6000, 160)
    alone = np.full((160, 5), -1e9)
    alone[:, 2] = drift * units - math.log(mixture.WEIGHTS[2])
    slope = np.zeros((160, 5))
    slope[:, 2] = 1.0
    found = passage.chances(2 * drift * units, alone, slope, bar)
    for n in (500, 1500, 3000):
        spread = math.sqrt(2 * drift * n)
        chance = _phi((drift * n - bar) / spread) + math.exp(bar) * _phi(-(drift * n + bar) / spread)
        assert float(np.interp(n, units, found)) == pytest.approx(chance, abs=0.01)


def _phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


@pytest.mark.parametrize(
    ("demand", "half", "twentieth"),
    [
        (rate_demand(0.1, 0.01), 11.9, 65),
        (rate_demand(0.1, 0.02), 3.2, 16.5),
        (rate_demand(0.7, 0.05), 1.0, 5.5),
        (rate_demand(0.7, 0.0, -0.03), 3.0, 16.4),
        (mean_demand(1.1, 0.1), 1.6, 8.4),
        (rate_demand(0.01, 0.01), 2.1, 9.4),
    ],
)
def test_days_to_an_80_percent_chance(demand: Demand, half: float, twentieth: float) -> None:
    for share, days in ((0.5, half), (0.05, twentieth)):
        found = plan(demand, [Step(share)], DAILY, 0.05)
        assert found is not None
        assert found.days == pytest.approx(days, rel=0.05)
        assert found.units == pytest.approx(3000 * found.days, rel=1e-3)
        assert found.candidate_units == pytest.approx(share * found.units, rel=1e-3)


def test_units_fall_with_the_square_of_the_effect() -> None:
    one, two = (course(mean_demand(1, effect), [Step(0.5)], DAILY, 0.05).mean() for effect in (0.05, 0.1))
    assert one is not None
    assert two is not None
    assert one.units == pytest.approx(4 * two.units, rel=0.03)
    assert growth(mean_demand(1, 0.1), 0.5) == pytest.approx(0.01 / (2 * 4), rel=0.01)


def test_prediction_saves_and_clustering_costs() -> None:
    plain = rate_demand(0.5, 0.05)
    for changed, times in (({"correlation": 0.6}, 0.64), ({"design_effect": 2.0}, 2.0)):
        other = msgspec.structs.replace(plain, **changed)
        assert growth(other, 0.5) == pytest.approx(growth(plain, 0.5) / times)
        found, usual = (course(demand, [Step(0.5)], DAILY, 0.05).to(0.8) for demand in (other, plain))
        assert found is not None
        assert usual is not None
        assert found.days == pytest.approx(times * usual.days, rel=0.05)


def test_a_ramp_adds_up_its_steps() -> None:
    demand = rate_demand(0.7, 0.05)
    ramp = [Step(0.01, 1), Step(0.05, 1), Step(0.25, 1), Step(0.5)]
    found = course(demand, ramp, DAILY, 0.05)
    late = course(demand, ramp, DAILY, 0.05, matures_after=0.5)
    at_once, on_ramp, later = plan(demand, [Step(0.5)], DAILY, 0.05), found.to(0.8), late.to(0.8)
    assert at_once is not None
    assert on_ramp is not None
    assert later is not None
    assert at_once.days < on_ramp.days < at_once.days + 3
    assert later.days == pytest.approx(on_ramp.days + 0.5, abs=0.01)
    assert found.at(on_ramp.days) == pytest.approx(0.8, abs=0.01)
    assert exposed(ramp, DAILY, 3.5) == pytest.approx(3000 * (0.01 + 0.05 + 0.25) + 1500 * 0.5)
    # What was gathered on the first steps counts: on the last alone it would take longer from there.
    assert on_ramp.days - 3 < at_once.days


def test_a_candidate_among_several_has_its_part_of_the_units() -> None:
    demand = rate_demand(0.7, 0.05)
    alone = course(demand, [Step(1 / 3)], DAILY, 0.05).to(0.8)
    shared = course(demand, [Step(1 / 3, part=0.75)], DAILY, 0.05).to(0.8)
    assert alone is not None
    assert shared is not None
    assert shared.days == pytest.approx(alone.days / 0.75, rel=0.01)


def test_returning_units_count_once() -> None:
    crowd = Traffic(1000, fresh=0.2, regulars=4000)
    assert crowd.new_units(0) == 0
    assert crowd.new_units(1e-3) == pytest.approx(1.0, rel=1e-3)  # at first everybody is new
    assert crowd.new_units(1000) == pytest.approx(200 * 1000 + 4000)
    assert Traffic(500, fresh=0.0, regulars=2000).new_units(1e6) == pytest.approx(2000)
    # Once the regulars have all been seen, no proof comes of waiting.
    assert plan(rate_demand(0.1, 0.01), [Step(0.5)], Traffic(500, fresh=0.0, regulars=2000), 0.05) is None


def test_plans_survive_json() -> None:
    found = course(rate_demand(0.1, 0.01), [Step(0.5)], DAILY, 0.05)
    for value in (Step(0.5), Step(0.05, 2.0), DAILY, rate_demand(0.1, 0.01), found):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
    assert list(found.chance) == sorted(found.chance)
    assert isinstance(found, Course)


def test_bad_input_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="rates lie between"):
        rate_demand(0.99, 0.02)
    with pytest.raises(ValueError, match="beyond the null"):
        Demand(superior(0.02), rates(0.5, 0.5), "rate")
    with pytest.raises(ValueError, match="add up to 1"):
        Law((0.0, 1.0), (0.5, 0.6), (0.5, 0.5))
    with pytest.raises(ValueError, match="out of reach"):
        mean_demand(0.1, 1.0)
    with pytest.raises(ValueError, match="correlation"):
        msgspec.structs.replace(rate_demand(0.1, 0.01), correlation=1.0).__post_init__()
    with pytest.raises(ValueError, match="how many regulars"):
        Traffic(1000, fresh=0.5)
    with pytest.raises(ValueError, match="traffic"):
        Traffic(0)
    with pytest.raises(ValueError, match="some days"):
        Step(0.5, 0)
    with pytest.raises(ValueError, match="two sides"):
        Step(1.0)
    with pytest.raises(ValueError, match="part of units"):
        Step(0.5, part=0.0)
    with pytest.raises(ValueError, match="a step or more"):
        plan(mean_demand(1, 0.1), [], DAILY, 0.05)
    for power in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"0\.8 is usual"):
            plan(mean_demand(1, 0.1), [Step(0.5)], DAILY, 0.05, power=power)
    with pytest.raises(ValueError, match="alpha"):
        plan(mean_demand(1, 0.1), [Step(0.5)], DAILY, 0.0)
