"""The controller's decisions, written down as they are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.transition import follow
from pilotage.errors import Conflict
from pilotage.governance import standing

if TYPE_CHECKING:
    from pilotage.decision.observation import Observation
    from pilotage.governance.context import Context
    from pilotage.records import LedgerEntry
    from pilotage.status import Decision, UseCaseStatus


def record_decision(
    context: Context, status: UseCaseStatus, decision: Decision, observation: Observation | None = None
) -> LedgerEntry:
    """Do what was decided on `status`, and put it and what it was decided on into the ledger, in one transaction.

    Raise Conflict, with nothing done, where the status has moved on since: the next tick then sees the new one.
    """
    with context.store.write() as tx:
        now = standing.standing(tx, status.use_case, serving=True).status
        if now.version != status.version:
            raise Conflict(
                f"{status.use_case} is at version {now.version}, and this was decided on version {status.version}",
                hint="observe and decide again",
            )
        after = follow(now, decision)
        detail = {
            "release": now.candidate,
            "reason": decision.reason,
            "rollout": now.rollout.id if now.rollout else "",
            "decision": msgspec.to_builtins(decision.detail),
            "observation": msgspec.to_builtins(observation) if observation else None,
        }
        return standing.write(
            tx, after, at=decision.at, actor=decision.actor, action=decision.action.value, detail=detail
        )
