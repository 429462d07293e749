"""A rollout's batches as the chain that they are: each one's digest is over the one before and its own bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.decision.batch import Batch
from pilotage.errors import Tampered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.store.base.transaction import Transaction

encode = msgspec.msgpack.Encoder().encode
_batch = msgspec.msgpack.Decoder(Batch)


class _At(msgspec.Struct):
    at: int


_at = msgspec.msgpack.Decoder(_At)


class Row(NamedTuple):
    seq: int
    at: int
    body: bytes
    digest: str


class Link(NamedTuple):
    """The chain up to one batch: a ledger entry that holds it vouches for every batch so far."""

    seq: int = 0
    digest: str = ""

    def to(self, body: bytes) -> Link:
        """Return the chain with one more batch."""
        return Link(self.seq + 1, hashlib.sha256(self.digest.encode() + body).hexdigest())


def recorded(tx: Transaction, rollout: str, after: Link, *, until: int | None = None) -> Iterator[tuple[Link, Batch]]:
    """Yield each batch after a link with the link it makes; raise Tampered where the chain does not hold."""
    link = after
    for seq, at, body, digest in tx.batches.read(rollout, after=after.seq, until=until):
        link = link.to(body)
        if fault := _fault(rollout, link, Row(seq, at, body, digest)):
            raise Tampered(fault, hint="what was computed from it cannot be trusted: compare with a backup")
        yield link, _batch.decode(body)


def chain_faults(tx: Transaction, rollout: str, told: Mapping[int, str]) -> Iterator[str]:
    """Yield what is wrong with a rollout's batches; `told` are the digests that the ledger's entries name, by seq."""
    link = Link()
    for seq, at, body, digest in tx.batches.read(rollout):
        link = link.to(body)
        if fault := _fault(rollout, link, Row(seq, at, body, digest)):
            yield fault
            return
        if told.get(seq, digest) != digest:
            yield f"the batches up to {seq} of rollout {rollout} are not those that the ledger tells of"
            return
    last = max(told, default=0)
    if link.seq < last:
        gone = f"batch {last} is" if link.seq == last - 1 else f"batches {link.seq + 1} to {last} are"
        yield f"{gone} missing from the end of rollout {rollout}"


def _fault(rollout: str, link: Link, row: Row) -> str:
    """Return what is wrong with one row, given the link that its body makes; empty where nothing is."""
    if row.seq != link.seq:
        return f"batch {link.seq} of rollout {rollout} is missing"
    if row.digest != link.digest:
        return f"batch {row.seq} of rollout {rollout} was altered: its digest is not that of its content"
    try:
        same = _at.decode(row.body).at == row.at
    except msgspec.MsgspecError as fault:
        return f"batch {row.seq} of rollout {rollout} cannot be read: {fault}"
    return "" if same else f"batch {row.seq} of rollout {rollout} was altered: its time is not that of its content"
