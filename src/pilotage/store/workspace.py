"""The folder in which one Pilotage keeps everything, and the lock that says who works in it."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import WorkspaceUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = 0o700


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """Where the running server is reached from this machine: process id, the two base URLs, and the token for commands.

    `certificate` is what its control API presents (PEM), empty where it speaks no TLS.
    """

    pid: int
    gateway: str
    control: str
    token: str
    certificate: str = ""


class Workspace:
    """Names the places; `prepare` makes them, `require` insists that they are there."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self.state = self.path / "state.db"
        self.spool = self.path / "spool"
        self.events = self.path / "events"
        self.texts = self.path / "texts"
        self.run = self.path / "run"
        self._lock = self.path / "lock"
        self._control = self.run / "control.json"

    def prepare(self) -> Workspace:
        """Make the folder and its parts (0700) where they are missing, and close it to others; return self."""
        with self._explained():
            self.path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._insist_on_ours()
            # It holds secrets and texts. Once nobody else comes this far, nothing in it can be opened meanwhile.
            _close(self.path)
            for part in (self.spool, self.events, self.texts, self.run):
                part.mkdir(mode=PRIVATE, exist_ok=True)
                _close(part)
            for file in (self.state, *self.path.glob(f"{self.state.name}-*")):
                with suppress(FileNotFoundError):
                    _close(file)
        return self

    def require(self) -> Workspace:
        """Raise WorkspaceUnusable unless this is a workspace; return self."""
        if self.path.exists() and not self.path.is_dir():
            raise WorkspaceUnusable(
                f"{self.path} is a file, not a workspace", hint="--workspace names a folder; the default is ./.pilotage"
            )
        if not self.state.exists():
            raise WorkspaceUnusable(
                f"{self.path} is not a workspace",
                hint="`pilotage apply DIR` or `pilotage serve` makes one; --workspace names another",
            )
        return self

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for this process; raise WorkspaceUnusable, naming the holder, where another has it.

        The lock ends with the process, however it ends.
        """
        with self._explained():
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise WorkspaceUnusable(
                    f"workspace {self.path} is in use by process {holder}",
                    hint=f"wait for it, stop it (kill {holder}), or choose another --workspace",
                ) from None
            with self._explained():
                os.ftruncate(file, 0)
                os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(file)

    def control(self) -> Control | None:
        """Return where the running server is reached, or None where none runs."""
        try:
            control = msgspec.json.decode(self._control.read_bytes(), type=Control)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except msgspec.MsgspecError as fault:
            raise WorkspaceUnusable(
                f"{self._control} cannot be read: {fault}", hint="if no `pilotage serve` is running, remove it"
            ) from fault
        try:
            os.kill(control.pid, 0)
        except ProcessLookupError:
            # Left behind by a server that was killed.
            return None
        except PermissionError:
            pass
        return control

    def write_control(self, control: Control) -> None:
        """Publish where this server is reached, readable by this user alone, whole or not at all."""
        new = self._control.with_suffix(".new")
        with self._explained():
            new.unlink(missing_ok=True)
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as out:
                out.write(msgspec.json.encode(control))
            new.replace(self._control)

    def clear_control(self) -> None:
        with suppress(FileNotFoundError):
            self._control.unlink()

    def _insist_on_ours(self) -> None:
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise WorkspaceUnusable(
                f"workspace {self.path} belongs to user {owner}, and this is user {os.geteuid()}",
                hint="run Pilotage as its owner, or choose another --workspace",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            says, hint = _EXPLAINED.get(fault.errno or 0, ("cannot be used", "check the path and the disk"))
            raise WorkspaceUnusable(f"workspace {self.path} {says} ({fault})", hint=hint) from fault


def _close(path: Path) -> None:
    """Take from everybody else what they may do with a file or folder of ours."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        path.chmod(mode & PRIVATE)


_WRITABLE = "make it writable for this user, or choose another --workspace"
_NO_FOLDER = "--workspace names a folder; the default is ./.pilotage"
_EXPLAINED = {
    errno.ENOENT: ("does not exist", "`pilotage apply DIR` or `pilotage serve` makes one; --workspace names another"),
    errno.EEXIST: ("is a file, not a folder", _NO_FOLDER),
    errno.ENOTDIR: ("is not a folder", _NO_FOLDER),
    errno.EACCES: ("may not be written by this user", _WRITABLE),
    errno.EPERM: ("may not be written by this user", _WRITABLE),
    errno.EROFS: ("is on a read-only disk", _WRITABLE),
    errno.ENOSPC: ("is on a full disk", "free some space; nothing was changed"),
    errno.EDQUOT: ("is over its quota", "free some space; nothing was changed"),
}
