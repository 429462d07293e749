from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest

from pilotage.stats.bounded import BoundedProcess, increments
from pilotage.stats.claim import Claim, harmful, not_inferior, superior
from pilotage.stats.histogram import empty, even_scale, gather, log_scale, residual_scale

STARS = even_scale(1, 5, count=5)


@pytest.mark.parametrize(("sign", "null"), list(itertools.product([1, -1], [-1.5, -0.3, 0.0, 0.3])))
def test_one_unit_is_not_expected_to_gain(sign: int, null: float) -> None:
    """All pairs of distributions on the five stars whose means lie at the null, at any centre, variance and share."""
    claim, points = Claim(null, 0.3, sign), STARS.points
    nothing, each = np.zeros((5, 5)), np.eye(5)
    rng = np.random.default_rng(8)
    for share, centre, variance in itertools.product((0.01, 0.3, 0.5, 0.9), (1.0, 3.7, 5.0), (0.01, 1.0, 9.0)):
        gain_c, gain_b = (
            np.exp(
                increments(
                    weights,
                    points,
                    centre=np.full(5, centre),
                    variance=np.full(5, variance),
                    share=share,
                    claim=claim,
                )
            )
            for weights in ((nothing, each), (each, nothing))
        )
        for _ in range(20):
            p_b, p_c = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5))
            if sign * (p_c - p_b) @ points > null:
                p_b, p_c = p_c, p_b
            if sign * (p_c - p_b) @ points > null:
                continue
            assert (share * p_c @ gain_c + (1 - share) * p_b @ gain_b).max() <= 1 + 1e-9


def test_a_path_of_adapting_bets_is_not_expected_to_gain() -> None:
    b, c = ((1.0, 0.2), (4.0, 0.8)), ((2.0, 0.5), (4.8, 0.5))
    scale = even_scale(1, 5, count=3)  # values between edges: the interpolation may only lose
    shares = (0.05, 0.5, 0.25)

    def walk(process: BoundedProcess, depth: int, chance: float) -> float:
        if depth == len(shares):
            return chance * math.exp(process.log_e)
        pi, none = shares[depth], empty(scale)
        total = 0.0
        for value, part in c:
            total += walk(process.update(none, gather(scale, [value]), pi), depth + 1, chance * pi * part)
        for value, part in b:
            total += walk(process.update(gather(scale, [value]), none, pi), depth + 1, chance * (1 - pi) * part)
        return total

    assert 0.9 < walk(BoundedProcess(superior(0.4)), 0, 1.0) <= 1 + 1e-9
    assert walk(BoundedProcess(harmful(0.4, at="zero")), 0, 1.0) <= 1 + 1e-9
    assert walk(BoundedProcess(harmful(0.4, at="zero"), spread=1.0), 0, 1.0) <= 1 + 1e-9


def test_what_is_true_is_shown_in_either_direction() -> None:
    rng = np.random.default_rng(9)
    scale = log_scale(30, smallest=0.03)
    slow, fast = BoundedProcess(harmful(0.2, "lower")), BoundedProcess(not_inferior(0.2, "lower"))
    for _ in range(100):
        b = gather(scale, rng.lognormal(0, 0.5, 50))
        worse, equal = gather(scale, rng.lognormal(0.5, 0.5, 50)), gather(scale, rng.lognormal(0, 0.5, 50))
        slow, fast = slow.update(b, worse, 0.5), fast.update(b, equal, 0.5)
    assert slow.log_e > 20
    assert fast.log_e > 10


def test_a_prediction_of_each_unit_makes_it_faster() -> None:
    rng = np.random.default_rng(10)
    plain, helped = BoundedProcess(superior(0.1)), BoundedProcess(superior(0.1), residuals=True)
    scale, around = even_scale(0, 10, count=81), residual_scale(10, smallest=0.05)
    for _ in range(40):
        known = rng.uniform(2, 8, (2, 50))
        y = known + rng.normal(0, 0.3, (2, 50)) + np.asarray([[0.0], [0.1]])
        plain = plain.update(gather(scale, y[0]), gather(scale, y[1]), 0.5)
        helped = helped.update(gather(around, y[0] - known[0]), gather(around, y[1] - known[1]), 0.5)
    assert helped.log_e > plain.log_e + 3


def test_state_survives_json_to_the_bit_and_goes_on_alike() -> None:
    process = BoundedProcess(not_inferior(0.3), spread=1.1)
    for value in (1, 2, 5, 4):
        process = process.update(gather(STARS, [value, 3]), gather(STARS, [5, value]), 0.3)
    again = msgspec.json.decode(msgspec.json.encode(process), type=BoundedProcess)
    batch = gather(STARS, [4, 4, 1])
    assert again == process
    assert again.update(batch, batch, 0.5) == process.update(batch, batch, 0.5)


def test_bad_input_says_what_would_be_right() -> None:
    process, some = BoundedProcess(superior(0.3)), gather(STARS, [3])
    with pytest.raises(ValueError, match="empty batch"):
        process.update(empty(STARS), empty(STARS), 0.5)
    with pytest.raises(ValueError, match="one scale"):
        process.update(some, gather(even_scale(1, 7, count=7), [3]), 0.5)
    with pytest.raises(ValueError, match="two sides"):
        process.update(some, some, 0.0)
    with pytest.raises(ValueError, match="beyond the metric's range"):
        BoundedProcess(not_inferior(50)).update(some, some, 0.5)
    for spread in (0.0, math.nan):
        with pytest.raises(ValueError, match="standard deviation"):
            BoundedProcess(superior(0.3), spread)
