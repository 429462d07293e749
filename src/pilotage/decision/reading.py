"""What a comparison says in figures: valid at whatever moment it is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.forecast import needed
from pilotage.decision.stratum import difference
from pilotage.decision.verdict import guardrails, proof_demanded
from pilotage.spec.metric import Guardrail
from pilotage.stats.claim import threshold
from pilotage.status import Reading

if TYPE_CHECKING:
    from pilotage.decision.comparison import Comparison
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus


class Lines(msgspec.Struct, frozen=True):
    """The log e-values at which claims count as shown, and the error rate of what is displayed.

    All candidates share alpha. A proof needs every guardrail and goal, so no metric's line is higher for the others'
    sake; harm in any guardrail is enough, so those share it; futility in any goal, so those share beta.
    """

    alpha: float
    proof: float
    harm: float
    futile: float


def lines(spec: UseCase, rollout: RolloutStatus) -> Lines:
    """Return the lines of one rollout. Goals are never futile where no step demands proof of them."""
    k = len(rollout.candidates)
    alpha = spec.rollout.alpha / k
    beta = spec.rollout.beta / (k * max(1, len(spec.goals)))
    return Lines(
        alpha,
        threshold(alpha),
        threshold(alpha / len(guardrails(spec))),
        threshold(beta) if proof_demanded(spec) else math.inf,
    )


def reading(
    metric: Goal | Guardrail, known: Comparison, at: Lines, rollout: RolloutStatus, *, release: str, now: int
) -> Reading | None:
    """Return what is known of one candidate in one metric; None before anything can be said."""
    against, units = known.units
    # Each end at the rate of one claim, so that what is seen is what is decided by.
    interval = known.sequence.interval(2 * at.alpha)
    if interval is None or not units + against:
        return None
    value = difference(known.strata, known.level)
    if value is None:
        # One side has nobody yet: all that can be said is what lies within bounds.
        value = sum(interval) / 2
    harmful = isinstance(metric, Guardrail)
    return Reading(
        at=now,
        step=rollout.step,
        units=units,
        against=against,
        here=known.here.get(rollout.step, 0),
        value=value,
        low=min(interval[0], value),
        high=max(interval[1], value),
        log_proof=known.log_proof,
        log_against=known.log_against,
        needed=needed(metric, known, rollout, release, at.proof),
        proved=known.proof_peak >= at.proof,
        harmed=harmful and known.against_peak >= at.harm,
        futile=not harmful and known.against_peak >= at.futile,
    )
