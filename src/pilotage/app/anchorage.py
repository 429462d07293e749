"""Where checkpoints of the ledger are anchored: a file, a repository's tags, an address that takes them."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage import settings
from pilotage.app.post import post
from pilotage.errors import WorkspaceUnusable

if TYPE_CHECKING:
    from pilotage.governance.anchors import Place

_GIT_SECONDS = 30.0
_TAG = "pilotage-ledger-"
_TAIL = 64 << 10
"""Bytes at a file's end that surely hold its last line."""


def places(environ_anchors: tuple[str, ...]) -> tuple[Place, ...]:
    """Return the places that PILOTAGE_ANCHORS names."""
    return tuple(_place(text) for text in environ_anchors)


def _place(text: str) -> Place:
    if text.startswith(("http://", "https://")):
        return Address(text)
    return Tags(Path(text.removeprefix("git:"))) if text.startswith("git:") else AppendedFile(Path(text))


class AppendedFile:
    """A line an anchor. It is made if it is not there, and only ever appended to (`chattr +a` lets nobody do otherwise)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def lines(self) -> list[str]:
        try:
            return self._path.read_text("utf-8", "replace").splitlines() if self._path.exists() else []
        except OSError as fault:
            raise self._unusable(fault) from None

    def newest(self) -> str:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                found = file.read().decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        except OSError as fault:
            raise self._unusable(fault) from None
        return found[-1] if found else ""

    def put(self, entries: int, line: str) -> None:
        del entries
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size, whole = os.fstat(file).st_size, f"{line}\n".encode()
                if os.write(file, whole) < len(whole):
                    os.ftruncate(file, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as fault:
            raise self._unusable(fault) from None

    def _unusable(self, fault: OSError) -> WorkspaceUnusable:
        return WorkspaceUnusable(f"it cannot be used: {fault.strerror}", hint="PILOTAGE_ANCHORS names it")


class Tags:
    """A git repository: an annotated tag an anchor, pushed to `origin` where there is one. No tag is ever moved."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"git:{path}"

    def lines(self) -> list[str]:
        found = self._git("for-each-ref", f"refs/tags/{_TAG}*", "--format=%(contents)")
        return [line for line in found.splitlines() if line]

    def newest(self) -> str:
        found = self._git(
            "for-each-ref", f"refs/tags/{_TAG}*", "--sort=-refname", "--count=1", "--format=%(contents)"
        ).splitlines()
        return found[0] if found else ""

    def put(self, entries: int, line: str) -> None:
        tag = f"{_TAG}{entries:012d}"
        nothing = self._git("hash-object", "-w", "-t", "tree", "--stdin").strip()
        who = ("-c", "user.name=pilotage", "-c", "user.email=pilotage@localhost")
        self._git(
            *who, "tag", "--annotate", "--no-sign", "--cleanup=verbatim", "--file=-", tag, nothing, said=f"{line}\n"
        )
        if "origin" in self._git("remote").split():
            self._git("push", "--quiet", "origin", f"refs/tags/{tag}")

    def _git(self, *arguments: str, said: str = "") -> str:
        command = ("git", "-C", str(self._path), "-c", "core.hooksPath=/dev/null", *arguments)
        environment = settings.child_environment(GIT_TERMINAL_PROMPT="0", LC_ALL="C")
        try:
            done = subprocess.run(  # noqa: S603 (a path that whoever started the process named)
                command, input=said.encode(), capture_output=True, env=environment, timeout=_GIT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise WorkspaceUnusable(f"git does not answer ({type(fault).__name__})", hint="is git installed?") from None
        if done.returncode:
            said_last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise WorkspaceUnusable(f"git refused: {said_last[0]}", hint="PILOTAGE_ANCHORS names the repository")
        return done.stdout.decode("utf-8", "replace")


class Address:
    """An address that takes each anchor as the body of a POST. What it keeps is read with `ledger verify --anchors`."""

    def __init__(self, url: str) -> None:
        self._url, self._put = url, ""
        self.name = "the address in PILOTAGE_ANCHORS"

    def lines(self) -> None:
        return None

    def newest(self) -> str | None:
        """Return what this process has put there: what came before cannot be read back."""
        return self._put or None

    def put(self, entries: int, line: str) -> None:
        del entries
        if fault := post(self._url, f"{line}\n".encode(), "application/json"):
            raise WorkspaceUnusable(f"it {fault}", hint="it is tried again in a minute")
        self._put = line
