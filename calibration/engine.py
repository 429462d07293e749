"""Whole rollouts through the controller's own judgement: batches in, decisions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from calibration.figure import Figure, percent, within
from pilotage.clock import HOUR, SECOND
from pilotage.decision.batch import EXPOSED, Batch, Cell
from pilotage.decision.observation import Observation
from pilotage.decision.statistics import after, begin
from pilotage.decision.transition import decide, follow
from pilotage.spec.use_case import UseCase
from pilotage.status import MILLION, Allocated, Phase, RolloutStatus, Stage, UseCaseStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

DAILY = 3000
DAY = 24 * HOUR
TICK = HOUR // 2
MATURES = 2
"""Ticks until a thumb is final; what the gateway sees is final at once."""
DAYS = 10
"""After so long a rollout is counted as held."""
HEAD = (
    "thumbs .70, errors 2 %, slow 5 %, 3,000 users a day",
    "harm against",
    "promoted",
    "rolled back",
    "held for 10 days",
    "split called broken",
    "median days to production",
    "median candidate users until stopped",
)


class Truth(msgspec.Struct, frozen=True):
    """The candidate's rates; the baseline's are those of `BASELINE`. `fall` is what thumbs lose a day on both sides."""

    thumbs: float = 0.70
    errors: float = 0.02
    slow: float = 0.05
    fallbacks: float = 0.0
    fall: float = 0.0


BASELINE = Truth()
IMMEDIATE = ("errors", "slow", "fallbacks")


class Ended(msgspec.Struct, frozen=True):
    """How one rollout ended, after how many days, and how many users had met the candidate."""

    phase: Phase
    days: float
    exposed: int
    alarm: bool


def use_case(rollback_at: str) -> UseCase:
    """Return the use case of the table: guardrails only, margins of 5, 2 and 3 points, and 5, 25 and 50 %."""
    shared = {"rollback_at": rollback_at}
    tables: dict[str, Any] = {
        "name": "support",
        "owner": "Ada",
        "candidate": "new",
        "guardrails": {
            "thumbs": {"today": 0.7, "margin": 0.05, "matures_after": f"{MATURES * TICK // SECOND}s", **shared},
            "errors": {"direction": "down", "source": "errors", "today": 0.02, "margin": 0.02, **shared},
            "slow": {"direction": "down", "source": "slow", "limit": "4s", "today": 0.05, "margin": 0.03, **shared},
        },
        "variants": {"old": {"upstream": "search"}, "new": {"upstream": "search"}},
        "rollout": {"steps": [{"share": 5}, {"share": 25}, {"share": 50, "demands": ["prove"]}]},
    }
    return UseCase.model_validate(tables)


def run(spec: UseCase, truth: Truth, rng: np.random.Generator) -> Ended:
    """Run one rollout to its end."""
    status = _begun(spec)
    rollout = status.rollout
    assert rollout is not None
    statistics = begin(spec, rollout)
    waiting: list[tuple[int, int, int, int]] = []
    exposed, alarm = 0, False
    ticks = DAYS * DAY // TICK
    for tick in range(1, ticks + 1):
        now = tick * TICK
        arrived = int(rng.poisson(DAILY * TICK / DAY))
        candidate = int(rng.binomial(arrived, rollout.share / MILLION))
        exposed += candidate
        waiting.append((tick, rollout.generation, arrived - candidate, candidate))
        due = [waiting.pop(0)] if waiting[0][0] + MATURES <= tick else []
        batch = _batch(rollout, truth, rng, now=now, new=waiting[-1], due=due)
        statistics = after(statistics, batch, spec, rollout)
        decision = decide(spec, status, statistics, Observation(rollout=rollout.id, at=now), [], now)
        alarm |= decision.action == "pause"
        if decision.action == "hold":
            continue
        status = follow(status, decision)
        assert status.rollout is not None
        rollout = status.rollout
        if rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
            return Ended(rollout.phase, now / DAY, exposed, alarm)
    return Ended(Phase.RUNNING, float(DAYS), exposed, alarm)


def _begun(spec: UseCase) -> UseCaseStatus:
    shares = tuple(round(step.share * 10_000) for step in spec.rollout.steps)
    rollout = RolloutStatus(
        id="r1",
        candidate="support/new@111111111111",
        baseline="support/old@000000000000",
        shares=shares,
        started=0,
        step_since=0,
        allocations=(Allocated(generation=1, step=0, share=shares[0], at=0),),
    )
    return UseCaseStatus(
        use_case="support",
        charter=spec.charter,
        version=1,
        live=rollout.baseline,
        candidate=rollout.candidate,
        stage=Stage.CANARY,
        rollout=rollout,
    )


def _batch(
    rollout: RolloutStatus,
    truth: Truth,
    rng: np.random.Generator,
    *,
    now: int,
    new: tuple[int, int, int, int],
    due: list[tuple[int, int, int, int]],
) -> Batch:
    """Return what a tick brings: `new` first exposures, with what the gateway saw of them, and thumbs that are `due`."""
    tick, generation, baseline, candidate = new
    frontier = dict.fromkeys((EXPOSED, *IMMEDIATE), now)
    here = (generation, generation)
    metrics = {name: _cells(here, (baseline, candidate), _rates(name, truth), rng) for name in IMMEDIATE}
    moved = 0
    for since, first, waited, exposed in due:
        shares = [split.share for split in rollout.allocations if split.generation >= first and split.at <= now]
        lo, hi = shares[0], max(shares)
        kept = int(rng.binomial(waited, (MILLION - hi) / (MILLION - lo)))
        moved += waited - kept
        rates = _rates("thumbs", truth, truth.fall * since * TICK / DAY)
        metrics["thumbs"] = _cells((first, rollout.generation), (kept, exposed), rates, rng)
        frontier["thumbs"] = now - (tick - since - MATURES) * TICK
    return Batch(
        at=now,
        frontier=frontier,
        exposed=tuple((generation, arm, units) for arm, units in enumerate((baseline, candidate)) if units),
        metrics={name: cells for name, cells in metrics.items() if cells},
        moved=moved,
        heard=("thumbs",) if due else (),
    )


def _rates(name: str, truth: Truth, fallen: float = 0.0) -> tuple[float, float]:
    """Return both sides' rates, less what was lost by then."""
    return max(getattr(BASELINE, name) - fallen, 0.0), max(getattr(truth, name) - fallen, 0.0)


