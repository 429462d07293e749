"""A made-up world for one rollout: who comes when, who is assigned to what, and what their outcomes are.

Units come hour by hour, or finer (`cohort`): Poisson numbers about what the traffic curve says. A cohort's units are
taken to be exposed at its end, and mature together. Outcomes of different metrics are independent of each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.decision.batch import BASELINE, EXPOSED, Batch, Cell
from pilotage.decision.method import MILLION, Bounded, Rate, method_of
from pilotage.decision.parts import share_in
from pilotage.decision.verdict import judged
from pilotage.errors import Refused, WrongCall
from pilotage.planning.proof import supposition
from pilotage.planning.ramp import DAY
from pilotage.planning.supposed import Unplannable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.decision.method import Method
    from pilotage.spec.use_case import UseCase
    from pilotage.stats.demand import Law
    from pilotage.stats.planner import Traffic
    from pilotage.status import Allocated, RolloutStatus


class Watched(msgspec.Struct, frozen=True):
    """One metric of the world: how its values are distributed on both sides, and how they are gathered."""

    law: Law
    method: Method
    matures_after: int


class Cohort(msgspec.Struct, frozen=True):
    """Units first exposed at one time under one generation: how many on each arm."""

    at: int
    generation: int
    arms: tuple[int, ...]


class World:
    """One rollout's units. `batch` is asked in rising order of time."""

    def __init__(self, metrics: Mapping[str, Watched], traffic: Traffic, cohort: int, rng: np.random.Generator) -> None:
        self._metrics = metrics
        self._traffic = traffic
        self._cohort = cohort
        self._rng = rng
        self._cohorts: list[Cohort] = []
        self._until = 0
        self._entered = dict.fromkeys(metrics, 0)
        self.exposed = 0
        """Units that met a candidate so far."""

    def batch(self, now: int, rollout: RolloutStatus, heard: tuple[str, ...]) -> Batch:
        """Return what came and matured since the last batch, under the rollout's newest split until now."""
        coming = self._come(now, rollout)
        exposed: dict[tuple[int, int], int] = {}
        for cohort in coming:
            for arm, units in enumerate(cohort.arms):
                if units and (arm != BASELINE or rollout.baseline):
                    exposed[cohort.generation, arm] = exposed.get((cohort.generation, arm), 0) + units
        self._cohorts += coming
        self.exposed += sum(sum(cohort.arms[1:]) for cohort in coming)
        return Batch(
            at=now,
            frontier={EXPOSED: now, **dict.fromkeys(self._metrics, now)},
            exposed=tuple((*key, units) for key, units in sorted(exposed.items())),
            metrics={name: self._matured(name, now, rollout) for name in self._metrics},
            heard=heard,
        )

    def _come(self, now: int, rollout: RolloutStatus) -> list[Cohort]:
        split = rollout.allocations[-1]
        ends = np.arange(self._until + self._cohort, now + 1, self._cohort)
        if not len(ends):
            return []
        due = np.diff(self._traffic.seen(np.append(self._until, ends) / DAY))
        self._until = int(ends[-1])
        arms = len(rollout.candidates)
        of_each = [share_in(split, other) / MILLION / arms for other in rollout.candidates]
        chances = np.asarray([1 - sum(of_each), *of_each])
        came = self._rng.multinomial(self._rng.poisson(due), chances)
        return [Cohort(int(at), split.generation, tuple(units.tolist())) for at, units in zip(ends, came, strict=True)]

    def _matured(self, name: str, now: int, rollout: RolloutStatus) -> tuple[Cell, ...]:
        watched = self._metrics[name]
        start = self._entered[name]
        found: dict[tuple[int, int, int], int] = {}
        for cohort in self._cohorts[start:]:
            matures = cohort.at + watched.matures_after
            if matures > now:
                break
            self._entered[name] += 1
            last = _in_force(rollout, matures)
            for arm, units in enumerate(_stayed(cohort, last, rollout, self._rng)):
                if units and (arm != BASELINE or rollout.baseline):
                    key = (cohort.generation, last.generation, arm)
                    found[key] = found.get(key, 0) + units
        return tuple(Cell(*key, self._values(watched, key[2], units)) for key, units in sorted(found.items()))

    def _values(self, watched: Watched, arm: int, units: int) -> tuple[int, ...]:
        side = watched.law.baseline if arm == BASELINE else watched.law.candidate
        method = watched.method
        if isinstance(method, Rate):
            successes = int(self._rng.binomial(units, side[1]))
            return successes, units - successes
        counts = self._rng.multinomial(units, side)
        if isinstance(method, Bounded):
            # On the scale's own multiples of its resolution, so that every value lies exactly on an edge.
            millionths = np.rint(np.asarray(method.scale.points) * MILLION).astype(np.int64)
        else:
            millionths = np.rint(np.asarray(watched.law.values) * MILLION).astype(np.int64)
        return method.gather(np.repeat(millionths, counts).tolist())


def _in_force(rollout: RolloutStatus, at: int) -> Allocated:
    return next(split for split in reversed(rollout.allocations) if split.at <= at)


def _stayed(cohort: Cohort, last: Allocated, rollout: RolloutStatus, rng: np.random.Generator) -> tuple[int, ...]:
    """Return the cohort's units by arm without those whom a change of the split may have moved until they matured.

    Of a candidate's units those stay that lie below its lowest share since, of the baseline's those beyond the highest.
    """
    splits = [split for split in rollout.allocations if cohort.generation <= split.generation <= last.generation]
    if len(splits) == 1:
        return cohort.arms
    shares = [[share_in(split, other) for split in splits] for other in rollout.candidates]
    before = sum(MILLION - share[0] for share in shares)
    after = sum(MILLION - max(share) for share in shares)
    kept = [after / before if before else 0.0, *(min(share) / share[0] if share[0] else 0.0 for share in shares)]
    return tuple(int(rng.binomial(units, part)) for units, part in zip(cohort.arms, kept, strict=True))


def imagined(spec: UseCase, effects: Mapping[str, float]) -> tuple[dict[str, Watched], tuple[str, ...]]:
    """Return the world in which the candidate differs by `effects`, and what had to be assumed about it.

    Raises WrongCall for a metric that the rollout is not judged on and for a difference that its scale does not allow.
    """
    metrics = judged(spec)
    if unknown := [name for name in effects if name not in metrics]:
        raise WrongCall(
            f"the rollout is not judged on {unknown[0]!r}", hint=f"its goals and guardrails are {', '.join(metrics)}"
        )
    found: dict[str, Watched] = {}
    assumed: list[str] = []
    for name, metric in metrics.items():
        try:
            what = supposition(spec, metric)
            law = what.law(effects.get(name, 0.0))
        except Unplannable as fault:
            if name in effects:
                raise WrongCall(f"--effect {name}={effects[name]:g} is impossible: {fault}") from fault
            raise Refused(f"{name} cannot be played: {fault}") from fault
        assumed += [f"{name}: {said}" for said in what.assumed]
        found[name] = Watched(law, method_of(metric), metric.matures_after)
    return found, tuple(assumed)


def cohort_of(days: float) -> int:
    """Return how long a cohort lasts, in microseconds: an hour, or less where all may be over within days."""
    finest = next((size for size in _COHORTS if size / DAY <= days / _IN_A_RUN), _COHORTS[-1])
    return finest if math.isfinite(days) else _COHORTS[0]


_COHORTS = (3_600_000_000, 900_000_000, 300_000_000, 60_000_000)
_IN_A_RUN = 40
