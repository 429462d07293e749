"""A use case's folder as bytes: read from disk, or sent over the network. Nothing outside it is ever read."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotage.errors import FaultyFile
from pilotage.spec.pattern import is_pattern, matching, normal, path_fault, root_of
from pilotage.spec.position import TOO_DEEP, Positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = "usecase.toml"
FILE_LIMIT = 20 << 20
TOTAL_LIMIT = 100 << 20
TOML_LIMIT = 1 << 20
COUNT_LIMIT = 10_000
LIST_LIMIT = 100
NAMES_LIMIT = 1_000
"""Every pattern is held against every file."""
_VISIT_LIMIT = 100_000

ONE_FILE = ("prompt", "file")
"""Keys that name one file, where the others name any number, by patterns."""

KeyPath = tuple[str | int, ...]


class Folder:
    """Relative POSIX paths and their bytes. `unreadable` says, by path, why a named file could not be had."""

    def __init__(self, files: Mapping[str, bytes], unreadable: Mapping[str, str] | None = None) -> None:
        """Take files sent by somebody else; raise FaultyFile for paths that leave the folder and for too much data."""
        faults = []
        self.files: dict[str, bytes] = {}
        for path, data in files.items():
            fault = path_fault(path) or _size_fault(path, len(data))
            if not fault and normal(path) in self.files:
                fault = "is given twice"
            if fault:
                faults.append(f"{path[:200]!r}: this path {fault}")
            self.files[normal(path)] = data
        if sum(map(len, self.files.values())) > TOTAL_LIMIT:
            faults.append(
                f"{FILE}: the folder's files are above {TOTAL_LIMIT >> 20} MB together; name fewer or smaller files"
            )
        if len(self.files) > COUNT_LIMIT:
            faults.append(f"{FILE}: the folder has {len(self.files)} files; at most {COUNT_LIMIT} may be named")
        if faults:
            raise FaultyFile(faults[:100])
        self.unreadable = dict(unreadable or {})

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Folder:
        """Read `usecase.toml` and what it names, and nothing else. What is wrong inside is for `load` to say."""
        return _Reader(Path(directory)).folder()

    def match(self, pattern: str) -> list[str]:
        """Return the paths (readable or not) that a glob pattern names, sorted; `usecase.toml` is never among them."""
        return [path for path in matching(pattern, {*self.files, *self.unreadable}) if path != FILE]


def parse(data: bytes) -> dict[str, Any]:
    """Return the tables of a TOML file; raise ValueError (tomllib's own where it is not TOML) otherwise."""
    if len(data) > TOML_LIMIT:
        msg = f"is {len(data):,} bytes long; at most {TOML_LIMIT:,} are read"
        raise ValueError(msg)
    text = data.decode("utf-8-sig")
    line = Positions(text).too_deep
    if line:
        msg = f"nested more than {TOO_DEEP} levels deep (at line {line})"
        raise ValueError(msg)
    return tomllib.loads(text)


def named(tables: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield (where it stands, path or pattern) for every file that a use case names; wrong types are passed over.

    What is beyond the limits is left out; `crowded` says so.
    """
    return islice(_named(tables), NAMES_LIMIT)


def crowded(tables: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield (where it stands, what is wrong) for what names more than is looked at."""
    for where, _ in _named(tables):
        if where[-1] == LIST_LIMIT:
            yield where[:-1], f"names more than {LIST_LIMIT} files and patterns; write patterns such as folder/**/*.md"
    for where, _ in islice(_named(tables), NAMES_LIMIT, NAMES_LIMIT + 1):
        yield (
            where,
            f"is beyond the {NAMES_LIMIT:,} files and patterns that one use case may name; write fewer, wider ones",
        )


def _named(tables: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    variants = tables.get("variants")
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        if not isinstance(variant, dict):
            continue
        prompt = variant.get("prompt")
        if isinstance(prompt, str) and prompt:
            yield ("variants", name, "prompt"), prompt
        yield from _strings(("variants", name, "knowledge"), variant.get("knowledge"))
    filters = tables.get("filters")
    for name, one in filters.items() if isinstance(filters, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("file"), str) and one["file"]:
            yield ("filters", name, "file"), one["file"]
    evaluation = tables.get("evaluation")
    if isinstance(evaluation, dict):
        for key in ("cases", "probes", "templates", "labels"):
            yield from _strings(("evaluation", key), evaluation.get(key))


def _strings(where: KeyPath, value: object) -> Iterator[tuple[KeyPath, str]]:
    # One more than the limit, by which it is seen to be passed.
    for index, item in enumerate(value[: LIST_LIMIT + 1] if isinstance(value, list) else ()):
        if isinstance(item, str):
            yield (*where, index), item


def _size_fault(path: str, size: int) -> str:
    limit = TOML_LIMIT if path == FILE else FILE_LIMIT
    return f"is larger than {limit >> 20} MB, more than is read; split it" if size > limit else ""


class _Reader:
    """One reading of one folder, within its limits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.real = Path(os.path.realpath(root))
        self.files: dict[str, bytes] = {}
        self.unreadable: dict[str, str] = {}
        self.total = 0
        self.visited = 0

    def folder(self) -> Folder:
        if not self.root.is_dir():
            raise FaultyFile([f"{self.root}: there is no such folder; `pilotage init {self.root}` makes one"])
        self._take(FILE)
        if FILE in self.unreadable:
            raise FaultyFile([f"{self.root / FILE}: {self.unreadable[FILE]}"])
        try:
            tables = parse(self.files[FILE])
        except ValueError:
            return Folder(self.files)
        for _, path in named(tables):
            for found in self._found(path):
                self._take(found)
        return Folder(self.files, self.unreadable)

    def _found(self, path: str) -> list[str]:
        if path_fault(path):
            return []
        path = normal(path)
        if not is_pattern(path) and not self._is_folder(path):
            return [path]
        base = root_of(path) if is_pattern(path) else path
        if not self._inside(base):
            return []
        return matching(path, self._walk(base))

    def _is_folder(self, path: str) -> bool:
        try:
            return (self.root / path).is_dir()
        except OSError:
            return False

    def _inside(self, path: str) -> bool:
        real = Path(os.path.realpath(self.root / path))
        return real == self.real or self.real in real.parents

    def _walk(self, base: str) -> Iterator[str]:
        """Yield every file below a folder, without following links to folders."""
        waiting = [base]
        while waiting:
            folder = waiting.pop()
            try:
                entries = sorted(os.scandir(self.root / folder), key=lambda entry: entry.name)
            except OSError:
                continue
            self.visited += len(entries)
            if self.visited > _VISIT_LIMIT:
                raise FaultyFile(
                    [f"{self.root / FILE}: its patterns reach more than {_VISIT_LIMIT:,} files; name narrower ones"]
                )
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                else:
                    yield path

    def _take(self, path: str) -> None:
        """Read one file, or note why not."""
        if path in self.files or path in self.unreadable:
            return
        fault = path_fault(path) or self._cannot_take(path)
        if fault:
            self.unreadable[path] = fault
            return
        try:
            data = self._bytes(path)
        except FileNotFoundError:
            self.unreadable[path] = "is not there"
        except OSError as error:
            self.unreadable[path] = f"cannot be read: {error.strerror}"
        else:
            fault = _size_fault(path, len(data))
            if not fault and self.total + len(data) > TOTAL_LIMIT:
                fault = f"would bring the folder above {TOTAL_LIMIT >> 20} MB"
            if fault:
                self.unreadable[path] = fault
            else:
                self.total += len(data)
                self.files[path] = data

    def _cannot_take(self, path: str) -> str:
        if len(self.files) > COUNT_LIMIT:
            return f"is more than the {COUNT_LIMIT:,} files that one use case may name"
        if not self._inside(path):
            return "is a link that leaves the use case's folder; copy the file into it"
        return ""

    def _bytes(self, path: str) -> bytes:
        """Return at most one byte more than the limit."""
        # Without waiting: a pipe or a device that stands here must not hold the reader. Links were resolved before.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(os.path.realpath(self.root / path), flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "not a file")
            return file.read((TOML_LIMIT if path == FILE else FILE_LIMIT) + 1)