def _cells(
    between: tuple[int, int], units: tuple[int, int], rates: tuple[float, float], rng: np.random.Generator
) -> tuple[Cell, ...]:
    cells = []
    for arm, (n, rate) in enumerate(zip(units, rates, strict=True)):
        successes = int(rng.binomial(n, rate))
        if n:
            cells.append(Cell(*between, arm, (successes, n - successes)))
    return tuple(cells)


def outcomes(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """What becomes of candidates that are as good, at the margin, within it, and clearly worse."""
    runs = max(int(200 * size), 20)
    for at in ("margin", "zero"):
        spec = use_case(at)
        for name, truth in (
            ("no difference", BASELINE),
            ("no difference, thumbs fall by 5 points a day on both sides", Truth(fall=0.05)),
            ("thumbs 2 points worse (within the margin)", Truth(thumbs=0.68)),
            ("thumbs 5 points worse (at the margin)", Truth(thumbs=0.65)),
            ("thumbs 10 points worse", Truth(thumbs=0.60)),
            ("errors 2 to 20 %", Truth(errors=0.2)),
            ("answers 500 to everything, the fallback is perfect", Truth(errors=1.0, fallbacks=1.0)),
        ):
            ended = [run(spec, truth, rng) for _ in range(runs)]
            yield _line(name, at, truth, ended)


def _line(name: str, at: str, truth: Truth, ended: list[Ended]) -> Figure:
    by = {phase: [one for one in ended if one.phase is phase] for phase in Phase}
    promoted, back = by[Phase.PROMOTED], by[Phase.ROLLED_BACK]
    parts = [f"{100 * len(some) / len(ended):.1f} %" for some in (promoted, back, by[Phase.RUNNING] + by[Phase.PAUSED])]
    days = f"{np.median([one.days for one in promoted]):.1f}" if promoted else ""
    users = f"{np.median([one.exposed for one in back]):,.0f}" if back else ""
    alarm = np.asarray([one.alarm for one in ended])
    cells = (name, "the margin" if at == "margin" else "0", *parts, percent(alarm), days, users)
    return Figure("engine", cells, _kept(at, truth, by) and within(alarm, 0.001))


def _kept(at: str, truth: Truth, by: dict[Phase, list[Ended]]) -> bool:
    """Return whether the promises fit.

    At the margin or beyond it at most alpha is promoted, up to where harm is measured from at most alpha is rolled back,
    and whatever is clearly beyond the margin is rolled back always.
    """
    runs = sum(map(len, by.values()))
    most = runs * 0.05 + 3 * np.sqrt(runs * 0.05 * 0.95)
    lost = BASELINE.thumbs - truth.thumbs, truth.errors - BASELINE.errors
    margins = (0.05, 0.02)
    inferior = any(x >= margin - 1e-9 for x, margin in zip(lost, margins, strict=True))
    beyond = any(x > margin + 1e-9 for x, margin in zip(lost, margins, strict=True))
    harmless = not beyond if at == "margin" else not any(x > 1e-9 for x in lost)
    return (
        (not inferior or len(by[Phase.PROMOTED]) <= most)
        and (not harmless or len(by[Phase.ROLLED_BACK]) <= most)
        and (not beyond or len(by[Phase.ROLLED_BACK]) == runs)
    )
