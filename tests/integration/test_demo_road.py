"""The demo's beginning and its end: every process that it starts is ended, also on Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def children(pid: int) -> set[int]:
    """Return a process's descendants, by /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found, more = set(), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more}
        found |= more
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes by /proc, which is not here")
def test_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PILOTAGE_", "OPENAI_"))}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pilotage", "demo", "--workspace", str(tmp_path / "workspace")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        # Whoever runs the tests in the background may have them ignore it, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "Staging" in line:
                break
        started = children(process.pid)
        # The stand-in, the judge, and the server with its control process and two workers.
        assert len(started) >= 6, "".join(said)
        process.send_signal(signal.SIGINT)
        said.append(process.stdout.read())
        assert process.wait(60) == 130, "".join(said)
        assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_workspace_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "pilotage", "demo", "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is not empty" in done.stderr
