"""The store itself: transactions over one SQLite file, safe over threads and processes."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from pilotage.store.sqlite.alarms import SqliteAlarms, SqliteNotices
from pilotage.store.sqlite.allowances import SqliteAllowances
from pilotage.store.sqlite.batches import SqliteBatches, SqliteLeases
from pilotage.store.sqlite.connection import Connections, explained
from pilotage.store.sqlite.history import (
    SqliteApprovals,
    SqliteErasures,
    SqliteEvidence,
    SqliteLedger,
    SqliteProgress,
    SqliteResults,
    SqliteUnitKeys,
    SqliteWords,
)
from pilotage.store.sqlite.migrations import migrate, shipped
from pilotage.store.sqlite.proposals import SqliteProposals
from pilotage.store.sqlite.session import Session
from pilotage.store.sqlite.state import (
    SqliteBlobs,
    SqliteKeys,
    SqlitePolicies,
    SqliteReleases,
    SqliteServingRows,
    SqliteStatuses,
    SqliteUseCases,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class SqliteTransaction:
    """Every noun over one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def use_cases(self) -> SqliteUseCases:
        return SqliteUseCases(self._session)

    @cached_property
    def policies(self) -> SqlitePolicies:
        return SqlitePolicies(self._session)

    @cached_property
    def releases(self) -> SqliteReleases:
        return SqliteReleases(self._session)

    @cached_property
    def blobs(self) -> SqliteBlobs:
        return SqliteBlobs(self._session)

    @cached_property
    def statuses(self) -> SqliteStatuses:
        return SqliteStatuses(self._session)

    @cached_property
    def ledger(self) -> SqliteLedger:
        return SqliteLedger(self._session)

    @cached_property
    def evidence(self) -> SqliteEvidence:
        return SqliteEvidence(self._session)

    @cached_property
    def approvals(self) -> SqliteApprovals:
        return SqliteApprovals(self._session)

    @cached_property
    def keys(self) -> SqliteKeys:
        return SqliteKeys(self._session)

    @cached_property
    def serving(self) -> SqliteServingRows:
        return SqliteServingRows(self._session)

    @cached_property
    def progress(self) -> SqliteProgress:
        return SqliteProgress(self._session)

    @cached_property
    def unit_keys(self) -> SqliteUnitKeys:
        return SqliteUnitKeys(self._session)

    @cached_property
    def erasures(self) -> SqliteErasures:
        return SqliteErasures(self._session)

    @cached_property
    def words(self) -> SqliteWords:
        return SqliteWords(self._session)

    @cached_property
    def results(self) -> SqliteResults:
        return SqliteResults(self._session)

    @cached_property
    def batches(self) -> SqliteBatches:
        return SqliteBatches(self._session)

    @cached_property
    def alarms(self) -> SqliteAlarms:
        return SqliteAlarms(self._session)

    @cached_property
    def notices(self) -> SqliteNotices:
        return SqliteNotices(self._session)

    @cached_property
    def proposals(self) -> SqliteProposals:
        return SqliteProposals(self._session)

    @cached_property
    def leases(self) -> SqliteLeases:
        return SqliteLeases(self._session)

    @cached_property
    def allowances(self) -> SqliteAllowances:
        return SqliteAllowances(self._session)


class SqliteStore:
    """The workspace's state. Opening it migrates an older file and refuses a newer one (WorkspaceUnusable).

    `migrations` are the schema's steps as SQL; tests pass their own.
    """

    def __init__(self, path: Path, *, migrations: Sequence[str] | None = None) -> None:
        self._path = path
        self._connections = Connections(path)
        self._secrets: dict[str, bytes] = {}
        try:
            with self._connection() as connection:
                migrate(connection, path, shipped() if migrations is None else migrations)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[SqliteTransaction]:
        """One consistent snapshot, from the first read on; writing in it is an error."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            session = Session(connection, writable=False)
            try:
                yield SqliteTransaction(session)
            finally:
                session.finish()
                _roll_back(connection)

    @contextmanager
    def write(self) -> Iterator[SqliteTransaction]:
        """Take the write lock (waiting up to 5 s); commit on leaving, roll back on an exception."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            session = Session(connection, writable=True)
            try:
                yield SqliteTransaction(session)
                session.finish()
                connection.execute("COMMIT")
            except BaseException:
                session.finish()
                _roll_back(connection)
                raise
            if session.destroyed:
                # Until it is folded back and cut, the write-ahead log still holds the page with what was destroyed.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def secret(self, name: str) -> bytes:
        """Return the workspace's 32-byte secret of this name, made on first use by whoever asks first."""
        if name not in self._secrets:
            with self._connection() as connection:
                sql = "INSERT INTO secret VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
                found = "SELECT value FROM secret WHERE name = ?"
                row = connection.execute(found, (name,)).fetchone()
                if row is None:
                    connection.execute(sql, (name, secrets.token_bytes(32)))
                    row = connection.execute(found, (name,)).fetchone()
                self._secrets[name] = bytes(row[0])
        return self._secrets[name]

    def change(self) -> int:
        """Return a counter that grows whenever serving rows or keys change: one read of one row."""
        with self._connection() as connection:
            return int(connection.execute("SELECT value FROM change").fetchone()[0])

    def close(self) -> None:
        self._connections.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path):
            connection = self._connections.take()
            try:
                yield connection
            finally:
                self._connections.give(connection)


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite rolls back by itself on some failures (a full disk, an I/O error).
    if connection.in_transaction:
        connection.execute("ROLLBACK")
