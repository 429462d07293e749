"""One fault of a use-case folder: where, what is wrong, and what would be right."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# What providers and Pilotage itself hand out as keys; a message that repeated one would spread it.
_SECRET = re.compile(r"(?<![A-Za-z0-9])(?:sk|rk|pk|gsk|xai|plt|ghp|hf|AKIA)[-_]?[A-Za-z0-9_-]{16,}")


class Fault(NamedTuple):
    """Sorts by file (usecase.toml comes first), then line."""

    rank: int
    file: str
    line: int
    says: str

    def __str__(self) -> str:
        return printable(f"{self.file}:{self.line}: {self.says}")


def printable(text: str) -> str:
    """Return a text on one line: what a terminal would act on, or not show, is written as an escape."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def looks_secret(text: str) -> bool:
    """Return whether a text has the form of somebody's API key."""
    return any(re.search(r"\d", match[0]) for match in _SECRET.finditer(text))


def shown(value: object) -> str:
    """Return a value as the file writes it, short, and never a key."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "'(a key)'" if looks_secret(value) else repr(value if len(value) <= 60 else value[:57] + "...")
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case int() if abs(value) > 1 << 63:
            return "a very large number"
        case _:
            return str(value)


def meant(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` or the list of what is known here."""
    names = sorted(known)
    near = difflib.get_close_matches(name[:80], names, 1, 0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known here: {', '.join(names)}" if names else ""
