"""Bounds over prompts, paired tests and equivalence: published values, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.stats.clustered import clustered_lower, clustered_upper, prompts_needed
from pilotage.stats.interval import clopper_pearson_upper, paired_difference
from pilotage.stats.paired import equivalence_pairs, holm, mcnemar, sign_flips


def test_nothing_among_149_prompts_bounds_two_percent() -> None:
    assert clustered_upper([0.0] * 149) == pytest.approx(1 - 0.05 ** (1 / 149), abs=1e-12)
    assert clustered_upper([0.0] * 149) < 0.02 < clustered_upper([0.0] * 148)


# The table of zero-failure sample sizes at 95 % ("rule of three"): Hanley & Lippman-Hand 1983, JAMA 249:1743.
@pytest.mark.parametrize(("bound", "needed"), [(0.10, 29), (0.05, 59), (0.02, 149), (0.01, 299), (0.001, 2995)])
def test_how_many_prompts_a_bound_needs(bound: float, needed: int) -> None:
    assert prompts_needed(bound) == needed
    assert clustered_upper([0.0] * needed) <= bound < clustered_upper([0.0] * (needed - 1))


def test_what_no_number_of_prompts_shows() -> None:
    assert prompts_needed(0.0) is None
    assert prompts_needed(1e-9) is None
    assert prompts_needed(0.02, successes=90_000) is None


@given(st.integers(1, 20), st.floats(0.01, 0.5))
def test_with_successes_it_takes_more(successes: int, bound: float) -> None:
    needed = prompts_needed(bound, successes)
    assert needed is not None
    assert clopper_pearson_upper(successes, needed) <= bound
    assert needed == successes or clopper_pearson_upper(successes, needed - 1) > bound


def test_one_repeat_of_one_prompt_is_worse_than_none() -> None:
    none, third, whole = ([share] + [0.0] * 148 for share in (0.0, 1 / 3, 1.0))
    assert clustered_upper(none) < clustered_upper(third) < clustered_upper(whole)
    assert clustered_upper(whole) == pytest.approx(clopper_pearson_upper(1, 149))
    assert clustered_lower(none) == pytest.approx(0, abs=1e-12)
    assert 0 < clustered_lower(whole) < 1 / 149


def test_no_prompts_is_no_rate() -> None:
    with pytest.raises(ValueError, match="a prompt or more"):
        clustered_upper([])
    with pytest.raises(ValueError, match="from 0 to 1"):
        clustered_upper([1.5])


# Prompts that differ: some nearly always succeed, most never; and prompts that are all alike.
@pytest.mark.parametrize(("shape", "rate"), [((0.05, 0.95), 0.05), ((0.5, 9.5), 0.05), ((20.0, 980.0), 0.02)])
def test_the_bound_covers_whatever_the_repeats_share(shape: tuple[float, float], rate: float) -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(1_000):
        chances = rng.beta(*shape, size=160)
        shares = rng.binomial(3, chances) / 3
        covered += clustered_upper(shares.tolist()) >= rate
    assert covered / 1_000 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 1_000)


# Agresti, Categorical Data Analysis (2002), table 10.1 (approval of the prime minister): 86 and 150 discordant. Exact
# two-sided p by the binomial distribution; the small ones by hand: 2 (1 + 10) / 2^10 and 2 / 2^5.
@pytest.mark.parametrize(("one", "other", "p"), [(86, 150, 3.716e-05), (1, 9, 22 / 1024), (0, 5, 2 / 32), (4, 4, 1.0)])
def test_mcnemar_as_published(one: int, other: int, p: float) -> None:
    assert mcnemar(one, other) == pytest.approx(p, rel=2e-3)
    assert mcnemar(other, one) == mcnemar(one, other)
    assert mcnemar(0, 0) == 1.0


def test_holm_as_published() -> None:
    # Holm's own steps, as in R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_sign_flips_agree_with_the_exact_test_and_keep_their_level() -> None:
    rng = np.random.default_rng(3)
    assert sign_flips([1.0] * 9 + [-1.0], rng) == pytest.approx(mcnemar(9, 1), abs=0.006)
    assert sign_flips([], rng) == sign_flips([0.0, 0.0], rng) == 1.0
    false = sum(sign_flips(rng.standard_t(3, size=25).tolist(), rng, draws=199) <= 0.05 for _ in range(600))
    assert false / 600 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


def test_pairs_for_equivalence() -> None:
    # psi = 0.1, margin 5 points, one-sided 5 %, power 80 %: 0.1 (1.645 + 1.282)^2 / 0.0025.
    assert equivalence_pairs(0.1, 0.05) == 343
    assert equivalence_pairs(0.0, 0.05) == 1


def test_the_ninety_percent_interval_holds_its_level_and_the_planned_pairs_their_power() -> None:
    """At a true gap of the margin at most 5 % pass; at no gap the planned number passes 80 % of the time."""
    rng = np.random.default_rng(11)
    runs, margin, discordant = 1_000, 0.05, 0.15

    def passes(gap: float, pairs: int) -> float:
        up, down = (discordant + gap) / 2, (discordant - gap) / 2
        passed = 0
        for _ in range(runs):
            difference = rng.choice((1.0, -1.0, 0.0), p=(up, down, 1 - discordant), size=pairs)
            found = paired_difference(difference.clip(0).tolist(), (-difference).clip(0).tolist(), confidence=0.9)
            passed += -margin < found.low and found.high < margin
        return passed / runs

    assert passes(margin, 500) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert passes(0.0, equivalence_pairs(discordant, margin)) > 0.8 - 3 * math.sqrt(0.8 * 0.2 / runs)
