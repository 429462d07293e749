from __future__ import annotations

import itertools
import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.stats import binary
from pilotage.stats.binary import Batch, BinaryProcess, bet, log_ratios, null_point
from pilotage.stats.claim import Claim, futile, harmful, not_inferior, superior
from pilotage.stats.mixture import Array, offsets

RATES = (1e-5, 0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.9995)
SHARES = (0.005, 0.05, 0.25, 0.5, 0.75, 0.99)
NULLS = (-0.3, -0.1, -0.03, -0.005, 0.0, 0.01, 0.03, 0.1, 0.3)
SCALES = (0.005, 0.02, 0.03, 0.1)
TOLERANCE = 1e-9


def null_points(d: float) -> list[tuple[float, float]]:
    """A grid over {0 <= x, y <= 1, y - x <= d}, its edge included."""
    inside = [(x, y) for x in np.linspace(0, 1, 21) for y in np.linspace(0, 1, 21) if y - x <= d]
    edge = [(x, x + d) for x in np.linspace(max(0, -d), min(1, 1 - d), 41)]
    return [(float(x), float(min(max(y, 0), 1))) for x, y in inside + edge]


def expectation(table: Array, share: float, x: float, y: float) -> Array:
    """E[e] of one unit, by enumeration of its four kinds."""
    chances = np.asarray([(1 - share) * x, (1 - share) * (1 - x), share * y, share * (1 - y)])
    return np.asarray(np.exp(table) @ chances)


@pytest.mark.parametrize("d", NULLS)
def test_no_unit_is_expected_to_gain_anywhere_in_the_null(d: float) -> None:
    points = null_points(d)
    worst = 0.0
    for scale, rate, share in itertools.product(SCALES, RATES, SHARES):
        table = log_ratios(rate, share, share, d, offsets(scale) + d)
        assert np.isfinite(table).all()
        worst = max(worst, *(float(expectation(table, share, x, y).max()) for x, y in points))
    assert worst <= 1 + TOLERANCE


def test_certification_takes_off_what_a_poor_projection_would_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(a: Array, b: Array, share: Array, null: float) -> Array:
        return np.asarray(null_point(a, b, share, null) * 0.5 + 0.5 * np.maximum(a, -null + 1e-3))

    def gain() -> float:
        table = log_ratios(0.1, 0.5, 0.5, -0.1, offsets(0.1) - 0.1)
        return max(float(expectation(table, 0.5, x, y).max()) for x, y in null_points(-0.1))

    monkeypatch.setattr(binary, "null_point", poor)
    assert gain() <= 1 + TOLERANCE
    monkeypatch.setattr(binary, "_log_excess", lambda rates, *_: np.zeros(rates[0].shape))
    assert gain() > 1.05


@pytest.mark.parametrize("d", NULLS)
def test_the_null_point_is_nearest_in_information(d: float) -> None:
    for rate, share, scale in itertools.product((0.01, 0.1, 0.5, 0.9), (0.05, 0.5, 0.9), (0.02, 0.1)):
        a, b = bet(np.asarray(rate), np.asarray(share), offsets(scale) + d)
        found = null_point(a, b, np.asarray(share), d)
        for one, other, x in zip(a, b, found, strict=True):
            if other - one <= d:
                continue
            low, high = max(0.0, -d), min(1.0, 1 - d)
            assert low < x < high
            grid = np.linspace(low, high, 20_001)[1:-1]
            far = _distance(one, other, grid, share, d)
            assert _distance(one, other, np.asarray([x]), share, d)[0] <= far.min() + 1e-12


def _distance(a: float, b: float, x: Array, share: float, d: float) -> Array:
    def kl(p: float, q: Array) -> Array:
        return np.asarray(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))

    return np.asarray((1 - share) * kl(a, x) + share * kl(b, x + d))


def test_at_zero_the_null_point_is_the_pooled_rate() -> None:
    a, b, share = np.asarray([0.1]), np.asarray([0.16]), np.asarray([0.25])
    assert null_point(a, b, share, 0.0)[0] == pytest.approx(0.115)
    # The search finds the same point from a null that is hardly not zero.
    assert null_point(a, b, share, 1e-12)[0] == pytest.approx(0.115, abs=1e-9)


@pytest.mark.parametrize(
    ("claim", "rates"),
    [
        (not_inferior(0.03), (0.7, 0.67)),
        (not_inferior(0.1, "lower"), (0.1, 0.2)),
        (superior(0.02), (0.3, 0.3)),
        (harmful(0.05), (0.6, 0.55)),
        (futile(0.05), (0.2, 0.25)),
    ],
)
def test_a_path_of_adapting_bets_is_not_expected_to_gain(claim: Claim, rates: tuple[float, float]) -> None:
    """Every path of five units, with the process that learns on the way and a share that changes."""
    shares = (0.05, 0.5, 0.5, 0.75, 0.25)
    (x, y), total = rates, 0.0
    kinds = (Batch(1, 0, 0, 0), Batch(0, 1, 0, 0), Batch(0, 0, 1, 0), Batch(0, 0, 0, 1))

    def walk(process: BinaryProcess, depth: int, chance: float) -> float:
        if depth == len(shares):
            return chance * math.exp(process.log_e)
        pi = shares[depth]
        parts = ((1 - pi) * x, (1 - pi) * (1 - x), pi * y, pi * (1 - y))
        return sum(
            walk(process.update(kind, pi), depth + 1, chance * part) for kind, part in zip(kinds, parts, strict=True)
        )

    total = walk(BinaryProcess(claim, units=1.0), 0, 1.0)
    assert total <= 1 + TOLERANCE
    assert total > 0.9  # it stakes something


