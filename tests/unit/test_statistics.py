"""From recorded batches to readings: replayed to the bit, right as often as promised, and quick where it must be."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from pilotage.clock import HOUR, SECOND
from pilotage.decision.batch import EXPOSED, Batch, Cell
from pilotage.decision.exposure import exposed_at, mismatches
from pilotage.decision.forecast import expected
from pilotage.decision.method import method_of
from pilotage.decision.parts import Part, part_of
from pilotage.decision.reading import lines
from pilotage.decision.statistics import Statistics, after, begin, readings
from pilotage.decision.verdict import judged
from pilotage.spec.use_case import UseCase
from pilotage.status import MILLION, Allocated, Reading, RolloutStatus

CANDIDATE, BASELINE, RIVAL = "support/a@111111111111", "support/b@000000000000", "support/c@222222222222"
RAMP = (10_000, 50_000, 250_000, 500_000)


def use_case(**tables: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "support",
            "owner": "Ada",
            "candidate": "model",
            "goals": {"resolved": {"today": 0.5, "minimum_effect": 0.05}},
            "guardrails": {"complaints": {"direction": "down", "margin": 0.05}},
            "variants": {"faq": {"upstream": "search"}, "model": {"upstream": "openai"}},
            **tables,
        }
    )


def on_ramp(shares: tuple[int, ...] = RAMP, **more: Any) -> RolloutStatus:
    """A rollout at the last of these shares, an hour a step."""
    splits = tuple(
        Allocated(generation=index + 1, step=index, share=share, at=index * HOUR) for index, share in enumerate(shares)
    )
    tables = {"baseline": BASELINE, "allocations": splits, "generation": len(shares), "step": len(shares) - 1, **more}
    return RolloutStatus(id="r", candidate=CANDIDATE, shares=shares, started=0, step_since=0, **tables)


def rates(generation: int, baseline: tuple[int, int], candidate: tuple[int, int]) -> tuple[Cell, Cell]:
    return Cell(generation, generation, 0, baseline), Cell(generation, generation, 1, candidate)


def drawn(rng: np.random.Generator, generation: int, share: int, n: int, base: float, other: float) -> tuple[Cell, ...]:
    n_c = int(rng.binomial(n, share / MILLION))
    s_b, s_c = int(rng.binomial(n - n_c, base)), int(rng.binomial(n_c, other))
    return rates(generation, (s_b, n - n_c - s_b), (s_c, n_c - s_c))


def run(spec: UseCase, rollout: RolloutStatus, batches: list[Batch]) -> Statistics:
    statistics = begin(spec, rollout)
    for batch in batches:
        statistics = after(statistics, batch, spec, rollout)
    return statistics


def read(spec: UseCase, rollout: RolloutStatus, batches: list[Batch]) -> dict[str, Reading]:
    return readings(run(spec, rollout, batches), spec, rollout)[CANDIDATE]


EVERY_KIND = use_case(
    goals={"resolved": {"today": 0.5, "minimum_effect": 0.05}, "paid": {"kind": "money", "minimum_effect": 1.0}},
    guardrails={
        "complaints": {"direction": "down", "margin": 0.05, "silence": 0.25},
        "stars": {"kind": "rating", "low": 1.0, "high": 5.0, "margin": 0.2, "silence": 3.0},
        "seconds": {"kind": "duration", "high": 30.0, "margin": 1.0, "direction": "down", "today": 2.0},
    },
)


def mixed(rng: np.random.Generator, at: int, generation: int, share: int, n: int = 60) -> Batch:
    """A batch of every kind of metric, as the tracker would gather it."""
    metrics, arms = {}, rng.random(n) < share / MILLION
    for name, metric in judged(EVERY_KIND).items():
        high = metric.bounds[1]
        values = rng.lognormal(0.5, 0.7, n) if high > 1 else rng.choice([0.0, 0.25 * (name == "complaints"), 1.0], n)
        fixed = [round(float(x) * MILLION) for x in values]
        metrics[name] = tuple(
            Cell(generation, generation, arm, method_of(metric).gather([fixed[i] for i in np.flatnonzero(arms == arm)]))
            for arm in (1, 0)
        )
    counts = ((generation, 0, int((~arms).sum())), (generation, 1, int(arms.sum())))
    return Batch(at=at, metrics=metrics, exposed=counts, heard=("resolved",), frontier={EXPOSED: at, "stars": at - 1})


def test_recorded_batches_give_the_same_bits_again() -> None:
    rng, rollout = np.random.default_rng(1), on_ramp()
    batches = [mixed(rng, at, 1 + at // 10, RAMP[at // 10]) for at in range(40)]
    statistics = begin(EVERY_KIND, rollout)
    for index, batch in enumerate(batches):
        statistics = after(statistics, batch, EVERY_KIND, rollout)
        if index == 20:
            # A controller that dies goes on from what was kept, and from batches that were read back.
            statistics = msgspec.msgpack.decode(msgspec.msgpack.encode(statistics), type=Statistics)
            batches[21:] = msgspec.json.decode(msgspec.json.encode(batches[21:]), type=list[Batch])
    again = run(EVERY_KIND, rollout, batches)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(statistics)
    assert msgspec.json.decode(msgspec.json.encode(again), type=Statistics) == statistics
    assert (statistics.seq, statistics.at, statistics.frontier) == (40, 39, {EXPOSED: 39, "stars": 38})
    assert set(statistics.comparisons[0]) == {*judged(EVERY_KIND)}
    for known in statistics.comparisons[0].values():
        assert known.units[1] == sum(known.here.values()) > 0
        assert sorted(known.here) == [0, 1, 2, 3]
    found = readings(statistics, EVERY_KIND, rollout)[CANDIDATE]
    assert msgspec.convert(msgspec.to_builtins(found), dict[str, Reading]) == found
    # Nobody was heard of the others, and the gateway itself sees errors and fallbacks.
    assert set(found) == {"resolved", "errors", "fallbacks"}


def test_a_batch_in_another_order_is_the_same_batch() -> None:
    rng, rollout = np.random.default_rng(2), on_ramp()
    one, other = mixed(rng, 5, 2, RAMP[1]), mixed(rng, 5, 3, RAMP[2])
    both = {name: (*one.metrics[name], *other.metrics[name]) for name in one.metrics}
    batch = msgspec.structs.replace(one, metrics=both)
    turned = msgspec.structs.replace(one, metrics={name: cells[::-1] for name, cells in both.items()})
    assert run(EVERY_KIND, rollout, [batch]) == run(EVERY_KIND, rollout, [turned])


def test_identical_variants_are_called_different_no_more_often_than_promised() -> None:
    """Each claim at the edge of its null, on a ramp over which the base rate rises, read after every batch."""
    edge = {"direction": "down", "margin": 0.05, "today": 0.2}
    spec = use_case(guardrails={"same": {**edge, "rollback_at": "zero"}, "worse": edge})
    rollout, rng, runs = on_ramp(), np.random.default_rng(3), 100
    lines_of = lines(spec, rollout)
    calls = {"superior": 0, "not inferior": 0, "harm": 0}
    for _ in range(runs):
        statistics = begin(spec, rollout)
        for index in range(40):
            step, base = index // 10, 0.15 + index / 400
            metrics = {
                "resolved": drawn(rng, step + 1, RAMP[step], 150, base, base),
                "same": drawn(rng, step + 1, RAMP[step], 150, base, base),
                "worse": drawn(rng, step + 1, RAMP[step], 150, base, base + 0.05),
            }
            statistics = after(statistics, Batch(at=index, metrics=metrics, heard=(*metrics,)), spec, rollout)
        found = readings(statistics, spec, rollout)[CANDIDATE]
        calls["superior"] += found["resolved"].proved
        calls["not inferior"] += found["worse"].proved
        calls["harm"] += statistics.comparisons[0]["same"].against_peak >= lines_of.proof
    # .05 and three standard errors; an uncertified or peeked test is far above.
    assert max(calls.values()) <= runs * 0.05 + 3 * math.sqrt(runs * 0.05 * 0.95), calls


def test_a_real_effect_is_proved_and_a_missing_one_given_up() -> None:
    spec, rollout = use_case(), on_ramp((250_000,))
    for effect, verdict in ((0.1, (True, False)), (-0.05, (False, True))):
        rng = np.random.default_rng(4)
        batches = [
            Batch(
                at=at,
                metrics={
                    "resolved": drawn(rng, 1, 250_000, 100, 0.5, 0.5 + effect),
                    "complaints": drawn(rng, 1, 250_000, 100, 0.1, 0.1),
                },
                heard=("resolved", "complaints"),
            )
            for at in range(60)
        ]
        found = read(spec, rollout, batches)
        assert (found["resolved"].proved, found["resolved"].futile) == verdict
        assert found["resolved"].value == pytest.approx(effect, abs=0.04)
        assert found["resolved"].low < effect < found["resolved"].high
        assert found["complaints"].proved
        assert not found["complaints"].harmed
    no_proof = use_case(rollout={"steps": [{"share": 25}]})
    assert not read(no_proof, rollout, batches)["resolved"].futile


@pytest.mark.parametrize("share", [10_000, 50_000, 250_000, 500_000])
@pytest.mark.parametrize(("margin", "base"), [(0.02, 0.0), (0.02, 0.02), (0.05, 0.02)])
def test_a_candidate_that_fails_on_everything_is_stopped_within_sixty_units(
    share: int, margin: float, base: float
) -> None:
    limits = {f"rude{index}": {"direction": "down", "margin": 0.05} for index in range(3)}
    spec = use_case(guardrails={**limits, "errors": {"source": "errors", "direction": "down", "margin": margin}})
    rollout, rng, needed = on_ramp((share,)), np.random.default_rng(6), []
    for _ in range(12):
        statistics = begin(spec, rollout)
        for at in range(200):
            cells = {"errors": drawn(rng, 1, share, max(1, 3 * MILLION // share), base, 1.0)}
            statistics = after(statistics, Batch(at=at, metrics=cells), spec, rollout)
            if statistics.comparisons[0]["errors"].units[1] and (
                readings(statistics, spec, rollout)[CANDIDATE]["errors"].harmed
            ):
                break
        needed.append(statistics.comparisons[0]["errors"].units[1])
    assert max(needed) <= 30
    # All five guardrails share alpha.
    assert lines(spec, rollout).harm == pytest.approx(math.log(5 / 0.05))


def test_harm_is_seen_while_the_baseline_has_nobody() -> None:
    spec, rollout = use_case(), on_ramp((500_000,))
    found = read(spec, rollout, [Batch(at=at, metrics={"errors": rates(1, (0, 0), (3, 0))}) for at in range(30)])
    assert found["errors"].harmed
    assert (found["errors"].units, found["errors"].against) == (90, 0)
    assert -1 <= found["errors"].low <= found["errors"].value <= found["errors"].high <= 1


def test_what_once_crossed_its_line_has_crossed_it() -> None:
    spec, rollout = use_case(), on_ramp((500_000,))
    up, down = rates(1, (40, 60), (60, 40)), rates(1, (60, 40), (40, 60))
    first = [
        Batch(at=at, metrics={"resolved": up, "complaints": up}, heard=("resolved", "complaints")) for at in range(5)
    ]
    then = [Batch(at=at, metrics={"resolved": down, "complaints": down}) for at in range(5, 11)]
    assert read(spec, rollout, first)["resolved"].proved
    later = read(spec, rollout, [*first, *then])
    assert later["resolved"].proved
    assert later["complaints"].harmed
    assert later["resolved"].log_proof < lines(spec, rollout).proof
    assert later["complaints"].log_against < lines(spec, rollout).harm


def test_a_drift_over_the_ramp_is_no_effect() -> None:
    """The candidate's units come later, when the rate is higher: pooled over steps it would look 20 points better."""
    spec, rollout = use_case(), on_ramp((10_000, 500_000))
    batches = [
        Batch(at=1, metrics={"resolved": rates(1, (198, 792), (2, 8))}, heard=("resolved",)),
        Batch(at=2, metrics={"resolved": rates(2, (250, 250), (250, 250))}),
    ]
    found = read(spec, rollout, batches)["resolved"]
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert not found.proved
    assert (found.units, found.against, found.here) == (510, 1490, 500)


