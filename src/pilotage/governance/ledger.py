"""The ledger: append-only, each entry chained to the one before by SHA-256 over its canonical JSON.

Whoever alters, removes or reorders an entry breaks the chain at a place that `verify` names. Whoever can rewrite the
whole file can rewrite the whole chain; against that, keep a copy of the head's digest elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import Tampered
from pilotage.records import LedgerEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pilotage.store.base import Transaction

GENESIS = "0" * 64
_SHOWN = 10


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Return the one way to write JSON: keys sorted, no spaces, UTF-8 as it is, no NaN (ValueError)."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(entry: LedgerEntry) -> str:
    """Return SHA-256 (64 hex digits) over the canonical JSON of every field but the digest."""
    fields = msgspec.to_builtins(entry)
    del fields["digest"]
    return hashlib.sha256(canonical(fields)).hexdigest()


def append(
    tx: Transaction, *, at: int, actor: str, action: str, detail: Mapping[str, Any], use_case: str = ""
) -> LedgerEntry:
    """Append one entry and return it. `detail` is plain data; it is stored as it will be read back."""
    seq, previous = tx.ledger.head()
    entry = LedgerEntry(
        seq=seq + 1,
        at=at,
        actor=actor,
        action=action,
        use_case=use_case,
        detail=json.loads(canonical(msgspec.to_builtins(detail))),
        previous=previous,
        digest="",
    )
    entry = msgspec.structs.replace(entry, digest=digest_of(entry))
    tx.ledger.append(entry)
    return entry


def chain_faults(entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield what is wrong with the chain, each with the seq of the entry at fault."""
    seq, previous = 0, GENESIS
    for entry in entries:
        whole = entry.digest == digest_of(entry)
        if entry.seq > seq + 1:
            gone = f"entry {seq + 1} is" if entry.seq == seq + 2 else f"entries {seq + 1} to {entry.seq - 1} are"
            yield f"{gone} missing"
        elif entry.seq <= seq:
            yield f"entry {entry.seq} stands after entry {seq}"
        elif whole and entry.previous != previous:
            yield f"entry {entry.seq} does not follow entry {seq}: one of the two was replaced"
        if not whole:
            yield f"entry {entry.seq} was altered: its digest is not that of its content"
        seq, previous = entry.seq, entry.digest


def verify(tx: Transaction) -> tuple[int, str]:
    """Return (entries, digest of the newest); raise Tampered that names every fault by its entry.

    What else the store holds must be told of in the ledger too, so that entries cut off the end are missed: the entry
    that each status stands on, and every piece of evidence, approval and key.
    """
    told: dict[str, set[str]] = {action: set() for action in ("evidence", "approve", "key_create")}
    last = (0, GENESIS)

    def seen() -> Iterator[LedgerEntry]:
        nonlocal last
        for entry in tx.ledger.read():
            if entry.action in told:
                told[entry.action].add(str(entry.detail.get("id", "")))
            last = entry.seq, entry.digest
            yield entry

    faults = [*chain_faults(seen()), *_untold(tx, last[0], told)]
    if faults:
        shown = "; ".join(faults[:_SHOWN]) + (f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else "")
        raise Tampered(
            f"the ledger does not verify: {shown}",
            hint="compare with a backup or an exported copy; decisions after the first fault cannot be trusted",
        )
    return last


def _untold(tx: Transaction, last: int, told: Mapping[str, set[str]]) -> Iterator[str]:
    for status in tx.statuses.all():
        if status.entry > last:
            yield f"entry {status.entry} is missing: the status of {status.use_case} stands on it"
        for kind, ids in (
            ("evidence", [evidence.id for evidence in tx.evidence.of(status.use_case)]),
            ("approve", [approval.id for approval in tx.approvals.of(status.use_case)]),
        ):
            for known in ids:
                if known not in told[kind]:
                    yield f"no entry tells of {kind.replace('approve', 'approval')} {known} of {status.use_case}"
    for key in tx.keys.all():
        if key.id not in told["key_create"]:
            yield f"no entry tells of key {key.id}"
