"""Where one use case stands, read and written whole: its file, its status, the ledger entry that says why, its route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import NotFound, Refused
from pilotage.governance import ledger, serving_row
from pilotage.spec.use_case import UseCase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.records import LedgerEntry
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.registered import Registered
    from pilotage.store.base.transaction import Transaction


class Standing(msgspec.Struct, frozen=True):
    registered: Registered
    spec: UseCase
    status: UseCaseStatus


def spec_of(registered: Registered) -> UseCase:
    """Return the use case as it was loaded when it was registered."""
    return UseCase.model_validate(registered.spec)


def standing(tx: Transaction, name: str, *, serving: bool = False) -> Standing:
    """Return where a use case stands; raise NotFound, or Refused where it must not be retired (`serving`)."""
    registered, status = tx.use_cases.get(name), tx.statuses.get(name)
    if registered is None or status is None:
        known = ", ".join(tx.use_cases.names()) or "none yet"
        raise NotFound(
            f"there is no use case {name!r}", hint=f"registered: {known}; `pilotage apply DIR` registers one"
        )
    if serving and status.retired:
        raise Refused(f"{name} is retired", hint="register the folder under another name to begin again")
    return Standing(registered, spec_of(registered), status)


def write(
    tx: Transaction, status: UseCaseStatus, *, at: int, actor: str, action: str, detail: Mapping[str, Any]
) -> LedgerEntry:
    """Write a status that is one version on, the entry that says why, and the route that the workers then follow.

    Raise Conflict where somebody else wrote first.
    """
    seq, _ = tx.ledger.head()
    status = msgspec.structs.replace(status, entry=seq + 1)
    tx.statuses.put(status)
    vouched = {**detail, "status": ledger.fingerprint(status)}
    entry = ledger.append(tx, at=at, actor=actor, action=action, use_case=status.use_case, detail=vouched)
    registered = tx.use_cases.get(status.use_case)
    if registered is None:
        raise NotFound(f"there is no use case {status.use_case!r}")
    tx.serving.put(status.use_case, serving_row.compile_route(tx, status, registered, spec_of(registered)))
    return entry
