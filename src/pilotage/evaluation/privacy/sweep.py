"""A search for many values in all bytes of a folder, in every form in which a program may have written them down."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse
from typing import TYPE_CHECKING

import duckdb
import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_WINDOW = 8
_CHUNK = 16 << 20
_PARQUET = b"PAR1"
_NOT_DIGITS = re.compile(r"\D")


class Trace(msgspec.Struct, frozen=True):
    """A value that was found: whose (its number), of what kind, and in which file."""

    whose: int
    kind: str
    where: str


class Looked(msgspec.Struct, frozen=True):
    """What was searched."""

    files: int
    bytes: int


class Sweep:
    """`wanted` are values by (whose, kind). A value is looked for as text, as JSON and URLs escape it, in base64 wherever it
    begins, in UTF-16, and, where it is a number, without what parts its digits. Case does not count.
    """

    def __init__(self, wanted: Mapping[tuple[int, str], str]) -> None:
        self._by_start: dict[int, list[tuple[bytes, int, str]]] = {}
        for (whose, kind), value in wanted.items():
            for form in set(_forms(value)):
                if len(form) >= _WINDOW:
                    self._by_start.setdefault(_start(form), []).append((form, whose, kind))
        self._starts = np.array(sorted(self._by_start), dtype=np.uint64)
        self._longest = max((len(form) for found in self._by_start.values() for form, _, _ in found), default=0)

    def text(self, text: str) -> set[tuple[int, str]]:
        """Return (whose, kind) of all values in a text."""
        return set(self._in(text.encode("utf-8", "surrogatepass").lower()))

    def folder(self, folder: Path, since: float, besides: Iterable[Path] = ()) -> tuple[list[Trace], Looked]:
        """Search every file below a folder that was written since then (seconds of the epoch), and these others.

        Parquet is read as its tables, for its pages are compressed.
        """
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        traces: list[Trace] = []
        looked, size = 0, 0
        for path in (*files, *besides):
            try:
                stat = path.stat()
                if stat.st_mtime < since:
                    continue
                found = set(self._file(path))
            except FileNotFoundError:
                continue  # sealed or swept away meanwhile: what it held is in another file
            looked += 1
            size += stat.st_size
            where = str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
            traces += [Trace(whose, kind, where) for whose, kind in sorted(found)]
        return traces, Looked(looked, size)

    def _file(self, path: Path) -> Iterator[tuple[int, str]]:
        with path.open("rb") as file:
            kept = b""
            first = True
            while chunk := file.read(_CHUNK):
                if first and chunk.startswith(_PARQUET):
                    break
                first = False
                data = kept + chunk.lower()
                yield from self._in(data)
                kept = data[-self._longest :]
            else:
                return
        yield from self._in(_parquet(path))

    def _in(self, data: bytes) -> Iterator[tuple[int, str]]:
        if len(data) < _WINDOW or not len(self._starts):
            return
        # The eight bytes at every place as one number each: eight views of the data, one for each alignment.
        for shift in range(_WINDOW):
            words = np.frombuffer(data, dtype=np.uint64, offset=shift, count=(len(data) - shift) // _WINDOW)
            nearest = self._starts[np.searchsorted(self._starts, words).clip(max=len(self._starts) - 1)]
            for at in np.flatnonzero(nearest == words):
                place = shift + int(at) * _WINDOW
                for form, whose, kind in self._by_start[int(words[at])]:
                    if data.startswith(form, place):
                        yield whose, kind


def _start(form: bytes) -> int:
    return int(np.frombuffer(form[:_WINDOW], dtype=np.uint64)[0])


def _forms(value: str) -> Iterator[bytes]:
    low = value.lower()
    texts = {low, json.dumps(low)[1:-1], urllib.parse.quote(low), urllib.parse.quote_plus(low)}
    digits = _NOT_DIGITS.sub("", low)
    compact = low.replace(" ", "")
    if len(digits) >= len(compact) - 2:
        texts |= {digits, compact}
    for text in texts:
        yield text.lower().encode()
        yield text.lower().encode("utf-16-le")
    for text in (value, low):
        # In base64 a text looks different by where it begins; what its neighbours touch is left out.
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + text.encode())
            yield encoded[-(-shift * 8 // 6) : len(encoded) - 4 if (shift + len(text.encode())) % 3 else None].lower()


def _parquet(path: Path) -> bytes:
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT * FROM read_parquet($1)", [str(path)])
        return "\n".join("\t".join(map(str, row)) for row in rows.fetchall()).lower().encode()


def now() -> float:
    """Return the time to give as `since`: file systems keep times more coarsely than clocks do."""
    return time.time() - 1.0
