"""A sealing process killed at every single step: each event is in the tables exactly once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotage.store.events import EventsReader, Sealer, ingest
from pilotage.store.spool import Reader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

# Reads "folder step" lines. For each it fills a workspace and starts a process of its own that seals it and is killed
# (SIGKILL) at that step. Steps are what touches the disk, before and after: fsync, rename, unlink, a commit.
PROGRAM = """
import contextlib, os, signal, sys
from pathlib import Path
from pilotage.records import Feedback, Started
from pilotage.store import events
from pilotage.store.events import Sealer, ingest
from pilotage.store.spool import Reader, Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

def fill(workspace):
    for segment in range(2):
        writer = Writer(workspace.spool, f"w{segment}")
        for n in range(10 * segment, 10 * segment + 10):
            place = {"id": f"i{n}", "use_case": "support", "at": n}
            writer.append(Started(**place, release="r", arm="live", deadline=1))
            writer.append(Feedback(**place, metric="m", value=1.0, received=n))
        writer.close()

def seal(workspace, die_at):
    steps = 0
    def step():
        nonlocal steps
        steps += 1
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
    def stepping(function):
        def run(*arguments, **named):
            step()
            answer = function(*arguments, **named)
            step()
            return answer
        return run
    class SteppingStore(SqliteStore):
        @contextlib.contextmanager
        def write(self):
            with super().write() as tx:
                yield tx
                step()
            step()
    store = SteppingStore(workspace.state)
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, stepping(getattr(os, name)))
    events._TOGETHER = 2
    sealer = Sealer(workspace.events, store)
    ingest(Reader(workspace.spool), sealer, store)

for line in sys.stdin:
    folder, _, step = line.strip().rpartition(" ")
    workspace = Workspace(folder).prepare()
    fill(workspace)
    child = os.fork()
    if not child:
        seal(workspace, int(step))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else status, flush=True)
"""


@pytest.fixture
def killer() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.slow
def test_each_event_is_sealed_exactly_once_wherever_the_sealer_is_killed(
    killer: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert killer.stdin is not None
    assert killer.stdout is not None
    step = 0
    answer = "killed"
    while answer == "killed":
        step += 1
        workspace = Workspace(tmp_path / str(step)).prepare()
        killer.stdin.write(f"{workspace.path} {step}\n")
        killer.stdin.flush()
        answer = killer.stdout.readline().strip()
        store = SqliteStore(workspace.state)
        spool, sealer = Reader(workspace.spool), Sealer(workspace.events, store)
        ingest(spool, sealer, store)
        assert ingest(spool, sealer, store) == 0
        reader = EventsReader(workspace.events, store)
        for table in ("started", "feedback_rows"):
            found = [row["id"] for row in reader.query(f"SELECT id FROM {table}")]
            assert sorted(found) == sorted(f"i{number}" for number in range(20)), (step, table)
        assert spool.segments() == []
        with store.read() as tx:
            assert tx.progress.finished() == []
            listed = {(table, name) for table in ("started", "feedback") for name in tx.progress.files(table)}
        there = {(path.parent.name, path.name) for path in workspace.events.glob("*/*")}
        assert there == listed, "nothing is left over"
        reader.close()
        sealer.close()
        store.close()
    assert answer == "0"
    assert step > 50, "it was killed at this many steps, and then it came through"