@settings(max_examples=150, deadline=None)
@given(
    st.floats(-0.9, 0.9),
    st.floats(1e-4, 0.5),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.001, 0.999),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_any_null_point_with_any_bet(
    d: float, scale: float, rate: float, part: float, share: float, u: float, v: float
) -> None:
    x = u
    y = v * min(1.0, x + d) if x + d > 0 else 0.0
    if y - x > d:
        x = min(1.0, y - d)
    table = log_ratios(rate, part, share, d, offsets(scale) + d)
    assert np.isfinite(table).all()
    if y - x <= d:
        assert float(expectation(table, share, x, y).max()) <= 1 + TOLERANCE


def test_growth_at_the_right_bet_is_the_smallest_divergence() -> None:
    """With rates .1 and .12 at 50/50 and d = 0 the growth is the Jensen-Shannon divergence, near D^2 / (2 V)."""
    table = log_ratios(0.11, 0.5, 0.5, 0.0, np.asarray([0.02]))[0]
    growth = float(np.asarray([0.05, 0.45, 0.06, 0.44]) @ table)

    def entropy(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    assert growth == pytest.approx(entropy(0.11) - (entropy(0.1) + entropy(0.12)) / 2, abs=1e-12)
    assert growth == pytest.approx(0.02**2 / (2 * 2 * (0.09 + 0.1056)), rel=0.01)


def test_evidence_grows_for_what_is_true_and_only_for_that() -> None:
    much = Batch(7000, 3000, 7500, 2500)
    little = Batch(70, 30, 75, 25)

    def after(claim: Claim, better: str = "higher") -> float:
        process = BinaryProcess(claim)
        for _ in range(100):
            process = process.update(little if better == "higher" else _flip(little), 0.5)
        assert process.seen == (much if better == "higher" else _flip(much))
        return process.log_e

    for better in ("higher", "lower"):
        assert after(superior(0.05, better), better) > 10
        assert after(not_inferior(0.03, better), better) > 20
        assert after(harmful(0.03, better), better) < -10
        assert after(futile(0.02, better), better) < -5
        assert after(futile(0.1, better), better) > 10


def _flip(batch: Batch) -> Batch:
    return Batch(batch.baseline_failures, batch.baseline_successes, batch.candidate_failures, batch.candidate_successes)


def test_state_survives_json_to_the_bit_and_goes_on_alike() -> None:
    process = BinaryProcess(not_inferior(0.03, "lower"), 0.02, 50.0)
    for index in range(20):
        process = process.update(Batch(index % 3, 40, (index + 1) % 2, 7), 0.15)
    again = msgspec.json.decode(msgspec.json.encode(process), type=BinaryProcess)
    assert again == process
    assert again.update(Batch(1, 2, 3, 4), 0.3) == process.update(Batch(1, 2, 3, 4), 0.3)


def test_counts_merge_in_any_order() -> None:
    parts = [Batch(i, 2 * i, 3 * i, i * i) for i in range(30)]
    whole = sum(parts, Batch())
    random.Random(3).shuffle(parts)
    assert sum(parts, Batch()) == whole


def test_bad_input_says_what_would_be_right() -> None:
    process = BinaryProcess(superior(0.02))
    with pytest.raises(ValueError, match="leave it out"):
        process.update(Batch(), 0.5)
    with pytest.raises(ValueError, match="two sides"):
        process.update(Batch(1, 1, 1, 1), 1.0)
    with pytest.raises(ValueError, match="whole number"):
        Batch(-1)
    with pytest.raises(ValueError, match=r"whole number.*nan"):
        Batch(math.nan)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"0\.03, not 3"):
        BinaryProcess(not_inferior(3.0))
    for rate in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="expected rate"):
            BinaryProcess(superior(0.02), rate)


def test_rates_at_the_ends_neither_overflow_nor_vanish() -> None:
    for batch in (Batch(0, 500, 0, 500), Batch(500, 0, 500, 0), Batch(0, 500, 500, 0), Batch(500, 0, 0, 500)):
        for claim in (superior(0.02), not_inferior(0.03), harmful(0.03), futile(0.02)):
            process = BinaryProcess(claim)
            for _ in range(50):
                process = process.update(batch, 0.5)
            assert math.isfinite(process.log_e)
