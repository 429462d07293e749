"""Intervals against published values and textbook tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.stats.interval import (
    clopper_pearson,
    clopper_pearson_upper,
    mean_interval,
    newcombe,
    paired_difference,
    tango,
    wilson,
)
from pilotage.stats.special import beta_cdf, beta_quantile, normal_quantile, t_quantile


# Newcombe 1998, Statistics in Medicine 17:857, table I: methods 3 (score) and 5 (exact).
@pytest.mark.parametrize(
    ("successes", "n", "score", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_one_rate_as_published(successes: int, n: int, score: tuple[float, float], exact: tuple[float, float]) -> None:
    found = wilson(successes, n)
    assert (found.low, found.high) == pytest.approx(score, abs=5e-5)
    found = clopper_pearson(successes, n)
    assert (found.low, found.high) == pytest.approx(exact, abs=5e-5)


# Newcombe 1998, Statistics in Medicine 17:873, table II, method 10.
@pytest.mark.parametrize(
    ("one", "two", "published"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_two_rates_as_published(one: tuple[int, int], two: tuple[int, int], published: tuple[float, float]) -> None:
    found = newcombe(*one, *two)
    assert (found.low, found.high) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize(
    ("p", "freedom", "table"),
    [(0.975, 1, 12.706), (0.975, 10, 2.228), (0.95, 5, 2.015), (0.995, 30, 2.750), (0.9995, 4, 8.610), (0.5, 3, 0.0)],
)
def test_t_quantiles_as_tabled(p: float, freedom: float, table: float) -> None:
    assert t_quantile(p, freedom) == pytest.approx(table, abs=5e-4)
    assert t_quantile(1 - p, freedom) == pytest.approx(-table, abs=5e-4)


def test_t_becomes_normal() -> None:
    assert t_quantile(0.99, math.inf) == normal_quantile(0.99)
    assert t_quantile(0.99, 1e8) == pytest.approx(t_quantile(0.99, 1e6), abs=1e-5)


@given(st.floats(0.001, 0.999), st.floats(0.5, 400), st.floats(0.5, 400))
def test_beta_quantile_undoes_the_distribution(p: float, a: float, b: float) -> None:
    x = beta_quantile(p, a, b)
    # Where the distribution is steep, neighbouring floats lie on both sides of p.
    assert beta_cdf(math.nextafter(x, 0), a, b) - 1e-9 <= p <= beta_cdf(math.nextafter(x, 1), a, b) + 1e-9


def test_upper_bound_of_nothing_is_the_rule_of_three() -> None:
    assert clopper_pearson_upper(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100), abs=1e-12)
    assert clopper_pearson_upper(7, 7) == 1.0


def test_exact_interval_covers_by_enumeration() -> None:
    n = 25
    for p in np.linspace(0.02, 0.98, 25):
        covered = sum(
            math.comb(n, k) * p**k * (1 - p) ** (n - k)
            for k in range(n + 1)
            if clopper_pearson(k, n).low <= p <= clopper_pearson(k, n).high
        )
        assert covered >= 0.95


def test_mean_interval_by_hand() -> None:
    found = mean_interval([2.0, 4.0, 6.0, 8.0])  # mean 5, s = sqrt(20 / 3), t(3) = 3.182446
    half = 3.182446 * math.sqrt(20 / 3) / 2
    assert (found.value, found.low, found.high) == pytest.approx((5, 5 - half, 5 + half), abs=1e-5)
    with pytest.raises(ValueError, match="two values"):
        mean_interval([1.0])


def pairs(better: int, worse: int, n: int) -> tuple[list[float], list[float]]:
    alike = [1.0] * (n - better - worse)
    return [1.0] * better + [0.0] * worse + alike, [0.0] * better + [1.0] * worse + alike


@pytest.mark.parametrize(
    ("better", "worse", "n", "confidence", "low", "high"),
    [
        # Fagerland, Lydersen & Laake 2014 (Stat. Med. 33:2850), airway reactivity of children.
        (1, 7, 21, 0.95, -0.517, -0.026),
        # Tango 1998 (Stat. Med. 17:891), soft contact lenses.
        (0, 1, 44, 0.90, -0.096, 0.037),
    ],
)
def test_paired_rates_are_tangos(better: int, worse: int, n: int, confidence: float, low: float, high: float) -> None:
    found = paired_difference(*pairs(better, worse, n), confidence=confidence)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)
    assert found.value == pytest.approx((better - worse) / n)
    other = paired_difference(*pairs(worse, better, n), confidence=confidence)
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))
def test_the_bounds_of_paired_rates_are_where_the_score_test_just_refuses(better: int, worse: int, alike: int) -> None:
    n, z = better + worse + alike, 1.959963985
    if n == 0:
        return
    low, high = tango(better, worse, n, z)
    assert -1 <= low <= (better - worse) / n <= high <= 1
    if better == worse == 0:
        # Where no pair differs it is z^2 / (n + z^2) to both sides.
        assert (low, high) == pytest.approx((-z * z / (n + z * z), z * z / (n + z * z)))


def test_graded_scores_have_two_pairs_added() -> None:
    candidate, baseline = [1.0, 0.5, 0.5, 0.0], [0.5, 0.5, 0.0, 0.0]
    centre, added = 1.0 / 6, 6
    half = 1.959964 * math.sqrt(((0.5 + 1) / added - centre**2) / added)
    found = paired_difference(candidate, baseline)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_a_few_equal_pairs_are_not_certainty() -> None:
    found = paired_difference([1.0] * 5, [1.0] * 5)
    assert found.value == 0
    assert found.low < -0.2
    assert found.high > 0.2


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="as many"):
        paired_difference([1.0], [1.0, 0.0])


@pytest.mark.parametrize("counts", [(3, 2), (-1, 5), (0, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a rate needs"):
        wilson(*counts)
