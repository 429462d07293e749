"""Paths and glob patterns of a use-case folder, the same for a folder on disk and one sent over the network."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

_MAGIC = frozenset("*?[")
_LONGEST_PATH = 1_000
_PATH_FAULTS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda path: not path.strip(), "is empty; name a file, relative to usecase.toml"),
    (lambda path: len(path) > _LONGEST_PATH, f"is longer than {_LONGEST_PATH} characters"),
    (lambda path: not path.isprintable(), "holds a character that cannot be printed; rename the file"),
    (lambda path: "\\" in path, "holds a backslash; write / between folders"),
    (
        lambda path: path.startswith(("/", "~")) or path[1:2] == ":",
        "is not relative; name a file within the use case's folder, relative to usecase.toml",
    ),
    (
        lambda path: ".." in path.split("/"),
        "leaves the use case's folder; copy the file into it and name it there",
    ),
    (lambda path: not normal(path), "names the folder itself; name files within it"),
)


def path_fault(path: str) -> str:
    """Return why this cannot name a file within the folder and what would be right, or an empty string."""
    return next((says for applies, says in _PATH_FAULTS if applies(path)), "")


def normal(path: str) -> str:
    """Return the one way to write a path: without `.` and empty parts."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def is_pattern(path: str) -> bool:
    return not _MAGIC.isdisjoint(path)


def root_of(pattern: str) -> str:
    """Return the folder within which every match lies: the parts before the first one with a wildcard."""
    parts = normal(pattern).split("/")
    plain = next((index for index, part in enumerate(parts) if is_pattern(part)), len(parts) - 1)
    return "/".join(parts[:plain])


def matching(pattern: str, paths: Iterable[str]) -> list[str]:
    """Return the paths that a glob pattern names, sorted.

    `*` and `?` stay within one part, `**` as a part stands for any number of folders, and a wildcard never matches the
    leading dot of a hidden name. A pattern without wildcards names one file, or every file below that folder.
    """
    wanted = tuple(normal(pattern).split("/"))
    if not is_pattern(pattern):
        wanted = (*wanted, "**")
    return sorted(path for path in paths if _matches(path.split("/"), wanted))


def _matches(parts: list[str], wanted: tuple[str, ...]) -> bool:
    """Match part by part; `reached` holds how many of `wanted` may be consumed so far, so nothing is tried twice."""
    reached = _skip({0}, wanted)
    for part in parts:
        after = set()
        for index in reached:
            if index == len(wanted):
                continue
            if wanted[index] == "**":
                if not part.startswith("."):
                    after.add(index)
            elif _part(wanted[index]).match(part) and (not part.startswith(".") or wanted[index].startswith(".")):
                after.add(index + 1)
        reached = _skip(after, wanted)
    return len(wanted) in reached


def _skip(reached: set[int], wanted: tuple[str, ...]) -> set[int]:
    """`**` may also stand for nothing."""
    for start in sorted(reached):
        index = start
        while index < len(wanted) and wanted[index] == "**":
            index += 1
            reached.add(index)
    return reached


@lru_cache(maxsize=1_000)
def _part(wanted: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(wanted) if is_pattern(wanted) else re.escape(wanted) + r"\Z")
