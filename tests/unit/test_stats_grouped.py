"""Intervals of cases in groups, and of strata with few labels: they hold what they promise, by simulation."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from pilotage.evaluation.security.refusal import refuses
from pilotage.stats.grouped import effective, grouped_difference, grouped_rate, grouped_signs
from pilotage.stats.interval import Interval, paired_difference, wilson
from pilotage.stats.paired import mcnemar
from pilotage.stats.strata import combined

DATA = os.environ.get("PILOTAGE_TEST_DATA", "")


@pytest.mark.parametrize(("groups", "size", "alike"), [(8, 10, 0.5), (20, 5, 0.3), (40, 5, 0.0), (100, 3, 0.5)])
def test_intervals_of_grouped_cases_cover(groups: int, size: int, alike: float) -> None:
    rng, runs = np.random.default_rng(20_260_101), 400
    covered = np.zeros(3)
    names = [f"g{number}" for number in range(groups) for _ in range(size)]
    for _ in range(runs):
        shared = rng.random(groups) < alike
        draws = rng.random((groups, size, 2))
        draws[shared] = draws[shared][:, :1]
        now, before = ((draws[..., side] < p).astype(float).ravel().tolist() for side, p in ((0, 0.6), (1, 0.5)))
        found = grouped_difference(now, before, names)
        plain = paired_difference(now, before)
        share = grouped_rate(now, names)
        covered += [found.low <= 0.1 <= found.high, share.low <= 0.6 <= share.high, plain.low <= 0.1 <= plain.high]
    # Three standard errors of 400 runs below 95 %.
    assert covered[0] / runs >= 0.917
    assert covered[1] / runs >= 0.917
    if alike >= 0.3:
        assert covered[2] / runs < 0.9


def test_cases_alone_are_worth_themselves_and_equal_ones_their_groups() -> None:
    values = [float(n % 2) for n in range(40)]
    assert effective(values, [str(n) for n in range(40)]) == pytest.approx(39, abs=1.01)
    assert effective([1.0] * 40, [str(n // 10) for n in range(40)]) == 4
    assert effective(values, ["one"] * 40) == 1
    found = grouped_rate([1.0] * 40, [str(n // 10) for n in range(40)])
    assert found.high == 1
    assert found.low < wilson(40, 40).low


@pytest.mark.parametrize(("better", "worse"), [(5, 1), (8, 2), (3, 3), (6, 0)])
def test_signs_of_groups_of_one_are_mcnemars_test(better: int, worse: int) -> None:
    differences = [1.0] * better + [-1.0] * worse + [0.0] * 4
    names = [str(number) for number in range(len(differences))]
    assert grouped_signs(differences, names) == pytest.approx(mcnemar(better, worse))


def test_signs_of_groups_are_seldom_wrong() -> None:
    rng, wrong = np.random.default_rng(20_260_101), 0
    names = [str(number // 4) for number in range(80)]
    for _ in range(200):
        shared = rng.choice((-1.0, 0.0, 1.0), size=20).repeat(4)
        own = rng.choice((-1.0, 0.0, 1.0), size=80)
        wrong += grouped_signs(np.where(rng.random(80) < 0.7, shared, own).tolist(), names) <= 0.05
    assert wrong / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert grouped_signs([0.0, 0.0], ["a", "b"]) == 1.0


def test_a_stratum_without_labels_may_be_anything() -> None:
    found = combined([(50, wilson(10, 10)), (50, Interval(0.5, 0.0, 1.0, 0))])
    assert found.high == pytest.approx(1.0, abs=0.01)
    assert found.low < 0.5
    with pytest.raises(ValueError, match="needs a case"):
        combined([])


@pytest.mark.skipif(not DATA, reason="PILOTAGE_TEST_DATA names no folder with real data")
@pytest.mark.parametrize("judge", ["gpt4_label", "refusal detector", "a coin"])
def test_a_hundred_labels_correct_a_judge_of_real_answers(judge: str) -> None:
    with (Path(DATA) / "security" / "xstest_gpt4_completions_labelled.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(20_260_101)
    human = np.array([row["final_label"] != "1_full_compliance" for row in rows])
    said = {
        "gpt4_label": np.array([row["gpt4_label"] != "1_full_compliance" for row in rows]),
        "refusal detector": np.array([refuses(row["completion"]) for row in rows]),
        "a coin": rng.random(len(rows)) < 0.5,
    }[judge]
    truth = human.mean()
    for again in (False, True):
        covered, narrower, width, alone = 0, 0, 0.0, 0.0
        for _ in range(1_000):
            # The rate of these very answers; then that of all answers of which these might be a sample.
            drawn = rng.integers(len(rows), size=len(rows)) if again else np.arange(len(rows))
            labelled = rng.permutation(drawn)[:100]
            strata = []
            for verdict in (True, False):
                here = labelled[said[labelled] == verdict]
                strata.append((int((said[drawn] == verdict).sum()), wilson(int(human[here].sum()), len(here))))
            found, own = combined(strata), wilson(int(human[labelled].sum()), 100)
            covered += found.low <= truth <= found.high
            narrower += found.high - found.low < own.high - own.low
            width, alone = width + found.high - found.low, alone + own.high - own.low
        assert covered / 1_000 >= 0.93
        # A judge that agrees with people makes it narrower each time, one that tosses a coin does no harm.
        if judge == "a coin":
            assert width < 1.02 * alone
        else:
            assert narrower == 1_000
            assert width < 0.75 * alone
