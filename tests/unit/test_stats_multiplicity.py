from __future__ import annotations

import math

import pytest

from pilotage.stats.multiplicity import e_bh


def test_the_largest_set_is_rejected() -> None:
    # K = 4 and alpha = .1: the k-th largest must reach 40 / k, that is 40, 20, 13.3, 10.
    assert e_bh([math.log(e) for e in (15, 1, 21, 14)], 0.1) == (0, 2, 3)
    assert e_bh([math.log(e) for e in (39, 19, 13, 9)], 0.1) == ()
    assert e_bh([math.log(e) for e in (9, 41, 13, 1)], 0.1) == (1,)
    assert e_bh([math.log(10.01)] * 4, 0.1) == (0, 1, 2, 3)


def test_one_value_is_the_plain_test_and_none_is_none() -> None:
    assert e_bh([math.log(20.1)], 0.05) == (0,)
    assert e_bh([math.log(19.9)], 0.05) == ()
    assert e_bh([], 0.05) == ()


def test_bad_input_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="could not be measured"):
        e_bh([1.0, math.nan], 0.05)
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            e_bh([1.0], alpha)
