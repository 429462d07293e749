"""Making a past decision again: from the batches that it was made on, by the file and the status of that moment."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pilotage.access import Role
from pilotage.decision.statistics import after, begin, readings
from pilotage.decision.transition import decide
from pilotage.errors import NotFound, Refused, Tampered
from pilotage.governance import progress
from pilotage.governance.batches import Link, recorded
from pilotage.governance.context import require
from pilotage.governance.decisions import MADE_ON, Grounds
from pilotage.governance.ledger import canonical, digest_of, fingerprint
from pilotage.records import Approval, Evidence
from pilotage.spec.use_case import UseCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.access import Actor
    from pilotage.decision.statistics import Statistics
    from pilotage.governance.context import Context
    from pilotage.records import LedgerEntry
    from pilotage.status import Decision, RolloutStatus
    from pilotage.store.base.transaction import Transaction

Fact = TypeVar("Fact", Approval, Evidence)
_HINT = "compare with a backup or an exported copy: `pilotage ledger verify` names every fault"


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seq` names the ledger's entry."""

    seq: int


def ledger_replay(context: Context, actor: Actor, arguments: Replay) -> dict[str, Any]:
    """Decide again what entry `seq` recorded, and say whether it comes out the same, bit for bit.

    Raise Refused where that entry is no controller's decision, Tampered where what it was made on is not there as it was.
    """
    with context.store.read() as tx:
        return replay(tx, _entry(tx, actor, arguments.seq))


def replay(tx: Transaction, entry: LedgerEntry) -> dict[str, Any]:
    grounds, rollout = _grounds(tx, entry)
    spec = _spec(tx, entry, grounds.spec)
    statistics = begin(spec, rollout)
    last = Link()
    for link, batch in recorded(tx, rollout.id, Link(), until=grounds.batches.seq):
        statistics, last = after(statistics, batch, spec, rollout), link
    if last != grounds.batches:
        raise _altered(entry, f"rests on {grounds.batches.seq} batches, and those that are there are others")
    use_case = entry.use_case
    decision = decide(
        spec,
        grounds.before,
        statistics,
        grounds.observation,
        _named(entry, "approval", tx.approvals.of(use_case), grounds.approvals),
        entry.at,
        evidence=_named(entry, "evidence", tx.evidence.of(use_case), grounds.evidence),
    )
    differs = _differences(entry, decision)
    return {
        "seq": entry.seq,
        "at": entry.at,
        "use_case": use_case,
        "rollout": rollout.id,
        "action": str(decision.action),
        "reason": decision.reason,
        "batches": {"count": last.seq, "digest": last.digest},
        **_shown(spec, statistics, rollout),
        "same": not differs,
        "differs": differs,
    }


def _shown(spec: UseCase, statistics: Statistics, rollout: RolloutStatus) -> dict[str, Any]:
    return {
        "units": progress.exposed(statistics, rollout),
        "moved": statistics.moved,
        "late": statistics.late,
        "readings": progress.plain(readings(statistics, spec, rollout)),
    }


def _entry(tx: Transaction, actor: Actor, seq: int) -> LedgerEntry:
    entry = next(iter(tx.ledger.read(after=seq - 1)), None) if seq > 0 else None
    if entry is None or entry.seq != seq:
        last, _ = tx.ledger.head()
        raise NotFound(f"there is no entry {seq}", hint=f"the ledger goes from 1 to {last}")
    require(actor, (Role.OPERATE, Role.APPROVE), entry.use_case)
    return entry


def _grounds(tx: Transaction, entry: LedgerEntry) -> tuple[Grounds, RolloutStatus]:
    """Return what a decision was made on; the status before must be the one that the entries before it vouch for."""
    if MADE_ON not in entry.detail:
        raise Refused(
            f"entry {entry.seq} ({entry.action} by {entry.actor}) is no decision of the controller's",
            hint="only what was computed can be computed again; `pilotage ledger show` lists who did what",
        )
    if entry.digest != digest_of(entry):
        raise _altered(entry, "was altered: its digest is not that of its content")
    try:
        grounds = msgspec.convert(entry.detail[MADE_ON], Grounds)
    except msgspec.ValidationError as fault:
        raise _altered(entry, f"says what it was made on in a way that this version cannot read ({fault})") from None
    wrote = _status_before(tx, entry)
    if wrote != fingerprint(grounds.before) or grounds.before.rollout is None:
        raise _altered(entry, "was made on a status that no entry before it wrote")
    return grounds, grounds.before.rollout


def _status_before(tx: Transaction, entry: LedgerEntry) -> str:
    found = ""
    for earlier in tx.ledger.read(use_case=entry.use_case):
        if earlier.seq >= entry.seq:
            break
        found = str(earlier.detail.get("status", found))
    return found


def _spec(tx: Transaction, entry: LedgerEntry, digest: str) -> UseCase:
    data = tx.blobs.get(digest)
    if data is None or hashlib.sha256(data).hexdigest() != digest:
        raise _altered(entry, f"was judged by a file ({digest[:12]}) that is gone or was altered")
    return UseCase.model_validate(msgspec.json.decode(data))


def _named(entry: LedgerEntry, kind: str, rows: Iterable[Fact], ids: Sequence[str]) -> list[Fact]:
    known = {row.id: row for row in rows}
    for wanted in ids:
        if wanted not in known:
            raise _altered(entry, f"rests on {kind} {wanted}, which is gone")
    return [known[wanted] for wanted in ids]


def _differences(entry: LedgerEntry, decision: Decision) -> list[str]:
    """Say what comes out otherwise. Numbers are compared as they are written, for that keeps every bit of them."""
    recorded_detail = entry.detail["decision"]
    detail = msgspec.to_builtins(decision.detail)
    found = []
    if str(decision.action) != entry.action:
        found.append(f"the action is {decision.action}, and {entry.action} is recorded")
    if decision.reason != entry.detail["reason"]:
        found.append(f"the reason is {decision.reason!r}, and {entry.detail['reason']!r} is recorded")
    if canonical(detail) != canonical(recorded_detail):
        names = sorted(
            name
            for name in {*detail, *recorded_detail}
            if canonical({"": detail.get(name)}) != canonical({"": recorded_detail.get(name)})
        )
        found.append(f"the figures differ: {', '.join(names)}")
    return found


def _altered(entry: LedgerEntry, says: str) -> Tampered:
    return Tampered(f"entry {entry.seq} {says}", hint=_HINT)
