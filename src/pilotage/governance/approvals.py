"""People's yes, by four eyes: never the author's own, and nobody's twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.access import Role
from pilotage.clock import new_id
from pilotage.decision.approval import approvals_wanted, approvers, awaits_approval, step_stage
from pilotage.decision.gate import next_stage
from pilotage.errors import Conflict, Denied, Refused
from pilotage.governance import ledger, standing
from pilotage.governance.context import Text
from pilotage.records import Approval
from pilotage.status import ROAD

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.store.base import Transaction


class Approve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stage` empty: what the candidate waits for now, a step of its rollout or its next stage."""

    use_case: Text
    stage: Text = ""
    reason: Text = ""


def approve(context: Context, actor: Actor, arguments: Approve) -> dict[str, Any]:
    """Say yes to what is on its way taking one step under one charter; another release or charter needs another yes.

    Of several candidates each gets an approval and an entry of its own, so it holds for those that are left when one drops
    out, and for none that comes in later.
    """
    now = context.clock.now()
    with context.store.write() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        status = stands.status
        if not status.candidate:
            raise Refused(f"{status.use_case} has no candidate to approve", hint="apply a folder that names one")
        given = [one for one in tx.approvals.of(status.use_case) if one.release in status.candidates]
        stage = _stage(stands, given, arguments.stage)
        for release in status.candidates:
            _four_eyes(tx, actor, release)
        if actor.id in approvers(status, stage, given):
            raise Denied(f"{actor.id} has approved this already", hint="another person must say yes")
        seq = 0
        for release in status.candidates:
            approval = Approval(
                id=new_id(context.clock),
                use_case=status.use_case,
                release=release,
                charter=status.charter,
                stage=stage,
                actor=actor.id,
                role=Role.APPROVE.value,
                at=now,
                reason=arguments.reason,
            )
            tx.approvals.put(approval)
            given.append(approval)
            entry = ledger.append(
                tx,
                at=now,
                actor=actor.id,
                action="approve",
                use_case=status.use_case,
                detail=msgspec.to_builtins(approval),
            )
            seq = entry.seq
        wanted = approvals_wanted(stands.spec, stage) if stage in ROAD else 1
        return {
            "use_case": status.use_case,
            "release": status.candidate,
            "rivals": list(status.rivals),
            "stage": stage,
            "given": len(approvers(status, stage, given)),
            "wanted": wanted,
            "ledger": seq,
        }


def _stage(stands: Standing, given: list[Approval], asked: str) -> str:
    """Return what is approved; raise Conflict for a stage that the candidate does not stand before."""
    status = stands.status
    following = next_stage(status.stage).value
    if awaits_approval(stands.spec, status, given) and status.rollout is not None and asked in ("", "step"):
        return step_stage(status.rollout)
    if asked in ("", following):
        return following
    raise Conflict(
        f"{status.candidate} stands in {status.stage}, so what can be approved now is {following}, not {asked}",
        hint="approve each stage when the candidate stands before it",
    )


def _four_eyes(tx: Transaction, actor: Actor, release: str) -> None:
    if actor.id == tx.releases.author(release):
        raise Denied(
            f"{actor.id} registered {release}, and nobody approves their own release",
            hint="somebody else with the role approve must say yes, with a key of their own",
        )
