"""Killed at any step of a promotion, a real process leaves both the ledger's entry and the change, or neither."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.unit.test_commands import ADMIN, _at_staging, _everything, do

from pilotage.clock import FrozenClock
from pilotage.governance.commands import Context
from pilotage.store.sqlite import SqliteStore

KILLED = """
import os, signal, sys
from pathlib import Path
from pilotage.access import Actor, Role
from pilotage.clock import FrozenClock
from pilotage.governance.commands import Context, run
from pilotage.store.sqlite import SqliteStore
from pilotage.store.sqlite import connection, session

left = int(sys.argv[2])

def step():
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

def before(function):
    def stepped(*given):
        step()
        return function(*given)
    return stepped

session.Session.write = before(session.Session.write)
session.Session.finish = before(session.Session.finish)
connection.Connections.give = before(connection.Connections.give)
context = Context(SqliteStore(Path(sys.argv[1])), FrozenClock())
run(context, Actor(id="key:author", roles=(Role.OPERATE,)), "promote", {"use_case": "support"})
print(left)
"""


def test_a_kill_at_any_step_of_a_promotion_leaves_both_or_neither(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(SqliteStore(path)) as store:
        _at_staging(Context(store, FrozenClock()))
        untouched = _everything(store)
    steps = unmoved = moved = 0
    while True:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(steps)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        with closing(SqliteStore(path)) as store:
            after = _everything(store)
            assert do(Context(store, FrozenClock()), "ledger_verify", ADMIN)["ok"] is True
            entries = [entry["action"] for entry in do(Context(store, FrozenClock()), "ledger", ADMIN)["entries"]]
        if done.returncode != -signal.SIGKILL:
            break
        steps += 1
        if after == untouched:
            assert entries.count("promote") == 2
            unmoved += 1
            continue
        # The commit was made, and the process was killed after it: all of it is there.
        assert entries.count("promote") == 3
        moved += 1
        break
    assert unmoved >= 5
    assert moved == 1
