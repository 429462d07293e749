"""Who must say yes to what, and who did."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from pilotage.status import Phase, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pilotage.decision.rules import Rules
    from pilotage.records import Approval, Evidence
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus, UseCaseStatus

FOUR_EYES = (Stage.CANARY, Stage.PRODUCTION)
"""The stages that reach users: tier high never enters them on one person's word."""


def approvals_wanted(spec: UseCase, stage: str, rules: Rules) -> int:
    """Return how many people must say yes: what the file asks for, the organisation, and in tier high at least one."""
    least = 1 if spec.tier == "high" and stage in FOUR_EYES else 0
    named = 1 if rules.approvers.get(stage) else 0
    return max(least, named, getattr(spec.approvals, stage, 0), rules.approvals.get(stage, 0))


def digest_of(evidence: Iterable[Evidence]) -> str:
    """Return 16 hex digits over what was measured, the same in whatever order it comes; empty for nothing."""
    parts = sorted(
        (fact.measure, fact.id, fact.release, fact.value, fact.low, fact.high, fact.n, fact.data) for fact in evidence
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16] if parts else ""


def in_force(approvals: Sequence[Approval], now: int) -> list[Approval]:
    """Return the approvals that stand at `now`: given by then, not expired, not withdrawn."""
    withdrawn = {approval.withdraws for approval in approvals if approval.withdraws}
    return [
        approval
        for approval in approvals
        if not approval.withdraws
        and approval.id not in withdrawn
        and approval.at <= now
        and not (approval.expires and now >= approval.expires)
    ]


def approvers(
    status: UseCaseStatus,
    stage: str,
    approvals: Sequence[Approval],
    *,
    now: int,
    grounds: Mapping[str, str] | None = None,
) -> set[str]:
    """Return which people said yes to `stage` under this charter, for every candidate that is on its way.

    An approval is for one release, so a yes to several candidates is one for each: it goes on counting for those that
    are left when one drops out, and does not count where another one has come in since. `grounds` are by release the
    digests of what is measured now; a yes to other evidence does not count. Nor does that of somebody whose key came from
    another who said yes: two keys of one hand are one person.
    """
    found: set[str] | None = None
    given = [approval for approval in in_force(approvals, now) if not approval.waives]
    for release in status.candidates:
        wanted = (release, status.charter, stage, (grounds or {}).get(release, ""))
        those = {
            approval.person or approval.actor: approval.makers
            for approval in given
            if (approval.release, approval.charter, approval.stage, approval.evidence) == wanted
        }
        independent = {person for person, makers in those.items() if not (those.keys() - {person}) & set(makers)}
        found = independent if found is None else found & independent
    return found or set()


def waivers(
    status: UseCaseStatus, stage: str, release: str, approvals: Sequence[Approval], now: int
) -> dict[str, Approval]:
    """Return by criterion the newest waiver in force for one candidate before a stage."""
    return {
        approval.waives: approval
        for approval in in_force(approvals, now)
        if approval.waives and (approval.release, approval.charter, approval.stage) == (release, status.charter, stage)
    }


def step_stage(rollout: RolloutStatus) -> str:
    """Return what an approval names as its stage when it lets this rollout leave its present step."""
    return f"{rollout.id}/step-{rollout.step + 1}"


def step_approved(status: UseCaseStatus, rollout: RolloutStatus, approvals: Sequence[Approval], now: int) -> bool:
    return bool(approvers(status, step_stage(rollout), approvals, now=now))


def awaits_approval(spec: UseCase, status: UseCaseStatus, approvals: Sequence[Approval], now: int) -> bool:
    """Return whether the rollout's present step may only be left with somebody's yes, which nobody has given."""
    rollout = status.rollout
    if rollout is None or rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
        return False
    return "approve" in spec.rollout.steps[rollout.step].demands and not step_approved(status, rollout, approvals, now)
