"""The schema's numbered steps. `PRAGMA user_version` counts those that a file has taken."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from typing import TYPE_CHECKING

from pilotage.errors import WorkspaceUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def shipped() -> tuple[str, ...]:
    """Return the SQL of every step in order: schema/0001.sql, 0002.sql, ..."""
    folder = files("pilotage.store.sqlite") / "schema"
    steps = sorted((step for step in folder.iterdir() if step.name.endswith(".sql")), key=lambda step: step.name)
    return tuple(step.read_text(encoding="utf-8") for step in steps)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Bring the file to the newest step, all steps in one transaction; refuse a file that is newer than this program."""
    if _version(connection, path, steps) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have migrated while this one waited for the lock.
        for step in steps[_version(connection, path, steps) :]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path, steps: Sequence[str]) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version < 0:
        raise WorkspaceUnusable(
            f"{path} has schema {version}, which no Pilotage writes",
            hint="this is no Pilotage workspace, or its state was changed: restore it from a backup",
        )
    if version > len(steps):
        raise WorkspaceUnusable(
            f"{path} has schema {version}; this Pilotage knows up to {len(steps)}",
            hint="use the newer Pilotage that wrote it, or another workspace",
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """Split a script (executescript would commit the transaction that it runs in)."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        raise ValueError(f"a migration ends within a statement: {pending.strip()[:80]!r}")
