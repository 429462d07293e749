from __future__ import annotations

import math

import numpy as np
import pytest

from pilotage.stats.claim import Claim, check_share, futile, harmful, not_inferior, superior, threshold
from pilotage.stats.mixture import MULTIPLES, WEIGHTS, log_mixture


def test_claims_name_their_null_in_either_direction() -> None:
    assert not_inferior(0.03) == Claim(-0.03, 0.03, 1)
    assert not_inferior(0.03, "lower") == Claim(-0.03, 0.03, -1)
    assert superior(0.02) == Claim(0.0, 0.02, 1)
    assert harmful(0.03) == Claim(0.03, 0.03, -1)
    assert harmful(0.03, "lower") == Claim(0.03, 0.03, 1)
    assert harmful(0.03, "lower", at="zero") == Claim(0.0, 0.03, 1)
    assert futile(0.02) == Claim(-0.02, 0.02, -1)
    assert futile(0.02, "lower") == Claim(-0.02, 0.02, 1)


@pytest.mark.parametrize("margin", [0.0, -0.01, math.nan, math.inf])
def test_a_margin_that_cannot_be_shown_is_refused(margin: float) -> None:
    for make in (not_inferior, superior, harmful, futile):
        with pytest.raises(ValueError, match=r"above 0|finite"):
            make(margin)


def test_a_null_or_direction_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="finite difference"):
        Claim(math.nan, 0.1)
    with pytest.raises(ValueError, match="arms swapped"):
        Claim(0.0, 0.1, 0)
    with pytest.raises(ValueError, match="'higher' or 'lower'"):
        superior(0.1, "up")  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_an_alpha_that_promises_nothing_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold(alpha)


@pytest.mark.parametrize("share", [0.0, 1.0, math.nan])
def test_a_share_without_two_sides_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="two sides"):
        check_share(share)


def test_the_mixture_is_a_weighted_mean_and_does_not_overflow() -> None:
    assert sum(WEIGHTS) == pytest.approx(1)
    assert len(WEIGHTS) == len(MULTIPLES)
    logs = np.log([1.0, 2.0, 3.0, 4.0, 5.0])
    assert float(np.exp(log_mixture(logs))) == pytest.approx(np.dot(WEIGHTS, [1, 2, 3, 4, 5]))
    assert float(log_mixture([5000.0] * 5)) == pytest.approx(5000)
    assert float(log_mixture([-5000.0] * 5)) == pytest.approx(-5000)
