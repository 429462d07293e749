"""Reading the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.access import Role
from pilotage.governance.context import Text, require
from pilotage.governance.verification import verify

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context

Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries with seq > `after`; of one use case if named; the `newest` N only if above 0. Oldest first."""

    after: Count = 0
    use_case: Text = ""
    newest: Count = 0


class LedgerVerify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


def ledger(context: Context, actor: Actor, arguments: Ledger) -> dict[str, Any]:
    require(actor, (Role.OPERATE, Role.APPROVE), arguments.use_case)
    with context.store.read() as tx:
        entries = tx.ledger.read(after=arguments.after, use_case=arguments.use_case, newest=arguments.newest)
        return {"entries": [msgspec.structs.asdict(entry) for entry in entries]}


def ledger_verify(context: Context, _: Actor, __: LedgerVerify) -> dict[str, Any]:
    """Read the whole chain; raise Tampered, naming the entries and rows at fault, where it does not hold."""
    with context.store.read() as tx:
        entries, head = verify(tx)
    return {"entries": entries, "head": head, "ok": True}
