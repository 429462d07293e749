"""A copy of a whole workspace, taken while it serves: as if the machine had stopped at one moment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import WorkspaceUnusable, WrongCall
from pilotage.store.workspace import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pilotage.store.workspace import Workspace

_ATTEMPTS = 5
_STAGE = "backup-"


class Backup(msgspec.Struct, frozen=True):
    """What was copied."""

    files: int
    bytes: int


def back_up(
    workspace: Workspace, target: Path, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> Backup:
    """Copy `workspace` to `target`, a folder that is not there yet and appears only once it is whole.

    Links hold fast what the server may remove meanwhile: first every file gets one, then the state is copied in one read
    transaction, then what came since is linked. So every file that the state names is there, and all of the spool that it
    has not sealed; what is there beyond that is what a crash would leave, and is dealt with as after a crash. `progress` is
    told (bytes copied, of how many). Raise WrongCall for a bad target, WorkspaceUnusable where it cannot be written.
    """
    target = target.absolute()
    if target.exists():
        raise WrongCall(f"{target} is there already", hint="name a folder that is not: a backup never writes over one")
    if target.is_relative_to(workspace.path):
        raise WrongCall(f"{target} lies within the workspace", hint="name a folder elsewhere, best on another disk")
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    stage = workspace.run / f"{_STAGE}{uuid.uuid4().hex}"
    try:
        # An earlier one may have been killed, and its links would keep what was erased since.
        for left in workspace.run.glob(f"{_STAGE}*"):
            shutil.rmtree(left)
        part.mkdir(mode=PRIVATE, parents=True)
        stage.mkdir(mode=PRIVATE)
        _hold(workspace, stage, part)
        done = _copy(stage, part, progress)
        part.rename(target)
        _synced(target.parent)
    except (OSError, sqlite3.Error) as fault:
        raise WorkspaceUnusable(f"the backup to {target} failed: {fault}", hint="nothing was left there") from fault
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        shutil.rmtree(part, ignore_errors=True)
    return done


def _hold(workspace: Workspace, stage: Path, part: Path) -> None:
    """Link every file that belongs together into `stage`, and put the state that names them into `part`."""
    for _ in range(_ATTEMPTS):
        _link(workspace, stage)
        named = _state(workspace.state, part / workspace.state.name)
        _link(workspace, stage)
        if all((stage / "events" / table / name).exists() for table, name in named):
            return
    raise WorkspaceUnusable("files were merged faster than they could be held", hint="try again")


def _link(workspace: Workspace, stage: Path) -> None:
    for folder in (workspace.spool, workspace.events, workspace.texts):
        for file in _files(folder):
            held = stage / file.relative_to(workspace.path)
            held.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            try:
                os.link(file, held)
            except (FileExistsError, FileNotFoundError):
                continue  # held already, or removed since the folder was read


def _state(state: Path, copy: Path) -> list[tuple[str, str]]:
    """Copy the database as it is at one moment; return the sealed files that it names, with their tables."""
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL, 0o600))
    with (
        closing(sqlite3.connect(f"{state.as_uri()}?mode=rw", uri=True)) as live,
        closing(sqlite3.connect(copy)) as made,
    ):
        live.backup(made)
        return list(made.execute("SELECT kind, name FROM event_file"))


def _copy(stage: Path, part: Path, progress: Callable[[int, int], None]) -> Backup:
    held = list(_files(stage))
    of = sum(file.stat().st_size for file in held)
    done = 0
    for file in held:
        copy = part / file.relative_to(stage)
        copy.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        copy.chmod(0o600)
        done += copy.stat().st_size
        progress(done, of)
    written = list(_files(part))
    for file in written:
        _synced(file)
    for folder in {file.parent for file in written}:
        _synced(folder)
    return Backup(files=len(written), bytes=sum(file.stat().st_size for file in written))


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".lock")


def _synced(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
