from __future__ import annotations

import numpy as np
import pytest

from pilotage.evaluation.comparison import Pair, by_label, groups_of, smallest_effect
from pilotage.spec.case import Case
from pilotage.stats.interval import paired_difference


def test_a_true_difference_of_the_smallest_effect_is_shown_four_times_in_five() -> None:
    rng, n, discordant = np.random.default_rng(20_260_101), 400, 0.3
    drawn = rng.choice([1.0, 0.0, -1.0], size=n, p=[discordant / 2, 1 - discordant, discordant / 2])
    effect = smallest_effect([Pair(max(one, 0.0), max(-one, 0.0)) for one in drawn], 0.95)
    shown = 0
    for _ in range(1_000):
        chances = [(discordant + effect) / 2, 1 - discordant, (discordant - effect) / 2]
        drawn = rng.choice([1.0, 0.0, -1.0], size=n, p=chances)
        shown += paired_difference(drawn.tolist(), [0.0] * n).low > 0
    assert shown / 1_000 == pytest.approx(0.8, abs=0.06)


def test_of_equal_pairs_a_difference_of_the_smallest_effect_would_be_shown() -> None:
    rng, n = np.random.default_rng(20_260_101), 300
    effect = smallest_effect([Pair(1.0, 1.0)] * n, 0.95)
    shown = sum(
        paired_difference((rng.random(n) < effect).astype(float).tolist(), [0.0] * n).low > 0 for _ in range(1_000)
    )
    assert shown / 1_000 >= 0.7
    assert 0.5 < smallest_effect([Pair(1.0, 1.0)] * 3, 0.95) <= 1


def test_many_scenarios_differ_by_chance_in_few_reports() -> None:
    rng, wrong = np.random.default_rng(20_260_101), 0
    for _ in range(300):
        scores = rng.integers(0, 2, size=(20, 40, 2)).astype(float)
        labelled = {str(i): [Pair(float(a), float(b)) for a, b in pairs] for i, pairs in enumerate(scores)}
        wrong += any(row["differs"] for row in by_label(labelled, 0.95).values())
    assert wrong / 300 <= 0.05


def test_a_scenario_that_got_worse_is_named() -> None:
    found = by_label({"returns": [Pair(0.0, 1.0)] * 12, "orders": [Pair(1.0, 1.0)] * 12}, 0.95)
    # With two labels, each interval is of 97.5 %.
    assert found["returns"] == {
        "low": -1.0,
        # -(n - z^2) / (n + z^2), for no pair is alike.
        "high": pytest.approx(-0.4097, abs=1e-4),
        "n": 12,
        "difference": -1.0,
        "better": 0,
        "worse": 12,
        "p": pytest.approx(2 * 2 / 4096),
        "differs": True,
    }
    assert not found["orders"]["differs"]
    assert by_label({}, 0.95) == {}


def test_cases_of_a_group_count_for_less() -> None:
    alone = [Pair(float(n % 3 > 0), float(n % 2)) for n in range(60)]
    grouped = [Pair(float(n // 10 % 3 > 0), float(n // 10 % 2), f"g{n // 10}") for n in range(60)]
    assert smallest_effect(grouped, 0.95) > 2 * smallest_effect(alone, 0.95)
    apart = by_label({"all": [Pair(1.0, 0.0)] * 12}, 0.95)
    together = by_label({"all": [Pair(1.0, 0.0, f"g{n // 6}") for n in range(12)]}, 0.95)
    assert apart["all"]["differs"]
    # Two groups can be on one side by chance: half of the time.
    assert together["all"]["p"] == pytest.approx(0.5)
    assert groups_of([Case(id="a", text="", group="g"), Case(id="b", text="")]) == []
    assert len(set(groups_of([Case(id=i, text="", group="g" if i < "c" else "") for i in "abcd"]))) == 3
