"""The gate into production's own lines: the ramp's end, and what is shown of each guardrail and goal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.criterion import CriterionResult
from pilotage.decision.demands import not_yet, numbers, waits
from pilotage.decision.parity import unequal
from pilotage.decision.verdict import Verdict, guardrails, of_goal, of_guardrail, proof_demanded
from pilotage.decision.wording import currency_of, difference_text, share_text, units_text
from pilotage.status import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.decision.parity import Parity
    from pilotage.records import Approval
    from pilotage.spec.metric import Goal, Guardrail
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus, UseCaseStatus


def rollout_criteria(
    spec: UseCase,
    status: UseCaseStatus,
    release: str,
    readings: Mapping[str, Reading],
    *,
    approvals: Sequence[Approval],
    now: int,
    parity: Mapping[str, Mapping[str, Parity]] | None = None,
) -> list[CriterionResult]:
    """Judge one candidate by its rollout; `parity` is what is known of it by group and metric."""
    rollout = status.rollout
    under_way = rollout is not None and rollout.phase in (Phase.RUNNING, Phase.PAUSED)
    if rollout is None or not under_way or release not in rollout.remaining:
        says = "No rollout of this release is running."
        opens_with = f"`pilotage promote {spec.name}` from staging starts one."
        return [CriterionResult(name="rollout", verdict=Verdict.MISSING, says=says, opens_with=opens_with)]
    found = [_ramp(spec, status, rollout, readings, approvals=approvals, now=now)]
    if spec.fairness.margins:
        found.append(_even(spec, parity or {}))
    demanded = proof_demanded(spec)
    for name, guardrail in guardrails(spec).items():
        verdict = of_guardrail(readings.get(name), demanded=demanded)
        found.append(_metric(spec, name, guardrail, readings.get(name), verdict))
    for name, goal in spec.goals.items():
        found.append(_metric(spec, name, goal, readings.get(name), of_goal(readings.get(name), demanded=demanded)))
    return found


def _ramp(
    spec: UseCase,
    status: UseCaseStatus,
    rollout: RolloutStatus,
    readings: Mapping[str, Reading],
    *,
    approvals: Sequence[Approval],
    now: int,
) -> CriterionResult:
    last = len(rollout.shares) - 1
    says = f"The candidate is at step {rollout.step + 1} of {last + 1} ({share_text(rollout.share)} of {spec.unit}s)."
    left = [*numbers(spec, rollout, readings), *waits(spec, status, rollout, approvals=approvals, now=now)]
    if status.paused:
        left.insert(0, f"it is paused (`pilotage resume {spec.name}`)")
    if rollout.step == last and not left:
        return CriterionResult(name="rollout", verdict=Verdict.PASS, says=says)
    opens_with = f"{'; '.join(left)}." if left else "The controller takes each step when its demands are met."
    return CriterionResult(name="rollout", verdict=Verdict.INCONCLUSIVE, says=says, opens_with=opens_with)


def _even(spec: UseCase, parity: Mapping[str, Mapping[str, Parity]]) -> CriterionResult:
    found = unequal(spec, parity)
    if not found:
        says = "No group is shown to be worse off than the others by more than its margin."
        return CriterionResult(name="parity", verdict=Verdict.PASS, says=says)
    opens_with = "Change the candidate so that it serves these as well, and `pilotage apply` it."
    return CriterionResult(name="parity", verdict=Verdict.FAIL, says=f"{'; '.join(found)}.", opens_with=opens_with)


def _metric(
    spec: UseCase, name: str, metric: Goal | Guardrail, reading: Reading | None, verdict: Verdict
) -> CriterionResult:
    if verdict is Verdict.WAIVED:
        says = f"{name} is a goal, and no step of the ramp demands proof of it."
        return CriterionResult(name=name, verdict=verdict, says=says)
    if reading is None:
        says = f"Nothing is known of {name} yet."
        opens_with = f"It is told as soon as {spec.unit}s have an outcome."
        return CriterionResult(name=name, verdict=verdict, says=says, opens_with=opens_with)
    says = f"{difference_text(name, metric, reading, currency_of(spec))} at {units_text(reading.units, spec)}."
    if verdict is Verdict.PASS and not reading.proved:
        says = f"{says} It is not shown worse than its margin, and no step of the ramp demands more."
    opens_with = ""
    if verdict is Verdict.INCONCLUSIVE:
        opens_with = f"{not_yet(spec, name, metric, reading)}."
    elif verdict is Verdict.FAIL:
        opens_with = f"Roll back, change the candidate and `pilotage apply` it: this one is shown to miss on {name}."
    return CriterionResult(
        name=name,
        verdict=verdict,
        says=says,
        opens_with=opens_with,
        value=reading.value,
        low=reading.low,
        high=reading.high,
        n=reading.units,
    )
