"""Who must say yes to what, and who did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.status import Phase, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.records import Approval
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus, UseCaseStatus

FOUR_EYES = (Stage.CANARY, Stage.PRODUCTION)
"""The stages that reach users: tier high never enters them on one person's word."""


def approvals_wanted(spec: UseCase, stage: str) -> int:
    """Return how many people must say yes before a stage: what the file asks for, and in tier high at least one."""
    least = 1 if spec.tier == "high" and stage in FOUR_EYES else 0
    return max(least, getattr(spec.approvals, stage, 0))


def approvers(status: UseCaseStatus, stage: str, approvals: Sequence[Approval]) -> set[str]:
    """Return who said yes to `stage` under this charter, for every candidate that is on its way.

    An approval is for one release, so a yes to several candidates is one for each: it goes on counting for those that
    are left when one drops out, and does not count where another one has come in since.
    """
    found: set[str] | None = None
    for release in status.candidates:
        given = {
            approval.actor
            for approval in approvals
            if (approval.release, approval.charter, approval.stage) == (release, status.charter, stage)
        }
        found = given if found is None else found & given
    return found or set()


def step_stage(rollout: RolloutStatus) -> str:
    """Return what an approval names as its stage when it lets this rollout leave its present step."""
    return f"{rollout.id}/step-{rollout.step + 1}"


def step_approved(status: UseCaseStatus, rollout: RolloutStatus, approvals: Sequence[Approval]) -> bool:
    return bool(approvers(status, step_stage(rollout), approvals))


def awaits_approval(spec: UseCase, status: UseCaseStatus, approvals: Sequence[Approval]) -> bool:
    """Return whether the rollout's present step may only be left with somebody's yes, which nobody has given."""
    rollout = status.rollout
    if rollout is None or rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
        return False
    return "approve" in spec.rollout.steps[rollout.step].demands and not step_approved(status, rollout, approvals)
