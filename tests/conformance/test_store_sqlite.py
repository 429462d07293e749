"""The embedded backend's own promises: migrations, and what it says when the machine fails it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pilotage.errors import WorkspaceUnusable
from pilotage.records import LedgerEntry
from pilotage.store.sqlite import SqliteStore
from pilotage.store.sqlite.migrations import shipped

NEXT = """
-- A later version adds a table and fills it from what is there.
CREATE TABLE note (use_case TEXT NOT NULL, body TEXT NOT NULL);
INSERT INTO note SELECT name, 'a; semicolon' FROM use_case;
"""


def test_an_older_workspace_migrates_and_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    old = SqliteStore(path)
    with old.write() as tx:
        digest = tx.blobs.put(b"kept")
    secret = old.secret("mac")
    old.close()
    newer = SqliteStore(path, migrations=[*shipped(), NEXT])
    with newer.read() as tx:
        assert tx.blobs.get(digest) == b"kept"
    assert newer.secret("mac") == secret
    newer.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(shipped()) + 1,)
        assert connection.execute("SELECT count(*) FROM note").fetchone() == (0,)


def test_a_newer_workspace_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path, migrations=[*shipped(), NEXT]).close()
    before = path.read_bytes()
    with pytest.raises(WorkspaceUnusable, match=f"schema {len(shipped()) + 1}.*up to {len(shipped())}") as refused:
        SqliteStore(path)
    assert "newer Pilotage" in refused.value.hint
    assert path.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        SqliteStore(path, migrations=[*shipped(), "CREATE TABLE half (x);\nINSERT INTO nowhere VALUES (1);\n"])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(shipped()),)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()
    SqliteStore(path).close()


def test_processes_that_open_a_new_workspace_at_once_migrate_it_once(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from pilotage.store.sqlite import SqliteStore as S; S(Path(sys.argv[1])).close()"
    openers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "state.db")]) for _ in range(4)]
    assert [opener.wait(timeout=60) for opener in openers] == [0] * 4


def test_commits_are_durable_and_what_was_deleted_is_overwritten(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    with store._connection() as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1, 1]
    with store.write() as tx:
        ((_, key),) = tx.unit_keys.get_or_create([("support", "u1")], at=1).values()
    on_disk = [tmp_path / "state.db", tmp_path / "state.db-wal"]
    assert any(key in path.read_bytes() for path in on_disk)
    with store.write() as tx:
        tx.unit_keys.destroy("support", "u1")
    assert not any(key in path.read_bytes() for path in on_disk), "a destroyed key is nowhere in the files"
    store.close()


def test_a_locked_workspace_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.store.sqlite.connection.BUSY_SECONDS", 0.05)
    one, other = SqliteStore(tmp_path / "state.db"), SqliteStore(tmp_path / "state.db")
    with one.write() as tx:
        tx.blobs.put(b"x")
        with pytest.raises(WorkspaceUnusable, match="is locked") as refused, other.write():
            pass
        assert "try again" in refused.value.hint
        with other.read() as reading:
            assert reading.use_cases.names() == [], "readers go on"
    one.close()
    other.close()


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(WorkspaceUnusable, match="is not a database"):
        SqliteStore(path)


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 3996 + content[4096:])
    with (
        pytest.raises(WorkspaceUnusable, match="is damaged") as refused,
        contextlib.closing(SqliteStore(path)) as store,
    ):
        store.secret("mac")
    assert "backup" in refused.value.hint


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnusable, match="cannot be opened"):
        SqliteStore(tmp_path / "nowhere" / "state.db")


def test_a_read_only_workspace_says_so() -> None:
    program = """
import os, sys
from pathlib import Path
from pilotage.errors import WorkspaceUnusable
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
for attempt in (lambda: SqliteStore(Path(sys.argv[1]) / "state.db").secret("new"), lambda: Workspace(sys.argv[1]).prepare(),
                lambda: Workspace(sys.argv[1]).lock().__enter__()):
    try:
        attempt()
    except WorkspaceUnusable as refused:
        print(refused, "|", refused.hint)
"""
    with tempfile.TemporaryDirectory() as folder:
        SqliteStore(Path(folder) / "state.db").close()
        (Path(folder) / "state.db").chmod(0o444)
        Path(folder).chmod(0o555)
        if os.geteuid() == 0:
            os.chown(folder, 65534, -1)
        ran = subprocess.run(
            [sys.executable, "-c", program, folder], capture_output=True, text=True, timeout=60, check=True
        )
        Path(folder).chmod(0o700)
    state, prepared, locked = ran.stdout.splitlines()
    assert "read-only" in state or "cannot be opened" in state
    assert "may not be written by this user" in prepared
    assert "may not be written by this user" in locked


def test_a_full_disk_says_so_and_what_was_committed_stays(tmp_path: Path) -> None:
    """The real path: the kernel refuses to let the files grow."""
    program = """
import resource, signal, sys
from pathlib import Path
from pilotage.errors import WorkspaceUnusable
from pilotage.records import LedgerEntry
from pilotage.store.sqlite import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
def append(tx, seq):
    tx.ledger.append(LedgerEntry(seq=seq, at=1, actor="a", action="x", use_case="support", detail={"fill": "x" * 5000},
                                 previous=tx.ledger.head()[1], digest=f"{seq:064x}"))
seq = 1
try:
    while seq < 1000:
        with store.write() as tx:
            append(tx, seq)
        seq += 1
except WorkspaceUnusable as refused:
    print(seq - 1, refused, "|", refused.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with store.write() as tx:
    append(tx, seq)
print(seq)
store.close()
"""
    path = tmp_path / "state.db"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    refused, last = ran.stdout.splitlines()
    committed = int(refused.split()[0])
    assert "disk" in refused
    assert "nothing was changed" in refused
    assert int(last) == committed + 1 > 10
    store = SqliteStore(path)
    with store.read() as tx:
        entries: list[LedgerEntry] = list(tx.ledger.read())
    store.close()
    assert [entry.seq for entry in entries] == list(range(1, committed + 2))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files there")
def test_no_file_stays_open_after_close(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    with store.read(), store.read(), store.write() as tx:
        tx.blobs.put(b"x")
    assert _open_below(tmp_path)
    store.close()
    assert _open_below(tmp_path) == []


def _open_below(folder: Path) -> list[Path]:
    found = []
    for name in Path("/proc/self/fd").iterdir():
        # The listing's own descriptor is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found.append(name.readlink())
    return [path for path in found if path.is_relative_to(folder)]


def test_a_schema_number_that_nobody_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = -1")
    with pytest.raises(WorkspaceUnusable, match="schema -1, which no Pilotage writes"):
        SqliteStore(path)
