"""What the proof of each metric takes, and how soon harm is stopped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from pilotage.decision.comparison import WIDE, claims_of, scale_of
from pilotage.decision.verdict import guardrails, level_today
from pilotage.decision.wording import amount_text, currency_of
from pilotage.planning.ramp import ANY, DAY, compared, rivals, stops, to_the_proof, traffic_of
from pilotage.planning.supposed import Unplannable, supposed
from pilotage.spec.metric import Guardrail
from pilotage.stats import planner
from pilotage.stats.demand import Demand

if TYPE_CHECKING:
    from pilotage.planning.supposed import Supposed
    from pilotage.spec.metric import Goal, Metric
    from pilotage.spec.use_case import UseCase
    from pilotage.stats.claim import Claim

LIKELY = 0.8
"""'80 % sure': the chance with which a real effect is shown by then."""


class Need(msgspec.Struct, frozen=True):
    """New units, days, and candidate units among them; `days` is None where no traffic is declared."""

    units: float
    candidate_units: float
    days: float | None


class AtShare(msgspec.Struct, frozen=True):
    """What is needed if the candidate had this share throughout: on average, and to be 80 % sure. None: never."""

    share: float
    variance: float
    mean: Need | None
    likely: Need | None


class Proof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one metric takes. `cannot` says why nothing could be planned.

    `ramp_mean` and `ramp_likely` are for the ramp of the file as a whole; `harm` is about a candidate that is worse by
    twice the margin. `course` is the chance of having proven it by `days`, on that ramp.
    """

    name: str
    role: Literal["goal", "guardrail"]
    claims: str
    today: float | None = None
    today_text: str = ""
    assumed: tuple[str, ...] = ()
    steps: tuple[AtShare, ...] = ()
    ramp_mean: Need | None = None
    ramp_likely: Need | None = None
    harm_at: float | None = None
    harm_at_text: str = ""
    harm: tuple[AtShare, ...] = ()
    course: planner.Course | None = None
    cannot: str = ""


def proofs(spec: UseCase) -> tuple[Proof, ...]:
    """Return what every goal and guardrail of the rollout takes, goals first."""
    goals = [proof(spec, name, goal) for name, goal in spec.goals.items()]
    return (*goals, *(proof(spec, name, guardrail) for name, guardrail in guardrails(spec).items()))


def proof(spec: UseCase, name: str, metric: Goal | Guardrail) -> Proof:
    """Return what one metric takes, or why that cannot be said."""
    role: Literal["goal", "guardrail"] = "guardrail" if isinstance(metric, Guardrail) else "goal"
    says = claim_text(spec, metric)
    try:
        what = supposition(spec, metric)
        demand = demand_of(spec, metric, what)
    except Unplannable as fault:
        return Proof(name=name, role=role, claims=says, cannot=str(fault))
    harm_at, harm = _harm(spec, metric, what) if isinstance(metric, Guardrail) else (None, ())
    course = course_of(spec, metric, demand)
    return Proof(
        name=name,
        role=role,
        claims=says,
        today=what.today,
        today_text=level_text(what.today, metric, currency_of(spec)),
        assumed=(*what.assumed, *_unsaid(spec, metric)),
        steps=_at_shares(spec, metric, demand, alpha(spec)),
        ramp_mean=need(spec, course.mean() if course else None),
        ramp_likely=need(spec, course.to(LIKELY) if course else None),
        harm_at=harm_at,
        harm_at_text="" if harm_at is None else level_text(harm_at, metric, currency_of(spec)),
        harm=harm,
        course=course,
    )


def _unsaid(spec: UseCase, metric: Goal | Guardrail) -> list[str]:
    if isinstance(metric, Guardrail) or metric.minimum_effect is not None:
        return []
    size = amount_text(scale_of(metric), metric, currency_of(spec))
    return [f"minimum_effect is not in the file: a gain of {size} is taken"]


def claim_text(spec: UseCase, metric: Goal | Guardrail) -> str:
    """Say what is to be shown: `no worse by 8 points`, `better; by 6 points or more is what matters`."""
    worse, better = ("higher", "lower") if metric.direction == "down" else ("lower", "higher")
    currency = currency_of(spec)
    if isinstance(metric, Guardrail):
        return f"not {amount_text(metric.margin, metric, currency)} {worse}" if metric.margin else f"not {worse}"
    return f"{better} (planned for {amount_text(scale_of(metric), metric, currency)})"


