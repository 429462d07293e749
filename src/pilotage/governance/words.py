"""People's own words, such as the reason for an approval: apart from the ledger, which holds a reference to each.

A reference is `words:` and SHA-256 over 32 random bytes and the text. So the chain vouches for the words while they are
there, they can be erased without touching it, and then nobody can guess what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.access import Role
from pilotage.errors import GateClosed, NotFound
from pilotage.governance import ledger
from pilotage.governance.context import Text, moment, require
from pilotage.report.words import REFERENCE, replaced

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.store.base.transaction import Transaction

FIELDS = ("reason", "note")
"""Where entries refer to words."""
_GONE = "(erased)"


class LedgerForget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seq` is the entry whose words are to be erased. The reason names nobody."""

    seq: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    reason: Text = ""


def apart(tx: Transaction, text: str, use_case: str = "") -> str:
    """Keep words apart and return the reference that stands for them everywhere else; empty for none."""
    return tx.words.put(use_case, text) if text else ""


def referred(detail: dict[str, Any]) -> list[str]:
    """Return the words that an entry's detail refers to."""
    found = (detail.get(field) for field in FIELDS)
    return [text for text in found if isinstance(text, str) and REFERENCE.fullmatch(text)]


def spoken(tx: Transaction, data: Any, actor: Actor) -> Any:
    """Return plain JSON data with the words in place of every reference to such as the actor may read."""
    return replaced(data, lambda reference: _read(tx, reference, actor))


def beside(tx: Transaction, facts: dict[str, Any], actor: Actor) -> dict[str, Any]:
    """Return facts as they are, with `words` by reference: those of which the actor may read."""
    found: dict[str, str] = {}

    def note(reference: str) -> str:
        found[reference] = _read(tx, reference, actor)
        return reference

    return {**replaced(facts, note), "words": found}


def _read(tx: Transaction, reference: str, actor: Actor) -> str:
    kept = tx.words.get(reference)
    if kept is None:
        return _GONE
    may = any(actor.allows(role, kept.use_case) for role in (Role.OPERATE, Role.APPROVE))
    return kept.text if may or not kept.use_case else reference


def text_of(tx: Transaction, text: str) -> str:
    """Return the words that a text refers to; the text itself where it is no reference."""
    kept = tx.words.get(text) if REFERENCE.fullmatch(text) else None
    return kept.text if kept is not None else REFERENCE.sub(_GONE, text)


def said(tx: Transaction, fault: GateClosed, actor: Actor) -> GateClosed:
    """Return a closed gate with people's words in it."""
    return GateClosed(spoken(tx, fault.message, actor), gate=spoken(tx, fault.gate, actor), hint=fault.hint)


def ledger_forget(context: Context, actor: Actor, arguments: LedgerForget) -> dict[str, Any]:
    """Erase the words that an entry refers to; the entry stays, and another one says that they were erased."""
    with context.store.write() as tx:
        entry = next(iter(tx.ledger.read(after=arguments.seq - 1)), None)
        if entry is None or entry.seq != arguments.seq:
            raise NotFound(f"there is no entry {arguments.seq}", hint="`pilotage ledger show` lists the newest")
        require(actor, (Role.ADMIN,), entry.use_case)
        gone = [reference for reference in referred(entry.detail) if tx.words.erase(reference)]
        if not gone:
            hint = "it has none, they were erased, or it is of a version that wrote them into the entry itself"
            raise NotFound(f"no words are kept for entry {entry.seq}", hint=hint)
        reason = apart(tx, arguments.reason, entry.use_case)
        detail = {"entry": entry.seq, "words": gone, "reason": reason}
        seq = ledger.append(
            tx, at=moment(context, tx), actor=actor.id, action="words_erased", use_case=entry.use_case, detail=detail
        ).seq
    return {"entry": entry.seq, "erased": len(gone), "ledger": seq}
