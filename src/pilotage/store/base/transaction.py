"""All nouns together: a store hands out transactions, inside which they are read and written together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pilotage.store.base.decided import Approvals, Batches, EvidenceStore, Ledger, Results
    from pilotage.store.base.erasable import Erasures, UnitKeys, Words
    from pilotage.store.base.handed_out import Allowances, Leases
    from pilotage.store.base.recorded import Progress
    from pilotage.store.base.registered import Blobs, Keys, Policies, Releases, ServingRows, Statuses, UseCases
    from pilotage.store.base.told import Alarms, Notices, Proposals


class Transaction(Protocol):
    """Everything the store holds, as of one moment."""

    @property
    def use_cases(self) -> UseCases: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def releases(self) -> Releases: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def statuses(self) -> Statuses: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def evidence(self) -> EvidenceStore: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def serving(self) -> ServingRows: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def unit_keys(self) -> UnitKeys: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def words(self) -> Words: ...
    @property
    def results(self) -> Results: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def alarms(self) -> Alarms: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def proposals(self) -> Proposals: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def allowances(self) -> Allowances: ...


class Store(Protocol):
    """State that outlives processes. Safe to use from several threads and processes."""

    def read(self) -> AbstractContextManager[Transaction]:
        """One consistent snapshot; writing in it is an error."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Take the write lock; commit on leaving, roll back on an exception. Durable when it returns."""

    def secret(self, name: str) -> bytes:
        """Return the workspace's 32-byte secret of this name (`mac`, `unit`), made on first use."""

    def change(self) -> int:
        """Return a counter that grows whenever serving rows or keys change: one cheap read for pollers."""

    def close(self) -> None: ...
