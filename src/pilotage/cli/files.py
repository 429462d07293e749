"""Files that commands are given and write."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise WrongCall(f"{file} cannot be read: {fault}") from None
    except OSError as fault:
        raise WrongCall(f"{file} cannot be read: {fault.strerror}") from None


def write_text(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise WrongCall(f"{file} cannot be written: {fault.strerror}") from None


@contextmanager
def new_file(file: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `file` once all is written, and is gone where anything failed."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as writing:
            yield writing
        part.replace(file)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise WrongCall(f"{file} cannot be written: {fault.strerror}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
