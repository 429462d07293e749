"""The stratified difference: by hand, against drift on a ramp, and its error rates by seeded simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pilotage.stats import looks
from pilotage.stats.counts import ArmCounts, Stratum
from pilotage.stats.special import normal_quantile
from pilotage.stats.stratified import Estimate, against, difference

BINARY = (0.0, 1.0)


def rate(successes: int, n: int) -> ArmCounts:
    return ArmCounts(n, n, float(successes), float(successes))


def sample(values: np.ndarray) -> ArmCounts:
    return ArmCounts(len(values), len(values), float(values.sum()), float((values**2).sum()))


def must(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


def test_one_step_of_rates_is_agresti_and_caffo() -> None:
    found = must(difference([Stratum(0, rate(10, 50), rate(16, 40))], BINARY))
    p, q = 17 / 42, 11 / 52
    error = math.sqrt(p * (1 - p) / 42 + q * (1 - q) / 52)
    assert found.value == pytest.approx(0.4 - 0.2)
    assert found.centre == pytest.approx(p - q)
    assert found.error == pytest.approx(error)
    assert found.low(0.025) == pytest.approx(p - q - 1.959964 * error, abs=1e-6)
    assert found.high(0.025) == pytest.approx(p - q + 1.959964 * error, abs=1e-6)


def test_unbounded_values_are_welch() -> None:
    random = np.random.default_rng(3)
    one, two = random.lognormal(0.0, 1.0, 40), random.lognormal(0.3, 0.5, 25)
    parts = one.var(ddof=1) / 40, two.var(ddof=1) / 25
    found = must(difference([Stratum(0, sample(two), sample(one))], None))
    assert found.value == pytest.approx(one.mean() - two.mean())
    assert found.error == pytest.approx(math.sqrt(sum(parts)))
    assert found.freedom == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 39 + parts[1] ** 2 / 24))


def test_pooling_over_a_ramp_would_see_an_effect_where_there_is_none() -> None:
    # The base rate rises from 10 to 30 % while the candidate's share does; both sides are alike in every step.
    steps = [Stratum(0, rate(99, 990), rate(1, 10)), Stratum(1, rate(150, 500), rate(150, 500))]
    found = must(difference(steps, BINARY))
    assert found.value == pytest.approx(0.0)
    assert found.low(0.025) < 0 < found.high(0.025)
    pooled = 151 / 510 - 249 / 1490
    assert pooled > 0.12


def test_steps_are_weighted_by_what_they_can_tell() -> None:
    steps = [Stratum(0, rate(50, 100), rate(5, 10)), Stratum(1, rate(40, 100), rate(60, 100))]
    weight = (100 * 10 / 110, 100 * 100 / 200)
    expected = (weight[0] * 0.0 + weight[1] * 0.2) / sum(weight)
    assert must(difference(steps, BINARY)).value == pytest.approx(expected)


@pytest.mark.parametrize("bounds", [BINARY, None])
def test_a_side_without_outcomes_is_no_estimate(bounds: tuple[float, float] | None) -> None:
    assert difference([], bounds) is None
    assert difference([Stratum(0, ArmCounts(), rate(5, 10))], bounds) is None
    assert difference([Stratum(0, ArmCounts(10), rate(5, 10))], bounds) is None


def test_no_spread_is_no_estimate_without_bounds() -> None:
    same = sample(np.full(30, 2.0))
    assert difference([Stratum(0, same, same)], None) is None
    assert against([Stratum(0, ArmCounts(), same)], 1.0, None) is None
    # On a bounded scale the added units say how little 30 equal values prove.
    found = must(difference([Stratum(0, rate(0, 30), rate(0, 30))], BINARY))
    assert found.high(0.025) > 0.05


def test_without_a_baseline_the_level_of_today_is_what_counts() -> None:
    found = must(against([Stratum(0, ArmCounts(), rate(30, 50)), Stratum(1, ArmCounts(), rate(40, 50))], 0.5, BINARY))
    p = 71 / 102
    assert found.value == pytest.approx(0.7 - 0.5)
    assert found.centre == pytest.approx(p - 0.5)
    assert found.error == pytest.approx(math.sqrt(p * (1 - p) / 102))


# Chances of an error at the margin itself, where they are greatest; a nominal 2.5 % on each side.
@pytest.mark.parametrize(
    ("base", "effect", "sides"),
    [
        (0.70, 0.00, ((990, 10), (950, 50), (750, 250), (500, 500))),
        (0.70, -0.05, ((475, 25), (375, 125), (250, 250))),
        (0.02, 0.02, ((475, 25), (375, 125), (250, 250))),
        (0.01, 0.00, ((1980, 20),)),
    ],
)
def test_bounds_hold_at_their_rate_on_a_drifting_ramp(
    base: float, effect: float, sides: tuple[tuple[int, int], ...]
) -> None:
    random = np.random.default_rng(20_261)
    repetitions = 4000
    z = normal_quantile(0.975)
    too_low = too_high = 0
    drift = [base * (1 + 0.1 * step) for step in range(len(sides))]
    draws = [
        (random.binomial(b, level, repetitions), random.binomial(c, level + effect, repetitions))
        for level, (b, c) in zip(drift, sides, strict=True)
    ]
    for index in range(repetitions):
        steps = [
            Stratum(step, rate(int(xb[index]), b), rate(int(xc[index]), c))
            for step, ((xb, xc), (b, c)) in enumerate(zip(draws, sides, strict=True))
        ]
        found = must(difference(steps, BINARY))
        too_low += found.centre + z * found.error < effect
        too_high += found.centre - z * found.error > effect
    # 4,000 runs at 2.5 % give 100 +- 10; three of these standard deviations are allowed.
    assert too_low <= 130
    assert too_high <= 130


@pytest.mark.parametrize(("base", "margin"), [(0.02, 0.02), (0.30, 0.05)])
def test_planned_looks_keep_the_false_alarm_rate_of_a_whole_rollout(base: float, margin: float) -> None:
    """A candidate worse by exactly the margin is called harmful in at most alpha of all rollouts, whatever the looks."""
    random = np.random.default_rng(7)
    alpha, share, rollouts = 0.05, 0.05, 1500
    sizes = [looks.size(k) for k in range(8)]
    alarms = 0
    for _ in range(rollouts):
        c = np.cumsum(random.random(sizes[-1]) < base + margin)
        b = np.cumsum(random.random(int(sizes[-1] * (1 - share) / share)) < base)
        for k, size in enumerate(sizes):
            others = int(size * (1 - share) / share)
            found = must(
                difference([Stratum(0, rate(int(b[others - 1]), others), rate(int(c[size - 1]), size))], BINARY)
            )
            if found.low(looks.spent(k, alpha)) > margin:
                alarms += 1
                break
    # 5 % of 1,500 is 75 +- 8.4.
    assert alarms <= 100
