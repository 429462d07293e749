"""Connections of one SQLite file: how each is set up, and what its failures mean for people."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pilotage.errors import WorkspaceUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_SECONDS = 5.0

# WAL lets readers go on beside the one writer; FULL makes a commit survive power loss; secure_delete overwrites what
# was deleted, so that a destroyed key is not left in a free page.
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
)

_SAYS = {
    sqlite3.SQLITE_BUSY: ("is locked", f"another process has been writing for over {BUSY_SECONDS:g} s; try again"),
    sqlite3.SQLITE_LOCKED: ("is locked", "another thread is writing; try again"),
    sqlite3.SQLITE_READONLY: ("is read-only", "make the workspace writable for this user, or choose another one"),
    sqlite3.SQLITE_PERM: ("may not be opened", "make the workspace readable and writable for this user"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "check that the workspace exists and belongs to this user"),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "free some space; nothing was changed"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "check the disk and its free space; nothing was changed"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "stop Pilotage and restore the workspace from a backup"),
    sqlite3.SQLITE_NOTADB: ("is not a database", "this is no Pilotage workspace, or its state was overwritten"),
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's failures of the machine into WorkspaceUnusable; faults of the program stay what they are."""
    try:
        yield
    except sqlite3.DatabaseError as fault:
        # The low byte is the primary code; errors that Python itself raises have none.
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code not in _SAYS:
            raise
        says, hint = _SAYS[code]
        raise WorkspaceUnusable(f"{path} {says} ({fault})", hint=hint) from fault


class Connections:
    """A pool: a transaction borrows a connection and gives it back, in whatever thread it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the store {self._path} is closed")
            if self._idle:
                return self._idle.pop()
        # Made before SQLite does, for it holds secrets; the files that SQLite puts beside it get the same mode. What
        # stands in the way SQLite says better.
        with suppress(OSError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            for pragma in PRAGMAS:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    def give(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            # One that is still inside a transaction could not be rolled back: it is not fit for another.
            if not self._closed and not connection.in_transaction:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
