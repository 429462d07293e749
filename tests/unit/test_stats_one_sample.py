from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from pilotage.stats.claim import Claim, not_inferior, superior
from pilotage.stats.histogram import empty, even_scale, gather
from pilotage.stats.one_sample import OneMean, OneRate, rate_increments


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("null", [-0.05, 0.0, 0.05])
def test_one_unit_is_not_expected_to_gain(sign: int, null: float) -> None:
    claim = Claim(null, 0.04, sign)
    for level in (0.1, 0.4, 0.9):
        gains = np.exp(rate_increments(np.asarray([1.0, 0.0]), np.asarray([0.0, 1.0]), level, claim))
        edge = level + sign * null
        assert np.allclose(edge * gains[0] + (1 - edge) * gains[1], 1, atol=1e-12)
        beyond = edge - sign * min(edge, 1 - edge) / 2
        assert (beyond * gains[0] + (1 - beyond) * gains[1]).max() < 1


def test_a_single_component_is_the_likelihood_ratio() -> None:
    gain = rate_increments(30, 70, 0.2, superior(0.1))
    assert gain[2] == pytest.approx(30 * math.log(0.3 / 0.2) + 70 * math.log(0.7 / 0.8))


def test_streams_give_the_same_as_one_by_one() -> None:
    claim = superior(0.02)
    both = rate_increments(np.asarray([3.0, 5.0]), np.asarray([97.0, 45.0]), np.asarray([0.02, 0.1]), claim)
    assert both[1].tolist() == rate_increments(5, 45, 0.1, claim).tolist()


def test_a_rate_is_shown_above_todays() -> None:
    process = OneRate(superior(0.05), 0.6)
    for _ in range(20):
        process = process.update(35, 15)
    assert process.log_e > 3
    assert OneRate(superior(0.05), 0.6).update(600, 400).log_e < 0
    assert msgspec.json.decode(msgspec.json.encode(process), type=OneRate) == process


def test_a_mean_is_bet_on_within_its_range() -> None:
    """Every path of four ratings whose mean is at the null, with bets that learn on the way."""
    scale = even_scale(1, 5, count=5)
    values, chances = (1.0, 4.0, 5.0), (0.25, 0.5, 0.25)
    mean = sum(v * c for v, c in zip(values, chances, strict=True))

    def walk(process: OneMean, depth: int, chance: float) -> float:
        if depth == 4:
            return chance * math.exp(process.log_e)
        return sum(
            walk(process.update(gather(scale, [v])), depth + 1, chance * c)
            for v, c in zip(values, chances, strict=True)
        )

    assert walk(OneMean(superior(0.3), mean), 0, 1.0) == pytest.approx(1, abs=1e-12)
    assert walk(OneMean(not_inferior(0.3, "lower"), mean - 0.3), 0, 1.0) == pytest.approx(1, abs=1e-12)
    assert walk(OneMean(superior(0.3), mean + 0.2), 0, 1.0) < 1


def test_a_mean_is_shown_and_kept() -> None:
    scale = even_scale(1, 5, count=5)
    process = OneMean(superior(0.2), 3.8, spread=1.0)
    for _ in range(40):
        process = process.update(gather(scale, [5, 5, 4, 4, 3, 5, 4, 2, 5, 4]))
    assert process.log_e > 3
    assert msgspec.json.decode(msgspec.json.encode(process), type=OneMean) == process


def test_bad_input_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="not both 0"):
        OneRate(superior(0.05), 0.6).update(0, 0)
    for level in (math.nan, 0.0, 1.2):
        with pytest.raises(ValueError, match="room above"):
            OneRate(superior(0.05), level).update(1, 1)
    with pytest.raises(ValueError, match="finite value"):
        OneMean(superior(0.05), math.nan)
    scale = even_scale(1, 5, count=5)
    with pytest.raises(ValueError, match="empty batch"):
        OneMean(superior(0.1), 3).update(empty(scale))
    with pytest.raises(ValueError, match="wholly above the null"):
        OneMean(superior(0.1), 0.5).update(gather(scale, [3]))
