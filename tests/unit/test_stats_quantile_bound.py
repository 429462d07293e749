from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pilotage.stats.histogram import Histogram, Scale, empty, gather, log_scale
from pilotage.stats.quantile_bound import quantile_log_e

SCALE = Scale(1.0, (0, 1, 2, 4, 8))


def test_worse_by_the_factor_it_is_not_expected_to_gain() -> None:
    """All samples of four and four; the candidate's median is 1.9 times the baseline's and the factor 1.5."""
    b, c = ((0.5, 0.3), (2.0, 0.7)), ((1.5, 0.4), (3.8, 0.3), (7.0, 0.3))
    total = 0.0
    for left in itertools.product(b, repeat=4):
        for right in itertools.product(c, repeat=4):
            chance = math.prod(p for _, p in (*left, *right))
            total += chance * math.exp(
                quantile_log_e(gather(SCALE, [y for y, _ in left]), gather(SCALE, [y for y, _ in right]), 0.5, 0.5)
            )
    assert total <= 1


def test_equal_latency_is_shown_to_lie_within_the_factor() -> None:
    rng = np.random.default_rng(1)
    scale = log_scale(60, smallest=0.06)

    def sample(factor: float) -> Histogram:
        return gather(scale, factor * rng.lognormal(0, 0.5, 4000))

    assert quantile_log_e(sample(1), sample(1), 0.95, 0.5) > math.log(20)
    assert quantile_log_e(sample(1), sample(1.5), 0.95, 0.5) < math.log(20)
    assert quantile_log_e(sample(1), sample(3), 0.95, 0.5) < 0


def test_bad_input_says_what_would_be_right() -> None:
    one = gather(SCALE, [1.0])
    for quantile, margin in ((0.0, 0.5), (1.0, 0.5), (0.95, 0.0), (0.95, math.nan)):
        with pytest.raises(ValueError, match="margin above 0"):
            quantile_log_e(one, one, quantile, margin)
    with pytest.raises(ValueError, match="quantile of nothing"):
        quantile_log_e(one, empty(SCALE), 0.5, 0.5)
    with pytest.raises(ValueError, match="one scale"):
        quantile_log_e(one, gather(log_scale(8, smallest=1), [1.0]), 0.5, 0.5)
