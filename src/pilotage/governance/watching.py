"""What is kept of how a live release does, for people and programs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.watch import identity_of
from pilotage.governance import standing
from pilotage.governance.context import Text

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction


def watch_of(tx: Transaction, status: UseCaseStatus, spec: UseCase) -> dict[str, Any] | None:
    """Return how what serves does, stream by stream, as of the newest tick; None before the first one."""
    kept = tx.batches.kept(identity_of(spec, status)) if status.live else None
    if kept is None:
        return None
    drift = tx.batches.kept(f"{identity_of(spec, status)}-drift")
    found: dict[str, Any] = msgspec.json.decode(kept[2])
    return {**found, "drift": msgspec.json.decode(drift[2]) if drift else None}


def money_of(tx: Transaction, use_case: str) -> dict[str, Any] | None:
    """Return what it costs and comes to, as of the newest hour; None before the first one."""
    kept = tx.batches.kept(f"watch-{use_case}-money")
    found: dict[str, Any] | None = msgspec.json.decode(kept[2]) if kept else None
    return found


class WatchRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text


def watch_record(context: Context, _: Actor, arguments: WatchRecord) -> dict[str, Any]:
    """Return what a drill is played on: the file, the watch as it stands (base64, None before its first tick), its last ticks."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        identity = identity_of(stands.spec, stands.status)
        kept = tx.batches.kept(identity) if stands.status.live else None
        ticks = [base64.b64encode(body).decode() for _, _, body, _ in tx.batches.read(identity)] if kept else []
    return {
        "spec": stands.registered.spec,
        "live": stands.status.live,
        "watching": base64.b64encode(kept[1]).decode() if kept else None,
        "ticks": ticks,
    }
