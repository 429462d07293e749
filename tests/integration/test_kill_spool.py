"""kill -9 of writing processes at random moments: nothing appended is lost, nothing is there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from pilotage.store.events import EventsReader, Sealer, ingest
from pilotage.store.spool import Reader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

# Says each number when it is stored: every tenth by append_durably, in another thread beside the rest.
WRITER = """
import itertools, os, sys, threading
from pathlib import Path
from pilotage.records import Feedback
from pilotage.store.spool import Writer

name = sys.argv[2]
writer = Writer(Path(sys.argv[1]), "w0", size=30_000)
out = sys.stdout.fileno()

def feedback(kind, n):
    return Feedback(id=f"{name}-{kind}-{n}", use_case="support", at=n, metric="m", value=1.0, received=n)

def durable():
    for n in itertools.count():
        batch = [feedback("durable", 3 * n + more) for more in range(3)]
        writer.append_durably(batch)
        os.write(out, "".join(f"{event.id}\\n" for event in batch).encode())

threading.Thread(target=durable, daemon=True).start()
for n in itertools.count():
    event = feedback("plain", n)
    if writer.append(event):
        os.write(out, f"{event.id}\\n".encode())
"""
KILLS = 20


def test_nothing_acknowledged_is_missing_and_nothing_is_doubled(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace").prepare()
    chance = random.Random(20)
    store = SqliteStore(workspace.state)
    sealer, spool = Sealer(workspace.events, store), Reader(workspace.spool)
    acknowledged: set[str] = set()
    for kill in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(workspace.spool), str(kill)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            said = writer.stdout.readline()
            # Sealing goes on while it writes, and until the moment of its death.
            until = time.monotonic() + chance.uniform(0, 0.05)
            while time.monotonic() < until:
                ingest(spool, sealer, store)
            writer.send_signal(signal.SIGKILL)
            said += writer.stdout.read()
        assert writer.returncode == -signal.SIGKILL
        # The last line may itself have been cut off by the kill.
        acknowledged.update(said.decode().rpartition("\n")[0].splitlines())
    ingest(spool, sealer, store)
    sealer.close()
    reader = EventsReader(workspace.events, store)
    rows = reader.query("SELECT id FROM feedback_rows")
    found = [row["id"] for row in rows]
    reader.close()
    assert len({name.split("-")[0] for name in acknowledged}) == KILLS
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))
    assert spool.segments() == [], "every segment of the dead is sealed and gone"
    assert spool.quarantined == 0
    store.close()
