"""What it takes for a file's name, and not only its bytes, to survive power loss."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make a folder's entries (new, renamed and removed names) durable."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def publish(new: Path, name: Path) -> None:
    """Give a written file its name durably: whole under that name, or not there at all."""
    file = os.open(new, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(name)
    sync_directory(name.parent)


def put_aside(quarantine: Path, segment: str, offset: int, data: bytes) -> None:
    """Keep what could not be used of a spool segment, durably, under the place where it lay."""
    quarantine.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = quarantine / f"{segment}-{offset}.new"
    new.write_bytes(data)
    new.chmod(0o600)
    publish(new, new.with_suffix(".bytes"))
