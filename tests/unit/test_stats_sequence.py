from __future__ import annotations

import msgspec
import numpy as np
import pytest

from pilotage.stats.binary import Batch
from pilotage.stats.histogram import even_scale, gather
from pilotage.stats.sequence import MeanSequence, RateSequence, mean_sequence, rate_sequence

GRID = [x / 100 for x in range(-20, 21, 2)]


def test_the_interval_of_rates_closes_around_the_truth() -> None:
    sequence, widths = rate_sequence(GRID, 0.05, 0.6), []
    assert sequence.interval(0.05) == (-1, 1)
    for index in range(1, 21):
        sequence = sequence.update(Batch(120, 80, 144, 56), 0.5)
        if index in (2, 20):
            low, high = sequence.interval(0.05)
            assert low < 0.12 < high
            widths.append(high - low)
    assert widths[1] < widths[0]
    assert sequence.interval(0.05)[0] > 0.05
    wide = sequence.interval(0.001)
    assert wide[0] <= sequence.interval(0.05)[0] <= sequence.interval(0.05)[1] <= wide[1]
    assert msgspec.json.decode(msgspec.json.encode(sequence), type=RateSequence) == sequence


def test_where_all_is_rejected_the_end_of_the_grid_bounds() -> None:
    sequence = rate_sequence([-0.1, 0.0, 0.1], 0.05)
    for _ in range(20):
        sequence = sequence.update(Batch(20, 80, 80, 20), 0.5)
    assert sequence.interval(0.05) == (0.1, 1)


def test_the_interval_of_means_closes_around_the_truth() -> None:
    rng = np.random.default_rng(4)
    scale, sequence = even_scale(1, 5, count=5), mean_sequence(GRID, 0.1, 4.0, 1.0)
    assert sequence.interval(0.05) == (-4, 4)
    for _ in range(30):
        b, c = rng.choice([3, 4, 5], 100), np.maximum(rng.choice([3, 4, 5], 100) - (rng.random(100) < 0.1), 1)
        sequence = sequence.update(gather(scale, b), gather(scale, c), 0.5)
    low, high = sequence.interval(0.05)
    assert -0.2 <= low < -0.1 < high <= 0.1
    assert msgspec.json.decode(msgspec.json.encode(sequence), type=MeanSequence) == sequence


def test_bad_input_says_what_would_be_right() -> None:
    for grid in ([], [0.1, 0.1], [0.2, 0.1]):
        with pytest.raises(ValueError, match="above the one before"):
            rate_sequence(grid, 0.05)
    with pytest.raises(ValueError, match="fractions"):
        rate_sequence([-1.0, 0.0], 0.05)
    with pytest.raises(ValueError, match="within it"):
        mean_sequence([-4.0, 0.0], 0.1, 4.0)
    with pytest.raises(ValueError, match="alpha"):
        rate_sequence([0.0], 0.05).interval(0.0)
