"""Planned looks at a rollout's metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pilotage.decision.verdict import guardrails, judged, level_today, proof_demanded
from pilotage.spec.metric import Guardrail
from pilotage.stats import looks
from pilotage.stats.stratified import against, difference
from pilotage.status import Reading

if TYPE_CHECKING:
    from pilotage.decision.observation import Observation, Stratum
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase
    from pilotage.stats.stratified import Estimate
    from pilotage.status import RolloutStatus


def look(spec: UseCase, rollout: RolloutStatus, observation: Observation, now: int) -> dict[str, Reading]:
    """Return a reading for each metric at which a planned look is due: none, most of the time."""
    found = {}
    harm_alpha = spec.rollout.alpha / len(guardrails(spec))
    futile_alpha = spec.rollout.alpha / max(1, len(spec.goals)) if proof_demanded(spec) else 0.0
    for name, metric in judged(spec).items():
        if name in observation.unheard:
            continue
        strata = observation.metrics.get(name, ())
        units = sum(stratum.candidate.matured for stratum in strata)
        index = looks.due(units, rollout.looks.get(name, 0))
        if index is None:
            continue
        here = sum(stratum.candidate.matured for stratum in strata if stratum.step == rollout.step)
        estimate = _estimate(metric, strata, compared=bool(rollout.baseline))
        if estimate is None:
            continue
        if isinstance(metric, Guardrail):
            proved, harmed = _guardrail(metric, estimate, index, spec.rollout.alpha, harm_alpha)
            futile = False
        else:
            proved, futile = _goal(metric, estimate, index, spec.rollout.alpha, futile_alpha)
            harmed = False
        alpha = looks.spent(index, spec.rollout.alpha)
        found[name] = Reading(
            look=index,
            at=now,
            # A look at units of earlier steps alone says nothing of this one, whenever it was taken.
            step=rollout.step if here >= spec.rollout.minimum_units else rollout.step - 1,
            units=units,
            against=estimate.baseline,
            value=estimate.value,
            low=estimate.low(alpha),
            high=estimate.high(alpha),
            proved=proved,
            harmed=harmed,
            futile=futile,
        )
    return found


def _estimate(metric: Goal | Guardrail, strata: tuple[Stratum, ...], *, compared: bool) -> Estimate | None:
    low, high = metric.bounds
    bounded = metric.kind in ("binary", "rating") and math.isfinite(low) and math.isfinite(high)
    bounds = (low, high) if bounded else None
    if compared:
        return difference(strata, bounds)
    level = level_today(metric)
    return None if level is None else against(strata, level, bounds)


def _guardrail(metric: Guardrail, estimate: Estimate, index: int, alpha: float, harm_alpha: float) -> tuple[bool, bool]:
    """Return (shown no worse than the margin, shown harmful)."""
    margin = metric.margin or 0.0
    harm_at = -margin if metric.rollback_at == "margin" else 0.0
    worst, _ = _turned(metric, estimate, looks.spent(index, alpha))
    _, best = _turned(metric, estimate, looks.spent(index, harm_alpha))
    return worst > -margin, best < harm_at


def _goal(metric: Goal, estimate: Estimate, index: int, alpha: float, futile_alpha: float) -> tuple[bool, bool]:
    """Return (shown better, shown to miss the smallest effect that matters)."""
    worst, _ = _turned(metric, estimate, looks.spent(index, alpha))
    proved = worst > 0
    if proved or not futile_alpha:
        return proved, False
    _, best = _turned(metric, estimate, looks.spent(index, futile_alpha))
    return False, best < (metric.minimum_effect or 0.0)


def _turned(metric: Goal | Guardrail, estimate: Estimate, alpha: float) -> tuple[float, float]:
    """Return (worst, best) difference, turned so that more is better."""
    if metric.direction == "up":
        return estimate.low(alpha), estimate.high(alpha)
    return -estimate.high(alpha), -estimate.low(alpha)
