"""The demo's processes: each with a log of its own, all of them ended by their ids, whatever happens."""

from __future__ import annotations

import subprocess
import sys
from typing import IO, TYPE_CHECKING, Self

from pilotage.errors import Refused

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATIENCE = 45.0
"""Seconds that a process may take to end: the server answers what was begun and seals what it holds."""
TAIL = 15


class Process:
    """One child, in a session of its own, so that Ctrl-C in the terminal is the parent's to handle."""

    def __init__(self, name: str, module: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        self.name, self.log = name, log
        self._file = log.open("ab")
        self._child = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *module],
            stdout=subprocess.PIPE,
            stderr=self._file,
            stdin=subprocess.DEVNULL,
            env=dict(env),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def first_line(self) -> bytes:
        """Wait for the line that says it is ready; raise Refused with the log's end where it ends before."""
        output = self._output()
        line = output.readline()
        if not line:
            self._child.wait()
            raise self.failed()
        return line

    def check(self) -> None:
        """Raise Refused where it has ended, with the end of its log."""
        if self._child.poll() is not None:
            raise self.failed()

    def failed(self) -> Refused:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return Refused(f"{self.name} ended with exit code {self._child.poll()}; its log ends:\n{said}")

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def end(self) -> None:
        if self._child.poll() is None:
            self._child.terminate()

    def wait(self) -> None:
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._output().close()
        self._file.close()

    def _output(self) -> IO[bytes]:
        output = self._child.stdout
        if output is None:
            raise AssertionError("the child was started with a pipe")
        return output


class Processes:
    """Started one after another, ended in reverse order when the context is left."""

    def __init__(self, logs: Path, env: Mapping[str, str]) -> None:
        self._logs, self._env = logs, env
        self._started: list[Process] = []

    def start(self, name: str, module: Sequence[str]) -> Process:
        process = Process(name, module, log=self._logs / f"{name.replace(' ', '-')}.log", env=self._env)
        self._started.append(process)
        return process

    def check(self) -> None:
        for process in self._started:
            process.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.end()
            process.wait()
