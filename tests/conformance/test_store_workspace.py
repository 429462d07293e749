"""The folder, its lock and its control file."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pilotage.errors import WorkspaceUnusable
from pilotage.records import Finished
from pilotage.store.events import Sealer, ingest
from pilotage.store.spool import Reader, Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Control, Workspace


def test_a_workspace_is_private(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "deep" / "one").prepare()
    for folder in (workspace.path, workspace.spool, workspace.events, workspace.texts, workspace.run):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert workspace.prepare() is workspace


def test_a_folder_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert Workspace(tmp_path / "open").prepare().path.stat().st_mode & 0o777 == 0o700


def test_what_is_no_workspace_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnusable, match="is not a workspace") as refused:
        Workspace(tmp_path / "nowhere").require()
    assert "pilotage serve" in refused.value.hint
    with pytest.raises(WorkspaceUnusable, match="is not a workspace"):
        Workspace(tmp_path).require()
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceUnusable, match="is a file"):
        Workspace(tmp_path / "file").require()
    with pytest.raises(WorkspaceUnusable, match="is a file"):
        Workspace(tmp_path / "file").prepare()
    with pytest.raises(WorkspaceUnusable, match="is not a folder"):
        Workspace(tmp_path / "file" / "below").prepare()
    with pytest.raises(WorkspaceUnusable, match="does not exist"), Workspace(tmp_path / "nowhere").lock():
        pass
    workspace = Workspace(tmp_path / "real").prepare()
    workspace.state.write_bytes(b"")
    assert workspace.require() is workspace


HOLDER = """
import sys, time
from pilotage.store.workspace import Workspace
with Workspace(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_one_process_at_a_time_and_the_other_is_told_which(tmp_path: Path, ending: str) -> None:
    workspace = Workspace(tmp_path).prepare()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        with pytest.raises(WorkspaceUnusable, match=f"in use by process {holder.pid}") as refused, workspace.lock():
            pass
        assert f"kill {holder.pid}" in refused.value.hint
        if ending == "leaves":
            holder.stdin.close()
        else:
            holder.kill()
        holder.wait(30)
    with workspace.lock():
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(WorkspaceUnusable, match=f"process {os.getpid()}"), Workspace(tmp_path).lock():
            pass
    with workspace.lock():
        pass


def test_the_control_file_is_private_and_gone_with_its_server(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).prepare()
    assert workspace.control() is None
    control = Control(pid=os.getpid(), gateway="http://127.0.0.1:8700", control="http://127.0.0.1:8701", token="secret")
    workspace.write_control(control)
    workspace.write_control(control)
    path = workspace.run / "control.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert workspace.control() == control
    workspace.clear_control()
    workspace.clear_control()
    assert workspace.control() is None
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait(30)
    workspace.write_control(Control(pid=dead.pid, gateway="", control="", token=""))
    assert workspace.control() is None, "left behind by a server that was killed"
    path.write_text("{")
    with pytest.raises(WorkspaceUnusable, match="cannot be read"):
        workspace.control()


def test_a_folder_that_was_never_made_has_no_server(tmp_path: Path) -> None:
    assert Workspace(tmp_path / "nowhere").control() is None


def test_what_others_could_read_of_an_earlier_workspace_is_closed_to_them(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.path.mkdir()
    workspace.run.mkdir()
    workspace.path.chmod(0o755)
    workspace.run.chmod(0o755)
    beside = workspace.path / "state.db-wal"
    for file in (workspace.state, beside):
        file.write_bytes(b"")
        file.chmod(0o644)
    workspace.prepare()
    for folder in (workspace.path, workspace.run):
        assert folder.stat().st_mode & 0o777 == 0o700
    for file in (workspace.state, beside):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_workspace_of_somebody_else_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws").prepare()
    os.chown(workspace.path, 12345, -1)
    with pytest.raises(WorkspaceUnusable, match="belongs to user 12345"):
        workspace.prepare()


def test_every_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        workspace = Workspace(tmp_path / "ws").prepare()
        with (
            closing(SqliteStore(workspace.state)) as store,
            closing(Sealer(workspace.events, store)) as sealer,
            closing(Writer(workspace.spool, "w0")) as spool,
            workspace.lock(),
        ):
            for status in (200, 10**30):
                spool.append(Finished(id=f"i{status}", use_case="help", at=1, served="x", status=status))
            assert ingest(Reader(workspace.spool), sealer, store) == 2
            workspace.write_control(Control(pid=os.getpid(), gateway="g", control="c", token="t"))
            found = list(workspace.path.rglob("*"))
            modes = {path.name: oct(path.stat().st_mode & 0o077) for path in found}
    finally:
        os.umask(before)
    assert {"state.db", "state.db-wal", "state.db-shm", "quarantine", "lock", "control.json"} <= set(modes)
    assert {suffix for path in found if (suffix := path.suffix)} >= {".spool", ".parquet", ".bytes"}
    assert set(modes.values()) == {"0o0"}, modes
