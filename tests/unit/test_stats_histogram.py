from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from pilotage.stats.histogram import Histogram, Scale, empty, even_scale, gather, log_scale, residual_scale


def test_merging_has_no_order_and_survives_json() -> None:
    rng = np.random.default_rng(5)
    scale = log_scale(60, smallest=0.06)
    values = rng.lognormal(0, 1, 3000)
    parts = [gather(scale, values[i : i + 37]) for i in range(0, 3000, 37)]
    whole = gather(scale, values)
    random.Random(1).shuffle(parts)
    merged = sum(parts, empty(scale))
    assert merged == whole
    assert merged.weights.tolist() == whole.weights.tolist()
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Histogram) == whole


def test_spreading_keeps_the_number_and_the_mean() -> None:
    rng = np.random.default_rng(6)
    values = np.minimum(rng.lognormal(0, 1.5, 5000), 60)
    histogram = gather(log_scale(60, smallest=0.06), values)
    assert histogram.n == 5000
    assert histogram.weights.sum() == pytest.approx(5000)
    assert histogram.weights.min() >= 0
    assert histogram.mean == pytest.approx(values.mean(), abs=1e-6)
    assert float(histogram.weights @ histogram.points) / 5000 == pytest.approx(values.mean(), abs=1e-6)


def test_interpolation_is_below_a_concave_function_and_near_it() -> None:
    rng = np.random.default_rng(7)
    values = np.minimum(rng.lognormal(0, 1, 5000), 60)
    exact = float(np.log1p(values).sum())
    for count, cost in ((87, 0.002), (22, 0.03)):
        histogram = gather(log_scale(60, smallest=0.06, count=count), values)
        below = float(histogram.weights @ np.log1p(histogram.points))
        assert exact * (1 - cost) < below <= exact


def test_values_on_edges_are_exact_and_the_cap_holds_what_is_beyond() -> None:
    stars = gather(even_scale(1, 5, count=5), [1, 2, 2, 5, 5, 5, 9])
    assert stars.weights.tolist() == [1, 2, 0, 0, 4]
    assert gather(log_scale(30, smallest=0.1), [31, 1e9]).mean == 30
    around = residual_scale(30, smallest=0.1)
    assert gather(around, [-2.5, 2.5, -40]).mean == pytest.approx(-10)
    assert around.edges == tuple(-edge for edge in reversed(around.edges))


def test_bad_input_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="finite"):
        gather(even_scale(0, 1), [0.5, math.nan])
    with pytest.raises(ValueError, match="without a cap"):
        log_scale(math.inf, smallest=0.1)
    with pytest.raises(ValueError, match="low one first"):
        even_scale(5, 1)
    with pytest.raises(ValueError, match="above the one before"):
        Scale(1e-6, (0, 0))
    with pytest.raises(ValueError, match="resolution"):
        Scale(0.0, (0, 1))
    with pytest.raises(ValueError, match="one scale"):
        gather(even_scale(0, 1), [0.5]) + gather(even_scale(0, 2), [0.5])
