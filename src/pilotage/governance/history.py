"""Reading the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.access import Role
from pilotage.governance import checkpoint
from pilotage.governance.context import Text, require
from pilotage.governance.verification import verify

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context

SIGNER = "pilotage"
"""The name of a workspace's own key; its id and its public part tell it from others'."""
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries with seq > `after`; of one use case if named; the `newest` N only if above 0. Oldest first."""

    after: Count = 0
    use_case: Text = ""
    newest: Count = 0


class LedgerVerify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`checkpoint` is one that was kept elsewhere, `key` the verifier key that was kept with it."""

    checkpoint: Text = ""
    key: Text = ""


class LedgerCheckpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


def ledger(context: Context, actor: Actor, arguments: Ledger) -> dict[str, Any]:
    require(actor, (Role.OPERATE, Role.APPROVE), arguments.use_case)
    with context.store.read() as tx:
        entries = tx.ledger.read(after=arguments.after, use_case=arguments.use_case, newest=arguments.newest)
        return {"entries": [msgspec.structs.asdict(entry) for entry in entries]}


def ledger_verify(context: Context, _: Actor, arguments: LedgerVerify) -> dict[str, Any]:
    """Read the whole chain; raise Tampered, naming the entries and rows at fault, where it does not hold.

    With a checkpoint the ledger must also be a continuation of what was signed.
    """
    kept = checkpoint.read(arguments.checkpoint, arguments.key) if arguments.checkpoint else None
    with context.store.read() as tx:
        entries, head = verify(tx)
        since = kept.check(tx.ledger.read()) if kept else None
    told = {} if kept is None else {"checkpoint": {"entries": kept.entries, "signer": kept.signer, "since": since}}
    return {"entries": entries, "head": head, "ok": True, **told}


def ledger_checkpoint(context: Context, _: Actor, __: LedgerCheckpoint) -> dict[str, Any]:
    """Sign what the ledger is now, after verifying it."""
    with context.store.read() as tx:
        entries, head = verify(tx)
    seed = context.store.secret("checkpoint")
    note = checkpoint.sign(seed, SIGNER, entries, head)
    return {"entries": entries, "checkpoint": note, "key": str(checkpoint.verifier(seed, SIGNER))}
