from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from pilotage.stats.binary import Batch, BinaryProcess
from pilotage.stats.bounded import BoundedProcess
from pilotage.stats.claim import Claim, harmful, not_inferior, superior
from pilotage.stats.histogram import even_scale, gather, log_scale
from pilotage.stats.one_sample import OneMean, OneRate
from pilotage.stats.one_sequence import one_mean_sequence, one_rate_sequence
from pilotage.stats.sequence import MeanSequence, RateSequence, differences, mean_sequence, rate_sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

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


CLAIMS = (not_inferior(0.03, "lower"), harmful(0.03), Claim(0.03, 0.35, -1), superior(0.05))


def test_every_row_is_the_process_of_its_claim() -> None:
    rng = np.random.default_rng(7)
    sequence = rate_sequence(GRID, 0.05, 0.2, 50.0, CLAIMS)
    rows = [*CLAIMS, *_on_grid(GRID, 0.05)]
    alone = [BinaryProcess(claim, 0.2, 50.0) for claim in rows]
    for _ in range(12):
        batch = Batch(*(int(x) for x in rng.integers(0, 40, 4)))
        share = float(rng.choice([0.01, 0.25, 0.5]))
        sequence, alone = sequence.update(batch, share), [process.update(batch, share) for process in alone]
    assert sequence.log_e == pytest.approx([process.log_e for process in alone], rel=1e-9, abs=1e-9)


def test_every_row_of_means_is_the_process_of_its_claim() -> None:
    rng = np.random.default_rng(8)
    scale, claims = log_scale(30, smallest=0.03), (not_inferior(0.3, "lower"), harmful(0.3))
    grid = [-5.0, -0.5, 0.0, 0.4, 20.0]
    sequence = mean_sequence(grid, 0.3, 30.0, 1.0, claims)
    alone = [BoundedProcess(claim, 1.0) for claim in [*claims, *_on_grid(grid, 0.3)]]
    for size in (3, 50, 400):
        b, c = gather(scale, rng.lognormal(0, 1, size)), gather(scale, rng.lognormal(0.2, 1, size // 2))
        sequence, alone = sequence.update(b, c, 0.3), [process.update(b, c, 0.3) for process in alone]
    assert sequence.log_e == pytest.approx([process.log_e for process in alone], rel=1e-9, abs=1e-9)


def test_every_row_about_one_arm_is_the_process_of_its_claim() -> None:
    claims, grid = (not_inferior(0.03, "lower"), harmful(0.03)), [-0.9, -0.1, 0.0, 0.1, 0.9]
    rates = one_rate_sequence(grid, 0.05, 0.3, claims)
    assert rates.grid == (-0.1, 0.0, 0.1)
    alone = [OneRate(claim, 0.3) for claim in [*claims, *_on_grid(rates.grid, 0.05)]]
    rates, alone = rates.update(40, 60), [process.update(40, 60) for process in alone]
    assert rates.log_e == pytest.approx([process.log_e for process in alone], rel=1e-9, abs=1e-9)

    stars = even_scale(1, 5, count=5)
    batches = [gather(stars, [1, 2, 5, 4, 4]), gather(stars, [3, 3, 5] * 30)]
    means = one_mean_sequence(grid, 0.3, 3.0, (1.0, 5.0), claims)
    single = [OneMean(claim, 3.0) for claim in [*claims, *_on_grid(means.grid, 0.3)]]
    for batch in batches:
        means, single = means.update(batch), [process.update(batch) for process in single]
    assert means.log_e == pytest.approx([process.log_e for process in single], rel=1e-9, abs=1e-9)
    for state in (rates, means):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state)) == state


def test_a_null_outside_the_range_is_shown_all_the_same() -> None:
    """A level of .01 with a margin of .05: no rate is that low, so that the candidate is no worse is sure."""
    rates = one_rate_sequence(differences(0.05, 1.0), 0.05, 0.01, (not_inferior(0.05), harmful(0.05)))
    means = one_mean_sequence(differences(0.5, 4.0), 0.5, 1.2, (1.0, 5.0), (not_inferior(0.5), harmful(0.5)))
    stars = even_scale(1, 5, count=5)
    for _ in range(30):
        rates, means = rates.update(4, 6), means.update(gather(stars, [2, 3, 4, 5]))
    for sequence in (rates, means):
        assert sequence.log_e[0] > 10
        assert sequence.log_e[1] <= 0
        assert np.isfinite(sequence.log_e).all()
    nothing = one_rate_sequence(differences(0.02, 1.0), 0.02, 0.0, (superior(0.02), not_inferior(0.02, "lower")))
    for _ in range(30):
        nothing = nothing.update(0, 50)
    assert nothing.log_e[0] < 0 < 3 < nothing.log_e[1]


def test_the_truth_stays_inside_all_the_while() -> None:
    """On a ramp whose base rate moves: the interval never excludes the difference in more than alpha of the runs."""
    rng, left, runs = np.random.default_rng(9), 0, 120
    for _ in range(runs):
        sequence, out = rate_sequence(differences(0.05, 1.0), 0.05, 0.3, 50.0), False
        for index in range(24):
            share, base = (0.05, 0.25, 0.5)[index // 8], 0.2 + index / 100
            n_c = int(rng.binomial(100, share))
            s_b, s_c = int(rng.binomial(100 - n_c, base)), int(rng.binomial(n_c, base + 0.1))
            sequence = sequence.update(Batch(s_b, 100 - n_c - s_b, s_c, n_c - s_c), share)
            low, high = sequence.interval(0.1)
            out = out or not low <= 0.1 <= high
        left += out
    assert left <= 0.1 * runs + 3 * (0.1 * 0.9 * runs) ** 0.5
    assert high - low < 0.4


def test_a_grid_is_fine_where_it_matters_and_reaches_the_ends() -> None:
    for scale, width in ((0.02, 1.0), (0.4, 1.0), (0.999, 1.0), (1e-3, 4.0), (0.5, 30.0)):
        grid = np.asarray(differences(scale, width))
        assert (np.diff(grid) > 0).all()
        assert -width < grid[0] < -0.95 * width
        assert grid == pytest.approx(-grid[::-1])
        assert len(grid) >= 21
        assert np.abs(grid).min() == 0
        assert np.diff(grid[np.abs(grid) <= 2.01 * scale]) == pytest.approx(min(2 * scale, 0.98 * width) / 10)


def _on_grid(grid: Sequence[float], scale: float) -> list[Claim]:
    return [Claim(sign * d, max(scale, abs(d) / 2), sign) for sign in (1, -1) for d in grid]
