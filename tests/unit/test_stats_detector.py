from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest

from pilotage.stats.claim import superior
from pilotage.stats.detector import Detector, fleet_level, level, line, step
from pilotage.stats.one_sample import rate_increments

CLAIM = superior(0.1)


def gain(failed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return rate_increments(failed, 1 - failed, 0.3, CLAIM)


def test_at_the_reference_the_level_is_expected_to_be_the_number_of_ticks() -> None:
    """M - n is a martingale there (all paths of eight ticks), which is what bounds the run length."""
    ticks, total = 8, 0.0
    for path in itertools.product((0, 1), repeat=ticks):
        detector = Detector(10, 100)
        for failed in path:
            detector = detector.tick(gain(failed))
        total += 0.3 ** sum(path) * 0.7 ** (ticks - sum(path)) * math.exp(detector.level)
    assert total == pytest.approx(ticks, abs=1e-9)


def test_empty_ticks_count_as_time_and_no_more() -> None:
    detector = Detector(3, 100)
    assert detector.level == -math.inf
    for _ in range(3):
        assert detector.alarm == ""
        detector = detector.tick()
    assert math.exp(detector.level) == pytest.approx(3)
    assert Detector(2, 5, detector.state).alarm == "warn"


def test_a_rise_warns_then_acts() -> None:
    detector, said = Detector(50, 5000), []
    for failed in [0, 0, 1, 0] * 5 + [1] * 30:
        detector = detector.tick(gain(failed))
        said.append(detector.alarm)
    assert said[19] == ""
    assert said[-1] == "act"
    assert said.index("warn") < said.index("act")


def test_streams_side_by_side_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(2)
    failed = rng.integers(0, 4, (30, 6))
    state, alone = np.zeros((6, 5)), [Detector(10, 100) for _ in range(6)]
    for row in failed:
        state = step(state, rate_increments(row.astype(float), 4.0 - row, 0.3, CLAIM))
        alone = [d.tick(rate_increments(int(k), 4 - int(k), 0.3, CLAIM)) for d, k in zip(alone, row, strict=True)]
    assert level(state).tolist() == pytest.approx([d.level for d in alone])
    assert fleet_level(state) == pytest.approx(math.log(np.mean([math.exp(d.level) for d in alone])))
    assert fleet_level(np.zeros((3, 5))) == -math.inf


def test_state_survives_json_to_the_bit_from_the_first_tick() -> None:
    detector = Detector(10, 100)
    for failed in (0, 1, 1, 0, 1):
        again = msgspec.json.decode(msgspec.json.encode(detector), type=Detector)
        assert again == detector
        detector = again.tick(gain(failed))


def test_a_year_of_good_or_bad_news_stays_finite() -> None:
    state = np.zeros((2, 5))
    news = np.stack((gain(0), gain(1))) * 50
    for _ in range(2000):
        state = step(state, news)
    assert np.isfinite(level(state)).all()


def test_bad_input_says_what_would_be_right() -> None:
    for ticks in (0.0, 1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="run length"):
            line(ticks)
    with pytest.raises(ValueError, match="at or below"):
        Detector(100, 10)
    with pytest.raises(ValueError, match="finite log e-values"):
        Detector(10, 100).tick(np.full(5, math.nan))
    with pytest.raises(ValueError, match="one for each effect"):
        Detector(10, 100).tick(np.zeros(3))
