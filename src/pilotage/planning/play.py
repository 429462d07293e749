"""The file's rollout, played: made-up units, and the live rollout's own statistics and decisions on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from pilotage.decision import moves
from pilotage.decision.observation import Observation
from pilotage.decision.statistics import after, begin
from pilotage.decision.transition import decide, follow
from pilotage.decision.verdict import judged
from pilotage.errors import Refused
from pilotage.planning.proof import proofs
from pilotage.planning.ramp import DAY, traffic_of
from pilotage.planning.whole import whole
from pilotage.planning.world import World, cohort_of, imagined
from pilotage.spec.gates import Approvals, Gates
from pilotage.status import Action, Phase, Stage, UseCaseStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pilotage.planning.world import Watched
    from pilotage.spec.use_case import UseCase
    from pilotage.stats.planner import Traffic

LONGEST = 90.0
"""Days after which a run counts as undecided."""
_STRETCH = 0.03
"""Batches lie this part of the time so far apart, once that is longer than a cohort."""


class Spread(msgspec.Struct, frozen=True):
    """How a figure differs between runs."""

    low: float
    median: float
    high: float
    most: float


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What came of many runs. `days` and `exposed` spread from the 10th to the 90th percentile of all runs.

    `ended` counts them by how they ended, `stopped_by` those rolled back by the guardrail that showed the harm first.
    `effects` is the supposed candidate minus baseline; `tick` the seconds from one batch to the next at first.
    """

    use_case: str
    unit: str
    effects: dict[str, float]
    runs: int
    seed: int
    ended: dict[str, int]
    stopped_by: dict[str, int]
    days: Spread
    exposed: Spread
    tick: float
    longest: float
    batches: float
    assumed: tuple[str, ...]


class Run(msgspec.Struct, frozen=True):
    """One run: how it ended, when, who had met the candidate by then, and what was shown to be harmed."""

    ended: str
    days: float
    exposed: int
    batches: int
    harmed: tuple[str, ...] = ()


def play(
    spec: UseCase,
    effects: Mapping[str, float],
    *,
    runs: int,
    seed: int,
    each: Callable[[Callable[[np.random.SeedSequence], Run], list[np.random.SeedSequence]], Iterable[Run]] = map,
) -> Played:
    """Play the rollout `runs` times; how far batches lie apart follows from the plan.

    `each` plays one run for every seed and gives them back in their order, in whatever processes it likes.
    Raises WrongCall for a metric that the rollout is not judged on, Refused where nothing can be played.
    """
    traffic = traffic_of(spec)
    if traffic is None:
        raise Refused("there is no traffic to play with", hint="declare [traffic] new_units_a_day in usecase.toml")
    metrics, assumed = imagined(spec, effects)
    planned = whole(spec, proofs(spec))
    days = planned.likely.days if planned and planned.likely and planned.likely.days else LONGEST
    cohort = cohort_of(days)
    table = Table(_willing(spec), metrics, traffic, cohort)
    results = list(each(table.play, np.random.SeedSequence(seed).spawn(runs)))
    ended = {how: sum(run.ended == how for run in results) for how in _ENDINGS}
    names = sorted({name for run in results for name in run.harmed})
    return Played(
        use_case=spec.name,
        unit=spec.unit,
        effects=dict(effects),
        runs=runs,
        seed=seed,
        ended=ended,
        stopped_by={name: sum(name in run.harmed for run in results) for name in names},
        days=_spread([run.days for run in results]),
        exposed=_spread([float(run.exposed) for run in results]),
        tick=cohort / 1e6,
        longest=LONGEST,
        batches=float(np.mean([run.batches for run in results])),
        assumed=assumed,
    )


class Table(NamedTuple):
    """All that a run needs but its seed."""

    spec: UseCase
    metrics: Mapping[str, Watched]
    traffic: Traffic
    cohort: int

    def play(self, seed: np.random.SeedSequence) -> Run:
        return _run(self.spec, World(self.metrics, self.traffic, self.cohort, np.random.default_rng(seed)), self.cohort)


_ENDINGS = ("promoted", "rolled_back", "futile", "undecided")
_ENDED = {Phase.PROMOTED: "promoted", Phase.ROLLED_BACK: "rolled_back", Phase.FUTILE: "futile"}


def _run(spec: UseCase, world: World, cohort: int) -> Run:
    status = _begun(spec)
    assert status.rollout is not None
    statistics = begin(spec, status.rollout)
    heard = tuple(sorted(judged(spec)))
    now = batches = 0
    while now < LONGEST * DAY:
        now += max(cohort, int(now * _STRETCH) // cohort * cohort)
        rollout = status.rollout
        assert rollout is not None
        batch = world.batch(now, rollout, heard if not batches else ())
        batches += 1
        statistics = after(statistics, batch, spec, rollout)
        decision = decide(spec, status, statistics, Observation(rollout=rollout.id, at=now), (), now)
        if decision.action is Action.HOLD:
            continue
        status = follow(status, decision)
        assert status.rollout is not None
        if status.rollout.phase in _ENDED:
            harmed = tuple(name for name, reading in status.rollout.readings.items() if reading.harmed)
            return Run(_ENDED[status.rollout.phase], now / DAY, world.exposed, batches, harmed)
    return Run("undecided", now / DAY, world.exposed, batches)


def _begun(spec: UseCase) -> UseCaseStatus:
    """Return the status of a rollout that begins now, as the commands would make it."""
    live = f"{spec.name}/{spec.status_quo}@0" if spec.status_quo else ""
    first, *others = (f"{spec.name}/{name}@{index}" for index, name in enumerate(spec.candidates or ("candidate",), 1))
    waiting = moves.registered(spec, live, first, rivals=tuple(others), now=0)
    return moves.forward(spec, msgspec.structs.replace(waiting, stage=Stage.STAGING), rollout="played", now=0)


def _willing(spec: UseCase) -> UseCase:
    """Return the file without what a made-up world cannot give: people's yes, and evidence from before the rollout."""
    steps = tuple(
        step.model_copy(update={"demands": tuple(demand for demand in step.demands if demand != "approve")})
        for step in spec.rollout.steps
    )
    rollout = spec.rollout.model_copy(update={"steps": steps})
    return spec.model_copy(update={"rollout": rollout, "approvals": Approvals(), "gates": Gates(), "tier": "minimal"})


def _spread(values: list[float]) -> Spread:
    low, median, high = np.percentile(values, (10, 50, 90))
    return Spread(float(low), float(median), float(high), max(values))
