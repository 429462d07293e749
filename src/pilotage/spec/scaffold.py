"""A new use case's folder: commented, complete, and faultless as it is."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from pilotage.errors import Refused, WrongCall
from pilotage.spec.variant import Name

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

_NAME = "help-desk"
_NAMED = ("usecase.toml", "README.md")
_ADAPTER: TypeAdapter[str] = TypeAdapter(Name)


def write(directory: Path, name: str = "") -> list[Path]:
    """Write the scaffold and return its files; without a name, the directory's own is made into one.

    Raises Refused where the directory is not empty or cannot be written, WrongCall where the name is none.
    """
    chosen = _checked(name or name_from(directory))
    written = []
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            msg = f"{directory} is not an empty folder"
            raise Refused(msg, hint="name a new folder, or empty this one; nothing was changed")
        for path, data in _files(resources.files("pilotage.spec") / "scaffold"):
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            text = data.decode()
            target.write_text(text.replace(_NAME, chosen) if path in _NAMED else text, encoding="utf-8")
            written.append(target)
    except OSError as error:
        msg = f"{directory} cannot be written: {error.strerror}"
        raise Refused(msg, hint="name a folder that you may write to") from error
    return written


def name_from(directory: Path) -> str:
    """Return the directory's name in the form of a use case's: `My Help Desk` becomes `my-help-desk`."""
    return re.sub(r"[^a-z0-9_]+", "-", directory.resolve().name.lower()).strip("-_")


def _checked(name: str) -> str:
    try:
        return _ADAPTER.validate_python(name)
    except ValidationError:
        msg = f"{name!r} is not a name for a use case"
        hint = "names begin with a lower-case letter and hold lower-case letters, digits, - and _ only (at most 63)"
        raise WrongCall(msg, hint=hint) from None


def _files(folder: Traversable, within: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{within}{entry.name}"
        found += _files(entry, f"{path}/") if entry.is_dir() else [(path, entry.read_bytes())]
    return found
