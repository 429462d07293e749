"""How often a rollout is held for a group that is no worse off, and how soon for one that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from calibration.figure import ALPHA, Figure, percent, share, within
from pilotage.clock import HOUR
from pilotage.decision.batch import EXPOSED, Batch, Cell
from pilotage.decision.parity import unequal
from pilotage.decision.statistics import after, begin, by_group
from pilotage.spec.fairness import group_of
from pilotage.spec.use_case import UseCase
from pilotage.status import MILLION, Allocated, RolloutStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

DAILY, DAYS, TICK = 3000, 10, 4 * HOUR
GROUPS = {"en": 0.6, "de": 0.3, "tr": 0.1}
MARGIN = 0.05
HEAD = (
    "3,000 users a day at 50/50, 60, 30 and 10 % of them in three groups, margins of 5 points on two metrics",
    "held within 10 days",
    "promised",
    "median days until held",
)
PROMISE = f"at most {100 * ALPHA:g} %"


class Truth(msgspec.Struct, frozen=True):
    """Rates of the baseline by group, and what the candidate adds to each; both metrics have the same."""

    rates: tuple[float, float, float] = (0.7, 0.7, 0.7)
    adds: tuple[float, float, float] = (0.0, 0.0, 0.0)


WORLDS: tuple[tuple[str, Truth, bool], ...] = (
    ("nothing differs", Truth(), True),
    ("better by 5 points for everybody", Truth(adds=(0.05, 0.05, 0.05)), True),
    ("groups differ by 20 points on both sides alike", Truth(rates=(0.7, 0.6, 0.5)), True),
    ("worse by exactly the margin for the 30 %", Truth(adds=(0.0, -MARGIN, 0.0)), True),
    ("worse by exactly the margin for the 10 %", Truth(adds=(0.0, 0.0, -MARGIN)), True),
    ("worse by 10 points for the 30 %", Truth(adds=(0.0, -0.10, 0.0)), False),
    ("worse by 15 points for the 30 %", Truth(adds=(0.0, -0.15, 0.0)), False),
    ("worse by 20 points for the 10 %", Truth(adds=(0.0, 0.0, -0.20)), False),
)


def use_case() -> UseCase:
    shared: dict[str, Any] = {"today": 0.7, "margin": 0.05}
    tables: dict[str, Any] = {
        "name": "support",
        "owner": "Ada",
        "candidate": "new",
        "goals": {"resolved": {"today": 0.7, "minimum_effect": 0.02}},
        "guardrails": {"thumbs": shared},
        "fairness": {"segments": {"language": list(GROUPS)}, "margins": {"resolved": MARGIN, "thumbs": MARGIN}},
        "variants": {"old": {"upstream": "search"}, "new": {"upstream": "search"}},
    }
    return UseCase.model_validate(tables)


ROLLOUT = RolloutStatus(
    id="r",
    candidate="support/new@111111111111",
    baseline="support/old@000000000000",
    shares=(MILLION // 2,),
    started=0,
    step_since=0,
    generation=1,
    allocations=(Allocated(generation=1, step=0, share=MILLION // 2, at=0),),
)


def holds(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Whole rollouts through the statistics that the controller decides with."""
    spec = use_case()
    for name, truth, promised in WORLDS:
        runs = int((100 if promised else 40) * size)
        days = np.asarray([_held(spec, truth, rng) for _ in range(runs)])
        held = np.isfinite(days)
        median = f"{np.median(days[held]):.1f}" if held.mean() > 0.5 else ""
        cells = (name, share(held) if promised else percent(held), PROMISE if promised else "", median)
        yield Figure("fairness", cells, not promised or within(held))


def _held(spec: UseCase, truth: Truth, rng: np.random.Generator) -> float:
    """Return after how many days a gap is shown to be above its margin; infinity where none is."""
    statistics = msgspec.structs.replace(begin(spec, ROLLOUT), heard=("resolved", "thumbs"))
    for tick in range(1, DAYS * 24 * HOUR // TICK + 1):
        statistics = after(statistics, _batch(truth, rng, tick * TICK), spec, ROLLOUT)
        if any(unequal(spec, by_group(statistics, spec, ROLLOUT)[ROLLOUT.candidate])):
            return tick * TICK / (24 * HOUR)
    return float("inf")


def _batch(truth: Truth, rng: np.random.Generator, now: int) -> Batch:
    groups: dict[str, dict[str, tuple[Cell, ...]]] = {}
    whole = {name: np.zeros((2, 2), dtype=np.int64) for name in ("resolved", "thumbs")}
    units = np.zeros(2, dtype=np.int64)
    for (name, part), rate, add in zip(GROUPS.items(), truth.rates, truth.adds, strict=True):
        came = rng.poisson(DAILY * TICK / (24 * HOUR) * part)
        arms = np.asarray([came - (candidate := rng.binomial(came, 0.5)), candidate])
        units += arms
        cells = {}
        for metric, total in whole.items():
            won = rng.binomial(arms, [rate, rate + add])
            sums = np.stack([won, arms - won], axis=1)
            np.add(total, sums, out=total)
            cells[metric] = _cells(sums)
        groups[group_of("language", name)] = cells
    return Batch(
        at=now,
        frontier={EXPOSED: now, "resolved": now, "thumbs": now},
        exposed=tuple((1, arm, int(count)) for arm, count in enumerate(units)),
        metrics={metric: _cells(sums) for metric, sums in whole.items()},
        groups=groups,
    )


def _cells(sums: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Cell, ...]:
    return tuple(Cell(1, 1, arm, (int(won), int(lost))) for arm, (won, lost) in enumerate(sums))
