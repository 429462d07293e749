"""Files that commands are given and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.errors import WrongCall

if TYPE_CHECKING:
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
