"""The ramp as a whole: when everything that it demands will have been shown, and what the traffic can show at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.planning.proof import LIKELY, Need, course_of, demand_of, need, supposition
from pilotage.planning.ramp import ANY, DAY, compared, stops, to_the_proof, traffic_of
from pilotage.planning.supposed import Unplannable
from pilotage.spec.metric import Guardrail
from pilotage.stats import planner

if TYPE_CHECKING:
    from pilotage.planning.proof import Proof
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase

_ROUNDS = 8
_CLOSE = 0.01


class Whole(msgspec.Struct, frozen=True):
    """Until the ramp ends with a promotion: on average, and to be 80 % sure. None: not within ten years."""

    mean: Need | None
    likely: Need | None


def whole(spec: UseCase, found: tuple[Proof, ...]) -> Whole | None:
    """Return when every claim will have been shown, taken as independent; None where some metric cannot be planned."""
    traffic = traffic_of(spec) or ANY
    road = to_the_proof(spec)
    if road is None:
        lasts = sum(stop.days or 0.0 for stop in stops(spec))
        steps = [compared(spec, stop.share, stop.days or 1.0) for stop in stops(spec)]
        end = _end(spec, steps, traffic, lasts, 0.0) if spec.traffic else None
        return Whole(end, end) if end else None
    courses = [one.course for one in found]
    known = [course for course in courses if course is not None]
    if not known or len(known) < len(courses):
        return None
    steps, rest = road
    earlier = sum(step.days for step in steps[:-1])
    last = next(stop.days for stop in stops(spec) if stop.proves)
    least = earlier + (last or 0.0)
    if spec.traffic:
        least = max(least, spec.rollout.minimum_duration / DAY)
    days = np.unique(np.concatenate([course.days for course in known] + [[least]]))
    each = np.stack([np.interp(days, course.days, course.chance, left=0.0) for course in known])
    chance = np.where(days >= least, each.prod(axis=0), 0.0)
    likely = float(days[int(np.argmax(chance >= LIKELY))]) if chance[-1] >= LIKELY else None
    gained = np.diff(chance, prepend=0.0)
    mean = float(gained @ days / gained.sum()) if chance[-1] >= 0.97 else None
    return Whole(_end(spec, steps, traffic, mean, rest), _end(spec, steps, traffic, likely, rest))


def provable(spec: UseCase, metric: Goal | Guardrail, days: float) -> float | None:
    """Return the smallest effect (of a goal) or margin (of a guardrail) that these days prove with 80 %, on this ramp.

    The bets are taken to be set for it, as they are where the file declares it. None: nothing on this scale, or no traffic.
    """
    if spec.traffic is None or to_the_proof(spec) is None:
        return None
    try:
        what = supposition(spec, metric)
        size = _first(metric, what.deviation())
        for _ in range(_ROUNDS):
            needed = _likely(spec, metric, size)
            if needed is None:
                size *= 2
                continue
            late = metric.matures_after / DAY
            spare, took = max(days - late, 1e-6), max(needed - late, 1e-6)
            # Units grow with the square of 1 / size.
            factor = min(max(math.sqrt(took / spare), 0.25), 4.0)
            size *= factor
            if abs(factor - 1) < _CLOSE:
                return size
    except Unplannable:
        return None
    return None


def _first(metric: Goal | Guardrail, deviation: float) -> float:
    given = metric.margin if isinstance(metric, Guardrail) else metric.minimum_effect
    return given or deviation / 10


def _likely(spec: UseCase, metric: Goal | Guardrail, size: float) -> float | None:
    demand = demand_of(spec, metric, supposition(spec, metric), size=size)
    course = course_of(spec, metric, demand)
    plan = course.to(LIKELY) if course else None
    return plan.days if plan else None


def _end(
    spec: UseCase, steps: list[planner.Step], traffic: planner.Traffic, days: float | None, rest: float
) -> Need | None:
    """Return what has been needed once the proof was there after `days`, and the steps after it lasted `rest`."""
    if days is None:
        return None
    exposed = planner.exposed(steps, traffic, days)
    return need(spec, planner.Plan(days + rest, traffic.new_units(days + rest), exposed))
