"""What the ledger's entries tell of the store's rows: the newest word on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pilotage.governance.decisions import MADE_ON
from pilotage.governance.ledger import GENESIS
from pilotage.governance.words import referred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from pilotage.records import LedgerEntry


class Words(NamedTuple):
    """What one entry says of a row."""

    seq: int
    use_case: str
    fields: Mapping[str, Any]


class Told:
    """What the entries say, the newest of each row."""

    def __init__(self, anchored: AbstractSet[int] = frozenset()) -> None:
        self.anchored = anchored
        self.digests: dict[int, str] = {}
        self.last = (0, GENESIS)
        self.evidence: dict[str, Words] = {}
        self.approvals: dict[str, Words] = {}
        self.alarms: dict[str, Words] = {}
        self.keys: dict[str, Words] = {}
        self.policy: Words | None = None
        self.releases: dict[str, Words] = {}
        self.registered: dict[str, Words] = {}
        self.statuses: dict[str, Words] = {}
        self.words: dict[str, int] = {}
        self.erased: set[str] = set()
        self.batches: dict[str, dict[int, str]] = {}
        self.judged_by: dict[str, int] = {}

    def by(self, entries: Iterable[LedgerEntry]) -> Iterator[LedgerEntry]:
        """Pass every entry on, and remember what it says."""
        for entry in entries:
            if isinstance(entry.detail, dict):
                self._remember(entry)
            if entry.seq in self.anchored:
                self.digests[entry.seq] = entry.digest
            self.last = entry.seq, entry.digest
            yield entry

    def _remember(self, entry: LedgerEntry) -> None:
        detail = entry.detail
        told = Words(entry.seq, entry.use_case, detail)
        match entry.action:
            case "evidence":
                self.evidence[str(detail.get("id", ""))] = told
            case "policy":
                self.policy = told
            case "approve" | "waive" | "withdraw":
                self.approvals[str(detail.get("id", ""))] = told
            case "alarm" | "alarm_act" | "alarm_acknowledged" | "alarm_resolved":
                self.alarms[str(detail.get("id", ""))] = told
            case "key_create" | "key_rotate" | "key_revoke":
                self.keys[str(detail.get("id", ""))] = told
            case "register" | "release" | "charter":
                self.registered[entry.use_case] = told
                releases = detail.get("releases")
                for known in map(str, releases.values() if isinstance(releases, dict) else ()):
                    # Whoever registers a content first is its author for good.
                    self.releases.setdefault(known, Words(entry.seq, entry.use_case, {"author": entry.actor}))
            case "words_erased":
                self.erased.update(map(str, detail.get("words", ())))
        for reference in referred(detail):
            self.words.setdefault(reference, entry.seq)
        if "status" in detail:
            self.statuses[entry.use_case] = Words(entry.seq, entry.use_case, {"status": detail["status"]})
        if "rollout" in detail:
            self._rolling(entry, str(detail["rollout"]), detail.get(MADE_ON))

    def _rolling(self, entry: LedgerEntry, rollout: str, grounds: object) -> None:
        told = self.batches.setdefault(rollout, {})
        match grounds:
            case {"batches": [int(seq), str(digest)], "spec": str(spec)}:
                told.update({seq: digest} if seq else {})
                self.judged_by.setdefault(spec, entry.seq)
