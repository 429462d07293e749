"""Reading the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.access import Role
from pilotage.errors import Refused, Tampered, WrongCall
from pilotage.governance import anchors, checkpoint, words
from pilotage.governance.anchors import SIGNER, Anchor
from pilotage.governance.context import Text, require
from pilotage.governance.verification import verify

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context

Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries with seq > `after`, and < `before` if above 0; of one use case if named; the `newest` N only if above 0. Oldest first.

    With `spoken` people's words stand where an entry refers to them; without, entries are as their digests have them.
    """

    after: Count = 0
    before: Count = 0
    use_case: Text = ""
    newest: Count = 0
    spoken: bool = False


class LedgerVerify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`checkpoint` is one that was kept elsewhere, `key` the verifier key that was kept with it.

    `anchors` are anchors that were kept elsewhere, each [entries, digest], their signatures checked by who has them.
    """

    checkpoint: Text = ""
    key: Text = ""
    anchors: Annotated[tuple[tuple[Count, Digest], ...], msgspec.Meta(max_length=100_000)] = ()


class LedgerAnchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class LedgerCheckpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entries` above 0: as the ledger was with so many."""

    entries: Count = 0


def ledger(context: Context, actor: Actor, arguments: Ledger) -> dict[str, Any]:
    require(actor, (Role.OPERATE, Role.APPROVE), arguments.use_case)
    with context.store.read() as tx:
        entries = tx.ledger.read(
            after=arguments.after, before=arguments.before, use_case=arguments.use_case, newest=arguments.newest
        )
        found = [msgspec.structs.asdict(entry) for entry in entries]
        return {"entries": words.spoken(tx, found, actor) if arguments.spoken else found}


def ledger_verify(context: Context, _: Actor, arguments: LedgerVerify) -> dict[str, Any]:
    """Read the whole chain; raise Tampered, naming the entries and rows at fault, where it does not hold.

    With a checkpoint, or anchors, the ledger must also be a continuation of what was signed. Those that lie in places which
    can be read from here are read, and must bear this workspace's own signature.
    """
    kept = checkpoint.read(arguments.checkpoint, arguments.key) if arguments.checkpoint else None
    anchored = {Anchor(*given) for given in arguments.anchors}
    key = str(checkpoint.verifier(context.store.secret("checkpoint"), SIGNER)) if context.anchors else ""
    unread = []
    for place in context.anchors:
        lines = place.lines()
        if lines is None:
            unread.append(place.name)
            continue
        try:
            anchored.update(anchors.read(lines, key))
        except (Tampered, WrongCall) as fault:
            raise Tampered(f"{place.name}: {fault.message}", hint=fault.hint) from None
    known = len(anchored)
    if kept is not None:
        anchored.add(Anchor(kept.entries, kept.digest))
    with context.store.read() as tx:
        entries, head = verify(tx, anchored)
    told = {}
    if kept is not None:
        told["checkpoint"] = {"entries": kept.entries, "signer": kept.signer, "since": entries - kept.entries}
    return {"entries": entries, "head": head, "ok": True, "anchors": known, "unread": unread, **told}


def ledger_anchor(context: Context, _: Actor, __: LedgerAnchor) -> dict[str, Any]:
    """Anchor the ledger now, in every place that this process knows."""
    if not context.anchors:
        raise Refused(
            "there is no place to anchor the ledger in", hint="PILOTAGE_ANCHORS names files, repositories, addresses"
        )
    entries = anchors.put(context.store, context.clock, context.anchors)
    return {"entries": entries, "places": [place.name for place in context.anchors]}


def ledger_checkpoint(context: Context, _: Actor, arguments: LedgerCheckpoint) -> dict[str, Any]:
    """Sign what the ledger is now, or was with fewer entries, after verifying all of it."""
    with context.store.read() as tx:
        entries, head = verify(tx)
        if arguments.entries > entries:
            raise WrongCall(f"the ledger has {entries} entries, not {arguments.entries}", hint="give fewer, or none")
        if 0 < arguments.entries < entries:
            entries = arguments.entries
            head = next(iter(tx.ledger.read(after=entries - 1))).digest
    seed = context.store.secret("checkpoint")
    note = checkpoint.sign(seed, SIGNER, entries, head)
    return {"entries": entries, "checkpoint": note, "key": str(checkpoint.verifier(seed, SIGNER))}
