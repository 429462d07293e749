"""Anchors: checkpoints that go out by themselves to places beyond the workspace, and what a later ledger is held against.

An anchor is one line of JSON, the same in every place: when, a checkpoint, and the key that signed it. Whoever holds the
workspace, its key too, can write a new chain and sign new checkpoints of it; those that went out before stay, and the new
chain does not hold their entries.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pilotage.errors import PilotageError, Tampered, WorkspaceUnusable, WrongCall
from pilotage.governance import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pilotage.clock import Clock
    from pilotage.store.base.transaction import Store

SIGNER = "pilotage"
"""The name of a workspace's own key; its id and its public part tell it from others'."""
_COMPARE = "compare with a backup or an exported copy; what was decided since cannot be trusted"


class Place(Protocol):
    """Where anchors are put. Every method raises WorkspaceUnusable where the place cannot be reached."""

    @property
    def name(self) -> str: ...
    def lines(self) -> list[str] | None:
        """Return every line that was put there, oldest first; None where they cannot be read back from here."""

    def newest(self) -> str | None:
        """Return the line that was put there last; empty where there is none, None where it cannot be read back."""

    def put(self, entries: int, line: str) -> None: ...


class Anchor(NamedTuple):
    """The ledger had `entries` entries, the newest with this digest (64 hex digits)."""

    entries: int
    digest: str


def put(store: Store, clock: Clock, places: Sequence[Place]) -> int:
    """Anchor what the ledger is now in every place that does not hold it yet, and return its number of entries.

    Raise Tampered, and put nothing there, where the ledger does not go on from what a place holds; WorkspaceUnusable where
    one cannot be reached. The other places get theirs all the same.
    """
    with store.read() as tx:
        entries, digest = tx.ledger.head()
    if not entries:
        return 0
    seed = store.secret("checkpoint")
    key = str(checkpoint.verifier(seed, SIGNER))
    note = checkpoint.sign(seed, SIGNER, entries, digest)
    line = json.dumps({"at": clock.now(), "checkpoint": note, "key": key})
    faults: list[PilotageError] = []
    for place in places:
        try:
            newest = place.newest()
            kept = read([newest], key) if newest else []
            _compare(store, kept)
            if Anchor(entries, digest) not in kept:
                place.put(entries, line)
        except (Tampered, WorkspaceUnusable, WrongCall) as fault:
            faults.append(type(fault)(f"{place.name}: {fault.message}", hint=fault.hint))
    if faults:
        raise faults[0]
    return entries


def read(lines: Iterable[str], key: str = "") -> list[Anchor]:
    """Return anchors as they were put; raise Tampered or WrongCall that names the first line at fault.

    All must bear the signature of one key: the one that is given, else the first line's.
    """
    found = []
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            note, told = str(fields["checkpoint"]), str(fields["key"])
        except (ValueError, KeyError, TypeError):
            hint = "each line is JSON with a checkpoint and a key, as it was anchored"
            raise WrongCall(f"line {number} is no anchor of a ledger", hint=hint) from None
        key = key or told
        if told != key:
            hint = "it is another workspace's, or this one was put back to before its first anchor, or its key was replaced"
            raise Tampered(f"the anchor in line {number} was signed by another key", hint=hint)
        try:
            kept = checkpoint.read(note, key)
        except PilotageError as fault:
            raise type(fault)(f"line {number}: {fault.message}", hint=fault.hint) from None
        found.append(Anchor(kept.entries, kept.digest))
    return found


def check(kept: Iterable[Anchor], digests: Mapping[int, str], last: int) -> None:
    """Raise Tampered that names the earliest anchor which a ledger of `last` entries does not go on from.

    `digests` gives those of its entries that anchors name, by seq.
    """
    for anchor in sorted(kept):
        if anchor.entries > last:
            says = f"the ledger has {last} entries, and had {anchor.entries} when it was anchored"
            raise Tampered(f"{says}: its end was cut off, or an older copy was put back", hint=_COMPARE)
        if anchor.entries and digests.get(anchor.entries) != anchor.digest:
            says = f"entry {anchor.entries} is not the one that was anchored"
            raise Tampered(f"{says}: the ledger was written anew, or an older copy was put back", hint=_COMPARE)


def _compare(store: Store, kept: Sequence[Anchor]) -> None:
    with store.read() as tx:
        last, _ = tx.ledger.head()
        found = (next(iter(tx.ledger.read(after=anchor.entries - 1)), None) for anchor in kept if anchor.entries)
        digests = {entry.seq: entry.digest for entry in found if entry is not None}
    check(kept, digests, last)