def test_the_chance_of_a_unit_is_that_of_the_splits_it_lived_under() -> None:
    rollout = on_ramp((100_000, 300_000, 200_000))
    assert part_of(rollout, CANDIDATE, 1, 1) == Part(100_000, 900_000)
    assert part_of(rollout, CANDIDATE, 1, 3) == Part(100_000, 700_000)
    assert part_of(rollout, CANDIDATE, 2, 3) == Part(200_000, 700_000)
    with pytest.raises(ValueError, match="generation 7"):
        part_of(rollout, CANDIDATE, 7, 8)

    splits = (
        Allocated(generation=1, step=0, share=200_000, at=0),
        Allocated(generation=2, step=0, share=200_000, at=1, out=(RIVAL,)),
    )
    two = on_ramp((200_000,), rivals=(RIVAL,), allocations=splits)
    # The whole region of a rival that is out has the baseline; whoever saw it leave may have been moved.
    assert part_of(two, CANDIDATE, 1, 1) == part_of(two, RIVAL, 1, 1) == Part(200_000, 1_600_000)
    assert part_of(two, CANDIDATE, 2, 2) == Part(200_000, 1_800_000)
    assert part_of(two, RIVAL, 1, 2) == Part(0, 1_600_000)


def test_candidates_are_compared_with_the_baseline_one_by_one() -> None:
    spec = use_case()
    splits = (
        Allocated(generation=1, step=0, share=400_000, at=0),
        Allocated(generation=2, step=0, share=400_000, at=9, out=(RIVAL,)),
    )
    rollout = on_ramp((400_000,), rivals=(RIVAL,), allocations=splits)
    cells = (Cell(1, 1, 0, (300, 300)), Cell(1, 1, 1, (120, 80)), Cell(1, 1, 2, (60, 140)))
    late = (Cell(2, 2, 0, (40, 40)), Cell(2, 2, 1, (12, 8)), Cell(1, 2, 2, (0, 9)))
    batches = [
        Batch(at=0, metrics={"resolved": cells}, heard=("resolved",)),
        Batch(at=1, metrics={"resolved": late}),
    ]
    found = readings(run(spec, rollout, batches), spec, rollout)
    one, other = found[CANDIDATE]["resolved"], found[RIVAL]["resolved"]
    assert (one.units, one.against) == (220, 680)
    assert one.value == pytest.approx(0.1)
    # Units that saw the rival leave have nothing to be compared with, nor has the baseline since.
    assert (other.units, other.against) == (200, 600)
    assert other.value == pytest.approx(-0.2)
    assert other.needed is None
    assert lines(spec, rollout).proof == pytest.approx(math.log(2 / 0.05))
    assert other.futile


