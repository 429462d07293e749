"""A backup that is taken under load is a workspace: everything acknowledged before it is there, and serving goes on from it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from pilotage.app import backup as module
from pilotage.app.backup import back_up
from pilotage.errors import WorkspaceUnusable
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import pilotage, serving
from tests.integration.gateway_rig import until


def test_serving_goes_on_from_a_backup_that_was_taken_under_load(tmp_path: Path) -> None:
    ended = threading.Event()
    asked: list[str] = []
    with serving(tmp_path / "ws") as server:
        server.to_canary()
        key = server.key("infer", "feedback")

        def load() -> None:
            number = 0
            while not ended.wait(0.002):
                reply = server.chat(key, f"unit-{number}")
                assert reply.status == 200
                asked.append(reply.headers["x-pilotage-inference"].split(".")[1])
                number += 1

        thread = threading.Thread(target=load)
        thread.start()
        try:
            until(lambda: len(asked) > 100)
            before = list(asked)
            done = pilotage("backup", str(tmp_path / "copy"), "--json", workspace=tmp_path / "ws")
            assert done.returncode == 0, done.stderr
        finally:
            ended.set()
            thread.join()
        assert not list((tmp_path / "ws" / "run").glob("backup-*"))
        standing = server.rollout["id"]
    assert json.loads(done.stdout)["ledger"]["ok"] is True
    with serving(tmp_path / "copy") as again:
        assert again.rollout["id"] == standing
        assert again.chat(key, "unit-0").status == 200
        assert again.command("ledger_verify")["ok"] is True
    listed = pilotage("events", "--table", "started", "--limit", "10000", "--json", workspace=tmp_path / "copy")
    assert {row["id"] for row in json.loads(listed.stdout)["events"]} > set(before)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1):
        for target, says in (
            (tmp_path, "is there already"),
            (tmp_path / "ws" / "spool" / "copy", "lies within the workspace"),
            (Path("/proc/nowhere/copy"), "nothing was left there"),
        ):
            done = pilotage("backup", str(target), workspace=tmp_path / "ws")
            assert done.returncode in (1, 2)
            assert says in done.stderr


def test_a_state_whose_files_are_gone_is_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workspace(tmp_path / "ws").prepare()
    place.state.touch()
    (place.spool / "w0").write_bytes(b"events")
    monkeypatch.setattr(module, "_state", lambda _state, _copy: [("started", "merged-away.parquet")])
    with pytest.raises(WorkspaceUnusable, match="merged faster"):
        back_up(place, tmp_path / "copy")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ws"]
    assert list(place.run.iterdir()) == []
