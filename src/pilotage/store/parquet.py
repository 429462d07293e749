"""The Parquet files of the tables: rows written, rows that do not fit put aside, many files merged into one."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import msgspec

from pilotage.errors import WorkspaceUnusable
from pilotage.store.disk import publish, put_aside
from pilotage.store.tables import columns, connect, quoted, select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pilotage.records import SpoolEvent
    from pilotage.store.base.erasable import Erasure

# What DuckDB says of a value that does not fit its column. Nothing of the machine (disk, memory) is among them.
_UNFIT = (duckdb.DataError, duckdb.InvalidInputException)

_ROW_GROUP = 20_480
"""Rows that are decoded together: a sixth of the default, for who looks at one inference, or at a page of them."""

log = logging.getLogger(__name__)


ERASED = ("started", "feedback")
"""Tables that name units."""


def hashed_key(pseudonym: str, key: str) -> str:
    """Return what stands for a business key of an erased unit: the same for the same key, and nothing else's."""
    return hashlib.sha256(f"{pseudonym}\0{key}".encode()).hexdigest()[:32]


class Row(NamedTuple):
    """One event, where it lay, and the line of JSON that becomes its row."""

    segment: str
    offset: int
    line: bytes
    event: SpoolEvent


class TableFiles:
    """Writes files below `directory`, durably and whole or not at all. Who lists them says that they count."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._duckdb = connect(directory)
        self._encoder = msgspec.json.Encoder()
        self.quarantined = 0

    def close(self) -> None:
        self._duckdb.close()

    def write(self, table: str, name: str, rows: list[Row]) -> int:
        """Write the rows that fit, put aside those that do not, and return how many were written."""
        try:
            self._convert(table, name, rows)
        except _UNFIT:
            rows = self._fitting(table, name, rows)
            if rows:
                self._convert(table, name, rows)
        if rows:
            self._publish(table, name)
        return len(rows)

    def _fitting(self, table: str, name: str, rows: list[Row]) -> list[Row]:
        """Return the rows that can be written, found by halves; one alone that cannot is put aside."""
        try:
            self._convert(table, name, rows)
        except _UNFIT as fault:
            if len(rows) > 1:
                half = len(rows) // 2
                return self._fitting(table, name, rows[:half]) + self._fitting(table, name, rows[half:])
            self._put_aside(rows[0], fault)
            return []
        return rows

    def _put_aside(self, row: Row, fault: duckdb.Error) -> None:
        quarantine = self._directory.parent / "spool" / "quarantine"
        payload = self._encoder.encode(row.event)
        with self._explained():
            put_aside(quarantine, row.segment, row.offset, payload)
        self.quarantined += 1
        # Not the fault's own words: they quote the value.
        log.warning(
            "spool segment %s at byte %d: %d bytes moved to %s: an event with a value that its table cannot hold (%s)",
            row.segment,
            row.offset,
            len(payload),
            quarantine,
            type(fault).__name__,
        )

    def _convert(self, table: str, name: str, rows: list[Row]) -> None:
        """Write rows as the Parquet file that `_publish` gives its name."""
        source = self._directory / table / f"{name}.rows"
        listed = ", ".join(f'"{column.name}": {quoted(column.type)}' for column in columns(table))
        chosen = ", ".join(
            f'coalesce("{column.name}", {column.default}) AS "{column.name}"' if column.default else f'"{column.name}"'
            for column in columns(table)
        )
        with self._explained():
            source.write_bytes(b"\n".join(row.line for row in rows))
        try:
            self._copy(
                f"SELECT {chosen} FROM read_json({quoted(str(source))},"  # noqa: S608 (names of our own records)
                f" format = 'newline_delimited', columns = {{{listed}}})",
                table,
                name,
            )
        finally:
            source.unlink()

    def _copy(self, rows: str, table: str, name: str) -> None:
        new = self._directory / table / f"{name}.new"
        with self._explained():
            self._duckdb.execute(
                f"COPY ({rows}) TO {quoted(str(new))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
            )

    def _publish(self, table: str, name: str) -> None:
        with self._explained():
            (self._directory / table / f"{name}.new").chmod(0o600)
            publish(self._directory / table / f"{name}.new", self._directory / table / name)

    def keys_of(self, names: Sequence[str], erasure: Erasure) -> tuple[str, ...]:
        """Return the business keys of a unit's inferences."""
        source = select("started", names, self._directory)
        with self._explained():
            rows = self._duckdb.execute(
                f"SELECT DISTINCT key FROM ({source}) WHERE use_case = ? AND unit = ? AND key <> ''",  # noqa: S608
                (erasure.use_case, erasure.unit),
            ).fetchall()
        return tuple(key for (key,) in rows)

    def mentions(self, table: str, name: str, erasure: Erasure, keys: Sequence[str]) -> int:
        """Return how many rows of one file name a unit or one of its business keys."""
        source = select(table, [name], self._directory)
        with self._explained():
            row = self._duckdb.execute(
                f"SELECT count(*) FROM ({source}) WHERE use_case = ? AND (unit = ? OR list_contains(?, key))",  # noqa: S608
                (erasure.use_case, erasure.unit, list(keys)),
            ).fetchone()
        return int(row[0]) if row else 0

    def erased(self, table: str, old: str, name: str, erasure: Erasure, keys: Sequence[str]) -> None:
        """Write one file anew with the pseudonym in the unit's place, and in that of its business keys."""
        mine = f"use_case = {quoted(erasure.use_case)} AND"
        unit, pseudonym = quoted(erasure.unit), quoted(erasure.pseudonym)
        cases = " ".join(f"WHEN {quoted(key)} THEN {quoted(hashed_key(erasure.pseudonym, key))}" for key in keys)
        key = f"CASE WHEN {mine} true THEN CASE key {cases} ELSE key END ELSE key END" if keys else "key"
        self._copy(
            f"SELECT * REPLACE (CASE WHEN {mine} unit = {unit} THEN {pseudonym} ELSE unit END AS unit, {key} AS key)"  # noqa: S608
            f" FROM ({select(table, [old], self._directory)})",
            table,
            name,
        )
        self._publish(table, name)

    def merge(self, table: str, names: Sequence[str], name: str) -> None:
        """Write the rows of these files as one new file."""
        self._copy(select(table, names, self._directory), table, name)
        self._publish(table, name)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, duckdb.IOException) as fault:
            raise WorkspaceUnusable(
                f"events cannot be sealed in {self._directory}: {fault}",
                hint="free some space on that disk; the events stay in the spool until then",
            ) from fault