def test_nobody_heard_means_no_reading() -> None:
    spec, rollout = use_case(), on_ramp((500_000,))
    silent = Batch(at=1, metrics={"complaints": rates(1, (0, 50), (0, 50)), "errors": rates(1, (0, 50), (0, 50))})
    assert set(read(spec, rollout, [silent])) == {"errors"}
    assert set(read(spec, rollout, [silent, Batch(at=2, heard=("complaints",))])) == {"errors", "complaints"}


def test_without_a_baseline_the_level_of_today_is_compared_with() -> None:
    spec = use_case(
        guardrails={
            "complaints": {"direction": "down", "margin": 0.05},
            "stars": {"kind": "rating", "low": 1.0, "high": 5.0, "margin": 0.3, "today": 4.0, "silence": 4.0},
            "paid": {"kind": "money", "margin": 1.0, "today": 5.0},
        }
    )
    rollout, rng = on_ramp((100_000, 1_000_000), baseline=""), np.random.default_rng(7)
    batches = []
    for at in range(40):
        generation = 1 + at // 20
        paid = [round(x * MILLION) for x in rng.exponential(6.0, 30)]
        stars = [MILLION * int(x) for x in rng.choice([3, 4, 5], 30)]
        sums = {
            "resolved": (int(rng.binomial(30, 0.65)), 0),
            "errors": (0, 30),
            "complaints": (2, 28),
            "stars": method_of(spec.guardrails["stars"]).gather(stars),
            "paid": method_of(spec.guardrails["paid"]).gather(paid),
        }
        sums["resolved"] = (sums["resolved"][0], 30 - sums["resolved"][0])
        metrics: dict[str, tuple[Cell, ...]] = {
            name: (Cell(generation, generation, 1, one),) for name, one in sums.items()
        }
        batches.append(Batch(at=at, metrics=metrics, heard=(*sums,), exposed=((generation, 1, 30),)))
    statistics = run(spec, rollout, batches)
    found = readings(statistics, spec, rollout)[CANDIDATE]
    # Complaints have no level, so nothing can be said of them.
    assert set(found) == {"resolved", "errors", "stars", "paid"}
    assert all(found[name].proved for name in found), found
    assert all(reading.against == 0 and reading.units == 1200 for reading in found.values())
    assert found["resolved"].low < 0.15 < found["resolved"].high
    assert found["paid"].low < 1 < found["paid"].high
    assert mismatches(statistics.exposures, rollout) == ()
    failing = [Batch(at=at, metrics={"errors": (Cell(1, 1, 1, (5, 0)),)}) for at in range(4)]
    assert read(spec, rollout, failing)["errors"].harmed


