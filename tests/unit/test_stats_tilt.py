from __future__ import annotations

import math

import msgspec
import pytest

from pilotage.stats.tilt import ALPHA, TILTS, SampleRatio


@pytest.mark.parametrize("shares", [(0.5,), (0.01, 0.05, 0.25), (0.75, 0.01)])
def test_honest_assignment_is_expected_to_gain_nothing(shares: tuple[float, ...]) -> None:
    """Every outcome of four units at each of the shares."""

    def walk(state: SampleRatio, rest: tuple[float, ...], chance: float) -> float:
        if not rest:
            return chance * math.exp(state.log_e)
        pi = rest[0]
        return sum(
            walk(state.update(k, 4, pi), rest[1:], chance * math.comb(4, k) * pi**k * (1 - pi) ** (4 - k))
            for k in range(5)
        )

    assert walk(SampleRatio(), shares, 1.0) == pytest.approx(1, abs=1e-12)


def test_the_closed_form() -> None:
    state = SampleRatio().update(60, 100, 0.5).update(3, 100, 0.05)
    terms = [
        math.exp(63 * t - 100 * math.log(0.5 * math.exp(t) + 0.5) - 100 * math.log(0.05 * math.exp(t) + 0.95))
        for t in TILTS
    ]
    assert state.log_e == pytest.approx(math.log(sum(terms) / len(terms)))
    assert (state.candidate, state.units) == (63, 200)


def test_broken_assignment_is_seen_and_honest_is_not() -> None:
    broken, honest = SampleRatio(), SampleRatio()
    for _ in range(100):
        broken, honest = broken.update(530, 1000, 0.5), honest.update(500, 1000, 0.5)
    assert broken.log_e > -math.log(ALPHA) > honest.log_e
    assert msgspec.json.decode(msgspec.json.encode(broken), type=SampleRatio) == broken


def test_bad_input_says_what_would_be_right() -> None:
    for candidate, units in ((0, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="among all units"):
            SampleRatio().update(candidate, units, 0.5)
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="share"):
            SampleRatio().update(1, 2, share)
