"""What the batches of a rollout come to, picked up again where it was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage import __version__
from pilotage.decision.statistics import Statistics, after, begin
from pilotage.errors import Tampered
from pilotage.governance.batches import Link, recorded

if TYPE_CHECKING:
    from pilotage.decision.batch import Batch
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus
    from pilotage.store.base.transaction import Transaction


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics after the batch whose digest this is.

    `version` is that of the program that computed it: another one computes it again from the first batch.
    """

    statistics: Statistics
    digest: str = ""
    version: str = __version__

    @property
    def link(self) -> Link:
        return Link(self.statistics.seq, self.digest)

    def and_then(self, batch: Batch, link: Link, spec: UseCase, rollout: RolloutStatus) -> Tally:
        """Return what it comes to with one more batch, which makes `link`."""
        return Tally(statistics=after(self.statistics, batch, spec, rollout), digest=link.digest)


_encode = msgspec.msgpack.Encoder().encode
_tally = msgspec.msgpack.Decoder(Tally)


def encode(tally: Tally) -> bytes:
    return _encode(tally)


def resumed(tx: Transaction, spec: UseCase, rollout: RolloutStatus) -> Tally:
    """Return what the stored batches come to: from what was kept on, else from the first batch.

    Raise Tampered where the chain from there on does not hold.
    """
    tally = _kept(tx, rollout.id) or Tally(statistics=begin(spec, rollout))
    for link, batch in recorded(tx, rollout.id, tally.link):
        tally = tally.and_then(batch, link, spec, rollout)
    _must_end(tx, rollout.id, tally.link)
    return tally


def frontier(tx: Transaction, rollout: str) -> dict[str, int]:
    """Return by metric up to which maturity units have entered the stored batches: those must not enter again."""
    kept = _kept(tx, rollout)
    found, last = (kept.statistics.frontier, kept.link) if kept else ({}, Link())
    for link, batch in recorded(tx, rollout, last):
        found, last = {**found, **batch.frontier}, link
    _must_end(tx, rollout, last)
    return found


def _kept(tx: Transaction, rollout: str) -> Tally | None:
    kept = tx.batches.kept(rollout)
    if kept is None:
        return None
    try:
        tally = _tally.decode(kept[1])
    except msgspec.MsgspecError:
        return None
    return tally if tally.version == __version__ else None


def _must_end(tx: Transaction, rollout: str, link: Link) -> None:
    last = tx.batches.last(rollout)
    if last != link:
        raise Tampered(
            f"the batches of rollout {rollout} end with {last[0]}, and what was kept goes up to {link.seq}",
            hint="compare with a backup: nothing is decided on batches that are not whole",
        )