@pytest.mark.parametrize("compared", [True, False])
@pytest.mark.parametrize("share", [1, 500_000, 999_999])
def test_nothing_that_comes_raises_or_is_not_a_number(*, compared: bool, share: int) -> None:
    spec = use_case(
        goals={
            "resolved": {"today": 0.0, "minimum_effect": 0.999},
            "wished": {"today": 0.5},
            "paid": {"kind": "money", "today": 0.0},
        },
        guardrails={
            "complaints": {"direction": "down", "margin": 0.999999, "today": 1.0},
            "stars": {"kind": "rating", "low": 1.0, "high": 5.0, "margin": 3.99, "today": 1.0, "silence": 3.0},
            "price": {"kind": "money", "high": 1e-6, "margin": 5e-7, "direction": "down", "today": 0.0},
            "spent": {"kind": "money", "margin": 1e-9, "direction": "down", "today": 0.0},
        },
    )
    rollout = on_ramp((share,), baseline=BASELINE if compared else "")
    heard = tuple(judged(spec))
    for kind in ("zero", "one", "candidate only", "baseline only"):
        batches = []
        for at in range(14):
            metrics = {}
            for name, metric in judged(spec).items():
                value = 0 if kind == "zero" else MILLION
                sums = method_of(metric).gather([value] * 60)
                arms = {"candidate only": (1,), "baseline only": (0,)}.get(kind, (0, 1))
                metrics[name] = tuple(Cell(1, 1, arm, sums) for arm in arms)
            batches.append(Batch(at=at, metrics=metrics, heard=heard, exposed=((1, 0, 60), (1, 1, 60))))
        statistics = run(spec, rollout, [Batch(at=0), *batches])
        for reading in readings(statistics, spec, rollout)[CANDIDATE].values():
            figures = (reading.value, reading.low, reading.high, reading.log_proof, reading.log_against)
            assert all(math.isfinite(figure) for figure in figures)
            assert reading.low <= reading.value <= reading.high
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(statistics), type=Statistics)
        assert again == statistics


