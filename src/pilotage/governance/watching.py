"""What is kept of how a live release does, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.watch import identity_of

if TYPE_CHECKING:
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base import Transaction


def watch_of(tx: Transaction, status: UseCaseStatus, spec: UseCase) -> dict[str, Any] | None:
    """Return how what serves does, stream by stream, as of the newest tick; None before the first one."""
    kept = tx.batches.kept(identity_of(spec, status)) if status.live else None
    if kept is None:
        return None
    found: dict[str, Any] = msgspec.json.decode(kept[2])
    return found
