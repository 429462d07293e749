"""The events as tables: what columns each has, from the records themselves, and the DuckDB that reads and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from pilotage.records import Event, Feedback, Finished, Started, Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLES: dict[str, type[Event]] = {"started": Started, "finished": Finished, "texts": Text, "feedback": Feedback}
TABLE_OF = {struct: table for table, struct in TABLES.items()}

_TYPES = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}


class Column(msgspec.Struct, frozen=True):
    """One column; `default` is an SQL literal, empty for a field that every event has."""

    name: str
    type: str
    default: str = ""


def columns(table: str) -> list[Column]:
    """Return a table's columns: where the event lay in the spool, then the record's fields in their order.

    Nested records (guardrail hits) are JSON text.
    """
    found = [Column("spool_segment", "VARCHAR"), Column("spool_offset", "BIGINT")]
    for field in msgspec.structs.fields(TABLES[table]):
        kind = _TYPES.get(field.type, "VARCHAR")
        default = "" if field.required else _literal(field.default)
        found.append(Column(field.name, kind, default))
    return found


def select(table: str, names: Sequence[str], directory: Path) -> str:
    """Return the SELECT over a table's Parquet files.

    It has every column, whatever the files have: NULL where the version that wrote an event did not know the field.
    """
    listed = ", ".join(f'CAST(NULL AS {column.type}) AS "{column.name}"' for column in columns(table))
    empty = f"SELECT {listed} WHERE false"
    if not names:
        return empty
    paths = ", ".join(quoted(str(directory / table / name)) for name in names)
    return f"{empty} UNION ALL BY NAME SELECT * FROM read_parquet([{paths}], union_by_name = true)"  # noqa: S608 (our own paths)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def connect(directory: Path) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB that reaches files under `directory` and nothing else: no network, no extensions."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "threads": "1",
        },
    )
    for setting in (
        f"SET allowed_directories = [{quoted(str(directory))}]",
        "SET temp_directory = ''",
        # Sealed files never change, so what was read of their layout stays true.
        "SET parquet_metadata_cache = true",
        "SET enable_progress_bar = false",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(setting)
    return connection


def _literal(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return quoted(value)
        case _:
            return quoted(msgspec.json.encode(value).decode())
