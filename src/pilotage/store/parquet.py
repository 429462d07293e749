"""The Parquet files of the tables: rows written, rows that do not fit put aside, many files merged into one."""

from __future__ import annotations

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

# What DuckDB says of a value that does not fit its column. Nothing of the machine (disk, memory) is among them.
_UNFIT = (duckdb.DataError, duckdb.InvalidInputException)

log = logging.getLogger(__name__)


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
            self._duckdb.execute(f"COPY ({rows}) TO {quoted(str(new))} (FORMAT parquet, COMPRESSION zstd)")

    def _publish(self, table: str, name: str) -> None:
        with self._explained():
            (self._directory / table / f"{name}.new").chmod(0o600)
            publish(self._directory / table / f"{name}.new", self._directory / table / name)

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
