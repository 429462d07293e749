"""The controller's decisions, written down as they are done, with all that it takes to make each of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.decision.observation import Observation
from pilotage.decision.transition import follow
from pilotage.errors import Conflict
from pilotage.governance import standing
from pilotage.governance.batches import Link
from pilotage.governance.ledger import canonical
from pilotage.status import UseCaseStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.governance.standing import Standing
    from pilotage.records import Approval, Evidence, LedgerEntry
    from pilotage.status import Decision
    from pilotage.store.base.transaction import Transaction

MADE_ON = "made_on"
"""Where an entry says what its decision was made on."""


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision was made on, beside its time: the batches up to a link, the status as it was before, the rest.

    `spec` is the digest of the blob that holds the use case's validated file; `approvals` and `evidence` are ids.
    """

    batches: Link
    before: UseCaseStatus
    spec: str
    observation: Observation
    approvals: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


class Seen(NamedTuple):
    """What the controller had before it when it decided."""

    batches: Link
    observation: Observation
    approvals: Sequence[Approval] = ()
    evidence: Sequence[Evidence] = ()


def record_decision(tx: Transaction, status: UseCaseStatus, decision: Decision, seen: Seen) -> LedgerEntry:
    """Do what was decided on `status`, and put it and what it was decided on into the ledger.

    Raise Conflict where the status has moved on since: leave the transaction, and decide on the new one.
    """
    stands = standing.standing(tx, status.use_case, serving=True)
    if stands.status.version != status.version:
        raise Conflict(
            f"{status.use_case} is at version {stands.status.version}, and this was decided on version {status.version}",
            hint="observe and decide again",
        )
    after = follow(stands.status, decision)
    detail = {
        "release": status.candidate,
        "reason": decision.reason,
        "rollout": status.rollout.id if status.rollout else "",
        "decision": decision.detail,
        MADE_ON: _grounds(tx, stands, seen),
    }
    return standing.write(tx, after, at=decision.at, actor=decision.actor, action=decision.action.value, detail=detail)


def _grounds(tx: Transaction, stands: Standing, seen: Seen) -> dict[str, Any]:
    grounds = Grounds(
        batches=seen.batches,
        before=stands.status,
        # Registering again replaces the file; what this was judged by is needed for good.
        spec=tx.blobs.put(canonical(stands.registered.spec)),
        observation=seen.observation,
        approvals=tuple(approval.id for approval in seen.approvals),
        evidence=tuple(fact.id for fact in seen.evidence),
    )
    found: dict[str, Any] = msgspec.to_builtins(grounds)
    return found
