"""The ledger: append-only, each entry chained to the one before by SHA-256 over its canonical JSON.

Whoever alters, removes or reorders an entry breaks the chain at a place that `chain_faults` names. Whoever can rewrite
the whole file can rewrite the whole chain; against that, keep a copy of the head's digest elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.records import LedgerEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pilotage.store.base.transaction import Transaction

GENESIS = "0" * 64


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Return the one way to write JSON: keys sorted, no spaces, UTF-8 as it is, no NaN (ValueError)."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(entry: LedgerEntry) -> str:
    """Return SHA-256 (64 hex digits) over the canonical JSON of every field but the digest."""
    fields = msgspec.to_builtins(entry)
    del fields["digest"]
    return hashlib.sha256(canonical(fields)).hexdigest()


def is_whole(entry: LedgerEntry) -> bool:
    """Return whether an entry's digest is that of its content.

    msgspec's sorted JSON is nearly always the canonical one, and comes several times as fast. A digest of either can only be
    that of this content; where the two differ (some fractions), the canonical one decides.
    """
    content = _Content(entry.seq, entry.at, entry.actor, entry.action, entry.use_case, entry.detail, entry.previous)
    return hashlib.sha256(_sorted(content)).hexdigest() == entry.digest or digest_of(entry) == entry.digest


class _Content(msgspec.Struct, frozen=True, gc=False):
    """What a digest is over."""

    seq: int
    at: int
    actor: str
    action: str
    use_case: str
    detail: dict[str, Any]
    previous: str


_sorted = msgspec.json.Encoder(order="sorted").encode


def fingerprint(row: msgspec.Struct) -> str:
    """Return SHA-256 (64 hex digits) over a row as it is read back, for an entry to vouch for the row with."""
    stored = msgspec.json.decode(msgspec.json.encode(row), type=type(row))
    return hashlib.sha256(canonical(msgspec.to_builtins(stored))).hexdigest()


def append(
    tx: Transaction, *, at: int, actor: str, action: str, detail: Mapping[str, Any], use_case: str = ""
) -> LedgerEntry:
    """Append one entry and return it. `detail` is plain data; it is stored as it will be read back.

    No entry is older than the one before it, so that a clock that is set back does not take the ledger's time with it.
    """
    newest = next(iter(tx.ledger.read(newest=1)), None)
    seq, previous = (newest.seq, newest.digest) if newest is not None else (0, GENESIS)
    entry = LedgerEntry(
        seq=seq + 1,
        at=at if newest is None else max(at, newest.at),
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
        whole = is_whole(entry)
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