def level_text(level: float, metric: Metric, currency: str) -> str:
    """Say a level: `46 %` of a rate, else the amount."""
    return f"{100 * level:.3g} %" if metric.kind == "binary" else amount_text(level, metric, currency)


def supposition(spec: UseCase, metric: Goal | Guardrail) -> Supposed:
    """Return what is supposed of a metric's values; Unplannable where the file says too little."""
    if spec.status_quo is None and level_today(metric) is None:
        msg = "nothing serves today to compare with; give `today`, or name a status_quo"
        raise Unplannable(msg)
    return supposed(metric)


def alpha(spec: UseCase) -> float:
    """Return the chance of a wrong promotion that one comparison may take."""
    return spec.rollout.alpha / rivals(spec)


def harm_alpha(spec: UseCase) -> float:
    """Return the chance of a wrong rollback that one guardrail's usual bets may take; a tenth is the bets' on a cliff."""
    return (1 - WIDE) * alpha(spec) / len(guardrails(spec))


def demand_of(spec: UseCase, metric: Goal | Guardrail, what: Supposed, *, size: float | None = None) -> Demand:
    """Return the proof that a metric takes: of `size` (a goal's effect or a guardrail's margin), else of the file's own.

    A guardrail's candidate is supposed to be as good as the baseline, a goal's to gain just the smallest effect.
    """
    if isinstance(metric, Guardrail):
        if metric.margin is None:
            msg = "it has no margin, so the candidate would have to be shown better; say how much worse is acceptable (margin)"
            raise Unplannable(msg)
        guard = metric if size is None else metric.model_copy(update={"margin": size})
        return _demand(spec, claims_of(guard)[0], what, 0.0)
    goal = metric if size is None else metric.model_copy(update={"minimum_effect": size})
    effect = scale_of(goal)
    return _demand(spec, claims_of(goal)[0], what, effect if metric.direction == "up" else -effect)


def course_of(spec: UseCase, metric: Goal | Guardrail, demand: Demand) -> planner.Course | None:
    """Return the chance of having proven it over the days of the file's ramp; None where no step proves."""
    road = to_the_proof(spec)
    if road is None:
        return None
    traffic = traffic_of(spec)
    late = metric.matures_after / DAY if traffic else 0.0
    return planner.course(demand, road[0], traffic or ANY, alpha(spec), matures_after=late)


def _harm(spec: UseCase, metric: Guardrail, what: Supposed) -> tuple[float | None, tuple[AtShare, ...]]:
    """Return (level of a candidate at twice the margin, when it is stopped at each step)."""
    if metric.margin is None:
        return None, ()
    worse = -1.0 if metric.direction == "up" else 1.0
    # Where the scale ends before twice the margin, the worst that it can be.
    room = what.today - what.low if metric.direction == "up" else what.high - what.today
    effect = worse * min(2 * metric.margin, room)
    try:
        demand = _demand(spec, claims_of(metric)[1], what, effect)
    except Unplannable:
        return None, ()
    return what.today + effect, _at_shares(spec, metric, demand, harm_alpha(spec))


def _demand(spec: UseCase, claims: Claim, what: Supposed, effect: float) -> Demand:
    try:
        return Demand(
            claims,
            what.law(effect),
            what.method,
            compared=spec.status_quo is not None,
            guess=what.guess,
            known=what.known,
        )
    except Unplannable:
        raise
    except ValueError as fault:
        raise Unplannable(str(fault)) from fault


def _at_shares(spec: UseCase, metric: Goal | Guardrail, demand: Demand, at: float) -> tuple[AtShare, ...]:
    traffic = traffic_of(spec)
    late = metric.matures_after / DAY if traffic else 0.0
    found = []
    for stop in stops(spec):
        step = compared(spec, stop.share)
        course = planner.course(demand, [step], traffic or ANY, at, matures_after=late)
        variance = demand.variance(step.share)
        found.append(AtShare(stop.share, variance, need(spec, course.mean()), need(spec, course.to(LIKELY))))
    return tuple(found)


def need(spec: UseCase, plan: planner.Plan | None) -> Need | None:
    if plan is None or not math.isfinite(plan.days):
        return None
    return Need(plan.units, plan.candidate_units, plan.days if spec.traffic is not None else None)
