"""A server that was started for one measurement ends with whoever started it, also after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from pilotage.errors import PilotageError
from pilotage.store.workspace import Workspace
from tests.integration.gateway_rig import until

BORROWS = """
import sys, time
from pathlib import Path
from pilotage.app.borrow import _started
with _started(Path(sys.argv[1]), None) as serving:
    print(serving.pid, flush=True)
    time.sleep(600)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_killed_borrower_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BORROWS, str(tmp_path / "ws")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as borrower:
        assert borrower.stdout is not None
        server = int(borrower.stdout.readline())
        assert not gone(server)
        borrower.send_signal(signal.SIGKILL)
    until(lambda: gone(server), seconds=60)

    def free() -> bool:
        try:
            with Workspace(tmp_path / "ws").lock():
                return True
        except PilotageError:
            return False

    until(free, seconds=60)
