"""What decisions rest on, and the ledger that they stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.records import Approval, Evidence, LedgerEntry


class Ledger(Protocol):
    def head(self) -> tuple[int, str]:
        """Return (last seq, its digest), or (0, 64 zeros) when empty."""

    def append(self, entry: LedgerEntry) -> None: ...
    def read(self, *, after: int = 0, before: int = 0, use_case: str = "", newest: int = 0) -> Iterator[LedgerEntry]:
        """Yield entries with seq > after, and < before where that is given, in order, of one use case if named; the newest N
        of them only if N is given.
        """


class EvidenceStore(Protocol):
    def put(self, evidence: Evidence) -> None: ...
    def of(self, use_case: str, *, release: str = "") -> list[Evidence]:
        """Return evidence, oldest first; of one release if named."""


class Approvals(Protocol):
    def put(self, approval: Approval) -> None: ...
    def of(self, use_case: str, *, release: str = "") -> list[Approval]: ...


class Results(Protocol):
    """Finished evaluation answers, so that nothing is paid for twice."""

    def get(self, run: str) -> dict[str, dict[str, Any]]:
        """Return {case id: result} of one run (a digest of release and cases)."""

    def put(self, run: str, case: str, result: dict[str, Any]) -> None:
        """Store it unless that case is there already."""


class Batches(Protocol):
    """What matured in each rollout, a row a tick, in a chain: `digest` is SHA-256 over the one before and the body.

    So a ledger entry that names the newest (seq, digest) vouches for every batch before it. Those of rollouts are kept for good.
    """

    def append(self, rollout: str, seq: int, at: int, body: bytes, digest: str) -> None:
        """Store one batch; raise Conflict where it is not the one that follows the last."""

    def last(self, rollout: str) -> tuple[int, str]:
        """Return (seq, digest) of the newest, or (0, "") where there is none."""

    def read(self, rollout: str, *, after: int = 0, until: int | None = None) -> Iterator[tuple[int, int, bytes, str]]:
        """Yield (seq, at, body, digest) in order, for after < seq <= until."""

    def forget(self, rollout: str, before: int) -> None:
        """Drop the batches that were made before a time: of a watch, which goes on for good."""

    def rollouts(self) -> list[str]:
        """Return the rollouts of which there is any batch, or anything kept."""

    def keep(self, rollout: str, seq: int, state: bytes, standing: bytes) -> None:
        """Keep what was computed from the batches up to `seq`, and JSON for people; in place of what was kept before."""

    def kept(self, rollout: str) -> tuple[int, bytes, bytes] | None: ...
