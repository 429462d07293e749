from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.stats.quantile import quantile_interval, sample_needed


def test_the_median_of_ten_is_enclosed_by_the_second_and_the_ninth() -> None:
    # Conover, Practical Nonparametric Statistics: n = 10, ranks 2 and 9 cover the median with probability 0.979.
    assert quantile_interval(list(range(1, 11)), 0.5, 0.95) == (5, 2, 9)


def test_a_small_sample_has_no_bounds() -> None:
    needed = sample_needed(0.95, 0.95)
    assert needed == 72  # the least n with 0.95^n <= 0.025
    assert quantile_interval(list(range(needed - 1)), 0.95, 0.95) is None
    found = quantile_interval(list(range(needed)), 0.95, 0.95)
    assert found is not None
    assert found[2] == needed - 1
    assert quantile_interval([], 0.5, 0.95) is None


@pytest.mark.parametrize("wrong", [(0.0, 0.95), (1.0, 0.95), (0.5, 1.0)])
def test_only_a_quantile_and_a_confidence_inside(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile_interval([1.0, 2.0], *wrong)
    with pytest.raises(ValueError, match="finite"):
        quantile_interval([1.0, float("inf")], 0.5, 0.9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_value_lies_within_its_bounds(values: list[float], quantile: float) -> None:
    found = quantile_interval(values, quantile, 0.95)
    assert (found is not None) == (len(values) >= sample_needed(quantile, 0.95))
    if found:
        assert found[1] <= found[0] <= found[2]


@pytest.mark.parametrize("size", [100, 400])
def test_it_covers_the_true_quantile_as_often_as_it_says(size: int) -> None:
    random = np.random.default_rng(11)
    true = np.quantile(random.lognormal(size=2_000_000), 0.95)
    found = [quantile_interval(random.lognormal(size=size).tolist(), 0.95, 0.95) for _ in range(1500)]
    covered = np.mean([one is not None and one[1] <= true <= one[2] for one in found])
    assert 0.935 <= covered <= 0.995
