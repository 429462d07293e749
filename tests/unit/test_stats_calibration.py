"""The simulations step arrays; here their paths are compared with the processes that decide, on a few seconds' worth."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from calibration import claims, engine, false_calls, peers, pool, ramp, run
from calibration.figure import within
from calibration.picture import Axis, Chart
from calibration.samples import judged
from calibration.units import World, passage

from pilotage.spec.metric import Goal, Guardrail
from pilotage.stats.binary import Batch, BinaryProcess
from pilotage.stats.claim import Claim, harmful, superior, threshold
from pilotage.status import Phase


class _Scripted:
    """A generator whose draws are known."""

    def __init__(self, draws: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
        self._draws = draws

    def random(self, shape: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        head, self._draws = self._draws[: shape[1]], self._draws[shape[1] :]
        return head[None, :]


def _by_unit(world: World, claim: Claim, draws: list[int], block: int, needed: float) -> float:
    process = BinaryProcess(claim)
    for start in range(0, len(draws), block):
        part = draws[start : start + block]
        for size in range(1, block + 1):
            counts = [part[:size].count(kind) for kind in range(4)]
            if process.update(Batch(*counts), world.share).log_e >= needed:
                return start + size
        process = process.update(Batch(*(part.count(kind) for kind in range(4))), world.share)
    return math.inf


def test_a_simulated_path_is_the_path_of_the_process() -> None:
    for claim in (superior(0.1), harmful(0.1, "lower", at="zero")):
        world = World(0.1, 0.3, 0.3, 600)
        uniform = np.random.default_rng(11).random(600)
        draws = np.searchsorted(np.cumsum(world.kinds)[:-1], uniform, side="right").tolist()
        rng: object = _Scripted(uniform)
        first = passage(world, {"ours": claim}, rng, runs=1, alpha=0.05, block=20)  # type: ignore[arg-type]
        assert float(first["ours"][0]) == _by_unit(world, claim, draws, 20, math.log(20))
        assert math.isfinite(float(first["ours"][0]))


def test_a_simulated_ramp_is_what_the_processes_make_of_its_units() -> None:
    road = ramp.Ramp(8, 200, 0.10, 0.15, window=3, effect=0.06)
    seen = ramp.simulate(road, np.random.default_rng(5), 3)
    claims = {"better": superior(0.04), "worse": harmful(0.04, "lower", at="zero")}
    first = ramp.judge(road, seen, claims, alpha=0.05)
    for name, claim in claims.items():
        for one in range(3):
            process, at = BinaryProcess(claim), math.inf
            for hour in range(road.length - road.window):
                lo, hi = road.share(hour), road.share(hour + road.window)
                batch = Batch(*seen.entered[one, hour].astype(int).tolist())
                process = process.update(batch, lo / (lo + 1 - hi))
                if process.log_e >= threshold(0.05):
                    at = min(at, hour + road.window + 1)
            assert first[name][one] == at
            assert math.isfinite(at)


def test_people_who_come_back_enter_once_and_those_who_may_be_moved_are_dropped() -> None:
    road = ramp.Ramp(12, 100, 0.10, 0.10, window=4)
    seen, dropped = pool.simulate(pool.Pool(road, returning=1.0, regulars=500), np.random.default_rng(2), 20)
    exposed, entered = seen.exposed.sum(axis=(1, 2)), seen.entered.sum(axis=(1, 2))
    assert (exposed <= 500).all()
    assert dropped == pytest.approx(float((1 - entered / exposed).mean()))
    assert 0 < dropped < 0.2
    # Nobody on the candidate's side is ever moved: its share only rises.
    assert (seen.entered[..., 2:].sum(axis=(1, 2)) == seen.exposed[..., 1].sum(axis=1)).all()
    assert seen.came.sum() > 5 * exposed.sum()
    # A quiet hour of a step moves nobody; the last hours before a step do.
    quiet, busy = seen.entered[:, 2].sum(), seen.exposed[:, 2].sum()
    assert quiet == busy
    assert seen.entered[:, 22, :2].sum() < seen.exposed[:, 22, 0].sum()


def test_the_others_formulas_are_the_published_ones() -> None:
    one = peers.of_counts(np.asarray([[400.0, 3600, 460, 3540]]))
    n, error = 8000, 0.1 * 0.9 / 4000 + 0.115 * 0.885 / 4000
    # gbstats: rho from the tuning parameter 5000, half-width sqrt(s2) sqrt(2 (n rho^2 + 1) ln(sqrt(n rho^2 + 1) / a) / (n rho)^2).
    rho = math.sqrt((-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 5000)
    half = math.sqrt(error * n) * math.sqrt(
        2 * (n * rho**2 + 1) * math.log(math.sqrt(n * rho**2 + 1) / 0.05) / (n * rho) ** 2
    )
    assert half == pytest.approx(0.0211, abs=1e-5)
    for difference, called in ((0.999 * half, False), (1.001 * half, True), (-1.001 * half, True)):
        moved = peers.Totals(one.n_b, one.mean_b, one.variance_b, one.n_c, one.mean_b + difference, one.variance_c)
        assert bool(peers.growthbook(moved)[0]) is called
    # TensorZero: gap^2 / (2 error) > ln((1 + ln n) / delta), which is 5.3 at 8,000 units.
    assert 0.015**2 / (2 * error) < math.log((1 + math.log(n)) / 0.05)
    assert not peers.tensorzero(one)[0]
    assert peers.tensorzero(peers.of_counts(np.asarray([[400.0, 3600, 500, 3500]])))[0]
    # A side without any success counts as known exactly, which is why rare events mislead it.
    assert peers.tensorzero(peers.of_counts(np.asarray([[30.0, 1870, 0, 100]])))[0]
    assert not peers.growthbook(peers.of_counts(np.asarray([[30.0, 1870, 0, 100]])))[0]
    assert peers.tensorzero_share(peers.of_counts(np.asarray([[50.0, 50, 10, 90]])))[0] == pytest.approx(0.375)
    assert peers.usual(one)[0]


def test_a_limit_aborts_at_the_fourth_window_above_it() -> None:
    rule = peers.Limit(0.05, 2)
    windows = [(20, (2, 1)), (20, (2, 2)), (0, (0, 0)), (20, (2, 0)), (20, (0, 2)), (20, (2, 2))]
    aborted = [rule.after(np.full(2, float(n)), np.asarray(errors, dtype=float)).tolist() for n, errors in windows]
    assert aborted[-2:] == [[False, False], [True, False]]


def test_identical_variants_are_rarely_called_by_ours_and_often_by_peeking() -> None:
    rng = np.random.default_rng(20260101)
    first = passage(World(0.1, 0.1, 0.5, 4000), false_calls.both(0.02), rng, runs=300, alpha=0.05, others=peers.RULES)
    calls = false_calls.called(first)
    assert within(calls[false_calls.PROMOTION])
    assert within(calls[false_calls.ROLLBACK])
    assert calls["usual"].mean() > 0.2


def test_a_drifting_ramp_misleads_all_who_pool_its_steps() -> None:
    rng = np.random.default_rng(20260101)
    road = false_calls.DRIFTING
    calls = false_calls.called(
        ramp.judge(road, ramp.simulate(road, rng, 400), false_calls.both(0.02), alpha=0.05, limit=0.15)
    )
    assert within(calls[false_calls.PROMOTION])
    assert within(calls[false_calls.ROLLBACK])
    assert within(calls["ratio"], 0.001)
    for rule in ("usual", "growthbook", "tensorzero", "limit"):
        assert calls[rule].mean() > 0.5


def test_those_who_answer_are_not_those_who_were_asked() -> None:
    rows = list(claims.responders(np.random.default_rng(20260101), 0.1))
    assert [row.kept for row in rows] == [True] * 4
    passed = [float(row.cells[1].split(" ")[0]) for row in rows]
    assert passed[0] > 20
    assert max(passed[2:]) < 5


def test_simulated_claims_are_those_of_the_controller() -> None:
    proof, _ = judged(Goal(today=0.1, minimum_effect=0.02), proof=True)
    assert proof == ((1.0, superior(0.02)),)
    harm, (rate, units) = judged(Guardrail(direction="down", today=0.02, margin=0.02), proof=False)
    assert harm[0][1] == harmful(0.02, "lower")
    assert sum(weight for weight, _ in harm) == pytest.approx(1)
    assert 0 < rate < 0.2 < units


@pytest.mark.parametrize(
    ("truth", "phase"),
    [
        (engine.Truth(errors=1.0, fallbacks=1.0), Phase.ROLLED_BACK),
        (engine.Truth(thumbs=0.78), Phase.PROMOTED),
    ],
    ids=["answers 500 behind a perfect fallback", "better"],
)
def test_whole_rollouts_end_as_they_should(truth: engine.Truth, phase: Phase) -> None:
    ended = [engine.run(engine.use_case("margin"), truth, np.random.default_rng(seed)) for seed in range(3)]
    assert [one.phase for one in ended] == [phase] * 3
    if phase is Phase.ROLLED_BACK:
        assert max(one.exposed for one in ended) < 30


def test_a_picture_is_whole_and_the_same_each_time() -> None:
    axis = Axis("x", 1, 100, ((1, "1"), (100, "100")), logarithmic=True)
    chart = Chart("a < b", axis, Axis("y", 0, 1, ((0, "0"),)), {"line": [(1, 0.0), (10, 0.5), (1000, 2.0)]})
    text = chart.svg()
    assert ET.fromstring(text).tag.endswith("svg")
    assert text == chart.svg()
    # Half of a logarithmic axis lies in its middle; what lies beyond an axis is drawn at its end.
    assert 'points="64.0,332.0 292.0,188.0 520.0,44.0"' in text


def test_every_table_has_a_head_for_each_cell() -> None:
    rng = np.random.default_rng(1)
    for figure in (*claims.limits(rng, 0.01), *false_calls.own_designs(rng, 0.01)):
        assert len(figure.cells) == len(run.HEADS[figure.table])
    assert run.tables(list(claims.limits(rng, 0.01))).count("\n") == 5
