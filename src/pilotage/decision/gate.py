"""Gates: what stands before each stage, judged on evidence, on the rollout and on approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.charter import charter_criteria
from pilotage.decision.criterion import CriterionResult, Gate
from pilotage.decision.demands import rollout_criteria
from pilotage.decision.verdict import Verdict, of_evidence
from pilotage.decision.wording import currency_of, evidence_text, measured_text
from pilotage.spec.gates import Criterion
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.records import Approval, Evidence
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus

COMPARED = "quality_difference"
"""The one measure that is about two releases: it counts only against the release that serves now."""
FOUR_EYES = (Stage.CANARY, Stage.PRODUCTION)
"""The stages that reach users: tier high never enters them on one person's word."""
HOW = {
    Stage.POC: "pilotage evaluate {name}",
    Stage.STAGING: "pilotage evaluate {name}",
    Stage.CANARY: "pilotage rehearse {name}",
    Stage.PRODUCTION: "pilotage rehearse {name}",
}


def next_stage(stage: Stage) -> Stage:
    """Return the stage after this one; a live use case's next candidate starts the road again at poc."""
    if stage not in ROAD or stage is Stage.PRODUCTION:
        return Stage.POC
    return ROAD[ROAD.index(stage) + 1]


def gate(
    spec: UseCase,
    status: UseCaseStatus,
    stage: Stage,
    *,
    evidence: Sequence[Evidence],
    approvals: Sequence[Approval],
    now: int,
) -> Gate:
    """Judge the gate before `stage` for the candidate of `status`. Absent evidence never opens it."""
    criteria: list[CriterionResult] = []
    if stage is Stage.POC:
        criteria += charter_criteria(spec)
    if stage is Stage.PRODUCTION:
        criteria += rollout_criteria(spec, status, approvals, now)
    for measure, criterion in measured_criteria(spec, status, stage).items():
        criteria.append(_measured(spec, stage, measure, criterion, newest(evidence, status, measure)))
    wanted = approvals_wanted(spec, stage)
    if wanted:
        criteria.append(_approved(spec, status, stage, wanted, approvals))
    return Gate(stage=stage, criteria=tuple(criteria))


def measured_criteria(spec: UseCase, status: UseCaseStatus, stage: Stage) -> dict[str, Criterion]:
    """Return the bounds on evidence before a stage: the defaults of the tier, then what the file says."""
    defaults: dict[str, Criterion] = {}
    if stage is Stage.STAGING:
        if status.live:
            defaults[COMPARED] = Criterion(at_least=0.0)
        else:
            defaults["quality"] = Criterion(at_least=0.5)
        if spec.budget is not None and spec.budget.a_request is not None:
            defaults["cost"] = Criterion(at_most=spec.budget.a_request)
        if spec.tier in ("limited", "high"):
            defaults["security"] = Criterion(at_most=0.05)
            defaults["privacy"] = Criterion(at_most=0.05)
        if spec.tier == "high":
            defaults["bias"] = Criterion(at_most=0.05)
    if stage is Stage.CANARY:
        defaults["replay_errors"] = Criterion(at_most=0.02)
        limits = [guardrail.limit for guardrail in spec.guardrails.values() if guardrail.limit]
        if limits:
            defaults["replay_latency"] = Criterion(at_most=min(limits) / 1_000_000)
    return {**defaults, **getattr(spec.gates, stage.value, {})}


def newest(evidence: Sequence[Evidence], status: UseCaseStatus, measure: str) -> tuple[Evidence | None, str]:
    """Return the newest evidence on a measure that counts for the candidate, or None and why what there is does not.

    It counts when it is about this release, was measured under this charter and, for a comparison, against the
    release that serves now.
    """
    why_not = ""
    for item in sorted(evidence, key=lambda item: (item.at, item.id), reverse=True):
        if item.measure != measure or item.release != status.candidate:
            continue
        if item.charter != status.charter:
            why_not = why_not or "what was measured is void, for the charter has changed since"
        elif measure == COMPARED and item.baseline != status.live:
            why_not = why_not or f"it was compared with {item.baseline or 'nothing'}, and {status.live} serves now"
        else:
            return item, ""
    return None, why_not


def _measured(
    spec: UseCase, stage: Stage, measure: str, criterion: Criterion, newest_of: tuple[Evidence | None, str]
) -> CriterionResult:
    found, why_not = newest_of
    verdict = of_evidence(criterion, found)
    currency = currency_of(spec)
    bound = criterion.at_most if criterion.at_least is None else criterion.at_least
    wanted = (
        f"{'at most' if criterion.at_least is None else 'at least'} {measured_text(measure, bound or 0.0, currency)}"
    )
    how = HOW[stage].format(name=spec.name)
    if found is None:
        says = f"{measure} must be {wanted}; {why_not or 'it has not been measured for this release'}."
        return CriterionResult(name=measure, verdict=verdict, says=says, opens_with=f"Run `{how}`.")
    said = {
        Verdict.PASS: "all of the interval is",
        Verdict.FAIL: "none of the interval is",
    }.get(verdict, "not all of the interval is, so this is not yet known")
    says = f"{evidence_text(found, currency)}; it must be {wanted}: {said}."
    if verdict is Verdict.PASS:
        opens_with = ""
    elif verdict is Verdict.FAIL:
        opens_with = f"Change the candidate and `pilotage apply` it; `{how}` then measures the new release."
    else:
        opens_with = f"Measure on more cases, which narrows the interval: add cases, then run `{how}`."
    return CriterionResult(
        name=measure,
        verdict=verdict,
        says=says,
        opens_with=opens_with,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        evidence=found.id,
    )


def approvals_wanted(spec: UseCase, stage: str) -> int:
    """Return how many people must say yes before a stage: what the file asks for, and in tier high at least one."""
    least = 1 if spec.tier == "high" and stage in FOUR_EYES else 0
    return max(least, getattr(spec.approvals, stage, 0))


def approvers(status: UseCaseStatus, stage: str, approvals: Sequence[Approval]) -> set[str]:
    """Return who said yes to this candidate entering `stage` under this charter."""
    return {
        approval.actor
        for approval in approvals
        if (approval.release, approval.charter, approval.stage) == (status.candidate, status.charter, stage)
    }


def _approved(
    spec: UseCase, status: UseCaseStatus, stage: Stage, wanted: int, approvals: Sequence[Approval]
) -> CriterionResult:
    given = len(approvers(status, stage.value, approvals))
    people = "person" if wanted == 1 else "people"
    says = f"{given} of {wanted} {people} approved this release for {stage}."
    if given >= wanted:
        return CriterionResult(name="approvals", verdict=Verdict.PASS, says=says, value=given)
    opens_with = f"{wanted - given} more must run `pilotage approve {spec.name}`; the release's author cannot."
    return CriterionResult(name="approvals", verdict=Verdict.MISSING, says=says, opens_with=opens_with, value=given)
