"""The simulation of an evaluation's intervals: its worlds are what they say, and its cheap lines hold."""

from __future__ import annotations

import numpy as np
from calibration.evaluations import _drawn_groups, _pairs, _shares, _spent


def test_worlds_have_the_truth_that_they_are_held_against() -> None:
    rng = np.random.default_rng(3)
    values, names = _drawn_groups(rng, 4_000, 0.3, 0.7)
    assert len(set(names)) == 4_000
    assert abs(values.mean() - 0.7) < 0.02
    replies, truth = _spent(rng, 20_000, 0.5)
    assert abs(np.mean([(one.output_tokens or 0) / 1_000 for one in replies]) / truth - 1) < 0.02


def test_what_a_line_counts_is_that_the_interval_holds_the_truth() -> None:
    for what, world, promised, draw in (*_shares(), *_pairs()):
        rng = np.random.default_rng(5)
        told = [one for one in (draw(rng) for _ in range(40)) if one is not None]
        # Forty draws of a line that holds 92 %: fewer than 29 come once in a hundred thousand.
        assert len(told) == 40
        assert not promised or sum(one.held for one in told) >= 29, (what, world)
