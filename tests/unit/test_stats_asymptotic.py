from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from pilotage.stats.asymptotic import AsymptoticProcess, Sums, adjust, gather, linearise
from pilotage.stats.claim import harmful, not_inferior, superior


def filled(process: AsymptoticProcess, effect: float, steps: int = 3, seed: int = 1) -> AsymptoticProcess:
    rng = np.random.default_rng(seed)
    for step in range(steps):
        share = (0.25, 0.5, 0.75)[step]
        base = step * 5.0  # the level drifts with the ramp
        for _ in range(4):
            b, c = rng.exponential(2, 500) + base, rng.exponential(2, 500) + base + effect
            process = process.update(f"step {step}", gather(b), gather(c), share)
    return process


def test_the_e_value_is_the_half_normal_mixture() -> None:
    process = filled(AsymptoticProcess(not_inferior(0.2)), -0.1)
    total, variance, whole = process.totals()
    shifted, tuning = total + 0.2 * whole, process.tuning
    deviation = 1 / math.sqrt(tuning)
    bets = np.linspace(0, 12 * deviation, 400_001)
    density = 2 * np.exp(-0.5 * (bets / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    integral = np.trapezoid(density * np.exp(bets * shifted - bets**2 * variance / 2), bets)
    assert process.log_e == pytest.approx(math.log(float(integral)), abs=1e-6)


def test_drift_over_the_steps_is_no_effect() -> None:
    assert filled(AsymptoticProcess(superior(0.3)), 0.0).log_e < 1
    assert filled(AsymptoticProcess(superior(0.3)), 0.3).log_e > 5
    assert filled(AsymptoticProcess(harmful(0.1)), -0.5).log_e > 5
    interval = filled(AsymptoticProcess(superior(0.3)), 0.3).interval(0.05)
    assert interval is not None
    assert 0 < interval[0] < 0.3 < interval[1] < 0.6


def test_nothing_is_said_before_the_burn_in() -> None:
    process = AsymptoticProcess(superior(0.1))
    few = process.update("one", gather([1.0] * 499), gather([9.0] * 499), 0.5)
    assert few.log_e == 0
    assert few.interval(0.05) is None
    rare = [1.0] * 49 + [0.0] * 5000
    assert process.update("one", gather(rare), gather(rare), 0.5).log_e == 0
    constant = process.update("one", gather([1.0] * 900), gather([1.0] * 900), 0.5)
    assert constant.log_e == 0


def test_far_on_the_wrong_side_it_stays_finite() -> None:
    assert -1000 < filled(AsymptoticProcess(superior(0.1)), -1.9).log_e < -3


def test_sums_merge_in_any_order_and_state_survives_json() -> None:
    rng = np.random.default_rng(3)
    values = rng.lognormal(10, 2, 2000)
    parts = [gather(values[i : i + 13]) for i in range(0, 2000, 13)]
    random.Random(2).shuffle(parts)
    assert sum(parts, Sums()) == gather(values)
    process = filled(AsymptoticProcess(superior(0.1)), 0.1)
    again = msgspec.json.decode(msgspec.json.encode(process), type=AsymptoticProcess)
    assert again == process
    assert again.log_e == process.log_e


def test_a_ratio_is_a_mean_of_linearised_values() -> None:
    spent, visits = np.asarray([3.0, 8.0, 1.0]), np.asarray([1.0, 4.0, 1.0])
    ratio = spent.sum() / visits.sum()
    assert linearise(spent, visits, ratio).sum() == pytest.approx(0)


def test_a_covariate_takes_variance_off() -> None:
    rng = np.random.default_rng(4)
    before = rng.normal(10, 2, 5000)
    after = before + rng.normal(0, 1, 5000)
    adjusted = adjust(after, before, 1.0, 10.0)
    assert adjusted.var() == pytest.approx(1, rel=0.1)
    assert adjusted.mean() == pytest.approx(after.mean(), abs=0.1)


def test_bad_input_says_what_would_be_right() -> None:
    process = AsymptoticProcess(superior(0.1)).update("one", Sums(), Sums(), 0.5)
    with pytest.raises(ValueError, match="another share is another step"):
        process.update("one", Sums(), Sums(), 0.25)
    with pytest.raises(ValueError, match="finite"):
        gather([1.0, math.inf])
    with pytest.raises(ValueError, match="resolution"):
        AsymptoticProcess(superior(0.1), 0.0)