def test_a_metric_without_bounds_waits_for_its_burn_in() -> None:
    spec = use_case(goals={"paid": {"kind": "money", "minimum_effect": 0.5}})
    rollout, rng = on_ramp((500_000,)), np.random.default_rng(8)
    method, statistics, seen = method_of(spec.goals["paid"]), begin(spec, rollout), []
    for at in range(40):
        paid = [[round(x * MILLION) for x in rng.exponential(mean, 50)] for mean in (3.0, 4.0)]
        cells = tuple(Cell(1, 1, arm, method.gather(values)) for arm, values in enumerate(paid))
        statistics = after(statistics, Batch(at=at, metrics={"paid": cells}, heard=("paid",)), spec, rollout)
        seen.append(readings(statistics, spec, rollout)[CANDIDATE]["paid"])
    assert all(reading.log_proof == 0 and not reading.proved for reading in seen[:9])
    assert seen[0].needed is not None
    assert seen[0].needed >= 450
    assert seen[-1].proved
    assert seen[-1].low < 1.0 < seen[-1].high < 1.5
    assert seen[-1].high - seen[-1].low < seen[0].high - seen[0].low


def test_a_broken_split_is_noticed_and_a_ramp_is_not() -> None:
    spec, rollout, rng = use_case(), on_ramp(), np.random.default_rng(9)
    honest: list[Batch] = []
    broken: list[Batch] = []
    for at in range(80):
        step = at // 20
        for found, share in ((honest, RAMP[step]), (broken, RAMP[step] * 3 // 4)):
            n_c = int(rng.binomial(100, share / MILLION))
            found.append(Batch(at=at, exposed=((step + 1, 1, n_c), (step + 1, 0, 100 - n_c))))
    assert mismatches(run(spec, rollout, honest).exposures, rollout) == ()
    statistics = run(spec, rollout, broken)
    (mismatch,) = mismatches(statistics.exposures, rollout)
    assert (mismatch.release, mismatch.units) == (CANDIDATE, 8000)
    assert mismatch.expected == pytest.approx(2000 * (0.01 + 0.05 + 0.25 + 0.5))
    assert mismatch.candidate < 0.8 * mismatch.expected
    assert sum(exposed_at(statistics.exposures, rollout, 3).values()) == 2000
    assert sum(exposed_at(statistics.exposures, rollout).values()) == 8000


def test_what_is_still_needed_is_about_what_then_comes() -> None:
    """At the start of a rollout, and on half of the way: within a factor of two of the mean that simulation takes."""
    spec, rollout, rng = use_case(), on_ramp((250_000,)), np.random.default_rng(10)
    taken, first = [], 0
    for _ in range(20):
        statistics = begin(spec, rollout)
        for at in range(400):
            cells = {"complaints": drawn(rng, 1, 250_000, 80, 0.1, 0.1)}
            statistics = after(statistics, Batch(at=at, metrics=cells, heard=("complaints",)), spec, rollout)
            reading = readings(statistics, spec, rollout)[CANDIDATE]["complaints"]
            if not first:
                first = reading.needed or 0
            if reading.proved:
                break
        assert reading.needed == 0
        taken.append(reading.units)
    # Nothing was known of today's rate, so the first guess takes a half, which varies most.
    assert np.mean(taken) / 2 < first < 5 * np.mean(taken)
    known = use_case(guardrails={"complaints": {"direction": "down", "margin": 0.05, "today": 0.1}})
    one = Batch(at=1, metrics={"complaints": rates(1, (9, 81), (3, 27))}, heard=("complaints",))
    guess = read(known, rollout, [one])["complaints"].needed
    assert guess is not None
    assert np.mean(taken) / 2 < guess < 2 * np.mean(taken)
    worse = Batch(at=1, metrics={"complaints": rates(1, (900, 8100), (600, 2400))}, heard=("complaints",))
    assert read(spec, rollout, [worse])["complaints"].needed is None


def test_the_time_of_a_proof_follows_from_how_units_come() -> None:
    spec = use_case(guardrails={"complaints": {"direction": "down", "margin": 0.05, "matures_after": "2h"}})
    rollout = on_ramp((250_000,))
    now = 10 * HOUR
    one = Batch(
        at=now,
        metrics={"complaints": rates(1, (27, 243), (9, 81))},
        heard=("complaints",),
        exposed=((1, 0, 300), (1, 1, 100)),
        frontier={EXPOSED: now},
    )
    statistics = run(spec, rollout, [one])
    found = expected(statistics, spec, rollout, "complaints", now)
    needed = readings(statistics, spec, rollout)[CANDIDATE]["complaints"].needed
    assert found is not None
    assert needed is not None
    # Ten candidate units an hour come, and ten of those exposed have no outcome yet.
    assert found.units == needed
    assert found.at == pytest.approx(now + (needed - 10) / 10 * HOUR + 2 * HOUR, abs=SECOND)
    assert expected(begin(spec, rollout), spec, rollout, "complaints", now) is None
