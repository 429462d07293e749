"""Sealed events: written as Parquet exactly once by one process, read as tables by any."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import uuid
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from pilotage.errors import Conflict, WorkspaceUnusable
from pilotage.records import Feedback, Started
from pilotage.store.parquet import ERASED, Row, TableFiles, hashed_key
from pilotage.store.tables import TABLE_OF, TABLES, connect, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pilotage.records import SpoolEvent
    from pilotage.store.base.erasable import Erasure
    from pilotage.store.base.recorded import SpoolReader
    from pilotage.store.base.transaction import Store

# A table's files are merged when this many of like size have come together, so their number grows with the logarithm
# of the rows.
_TOGETHER = 16
_ATTEMPTS = 5
log = logging.getLogger(__name__)


class Sealer:
    """Writes events as Parquet and lists the files; one at a time on one workspace (WorkspaceUnusable otherwise).

    A file counts from the moment the store lists it, in the same transaction that moves the segment's progress. What a
    crash leaves before that is an unlisted file: the next sealer sweeps it away and seals those events again.

    `quarantined` counts the events with a value that their table cannot hold: they are put aside.
    """

    def __init__(self, directory: Path, store: Store) -> None:
        self._directory = directory
        self._store = store
        for table in TABLES:
            (directory / table).mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(directory / "sealer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise WorkspaceUnusable(
                f"another process is sealing events in {directory}",
                hint="only one control process may run on a workspace",
            ) from None
        self._sweep()
        self._files = TableFiles(directory)
        self._encoder = msgspec.json.Encoder()

    @property
    def quarantined(self) -> int:
        return self._files.quarantined

    def seal(
        self, segment: str, start: int, end: int, events: Sequence[tuple[int, SpoolEvent]], *, finished: bool
    ) -> None:
        """Make [start, end) of a segment, which holds `events`, part of the tables: all of it or nothing.

        Raises Conflict where `start` is not how far the segment is sealed.
        """
        with self._store.read() as tx:
            # Asked before anything is written: the file of a range that is listed already must not be written over.
            sealed = tx.progress.sealed(segment)
        if sealed != start:
            raise Conflict(f"segment {segment} is sealed up to {sealed}, not {start}", hint="read on from there")
        lines: dict[str, list[Row]] = {}
        for offset, event in self._without_erased(events):
            # The encoded event begins with its tag; the segment and offset go before it.
            place = b'{"spool_segment":%b,"spool_offset":%d,' % (self._encoder.encode(segment), offset)
            row = Row(segment, offset, place + self._encoder.encode(event)[1:], event)
            lines.setdefault(TABLE_OF[type(event)], []).append(row)
        files = []
        for table, rows in lines.items():
            name = f"{segment}-{start}-{end}.parquet"
            count = self._files.write(table, name, rows)
            if count:
                files.append((table, name, count))
        with self._store.write() as tx:
            tx.progress.seal(segment, start, end, files, finished=finished)
        for table in lines:
            try:
                self._merge(table)
            except WorkspaceUnusable as fault:
                # The events are sealed, which is what was asked; the next sealing tries again to merge.
                log.warning("small files of %s stay unmerged: %s", table, fault)

    def erase(self, erasure: Erasure) -> dict[str, int]:
        """Put a pseudonym in a unit's place, and in that of its business keys, wherever they stand in sealed files.

        Files are written anew and listed in place of the old ones, which are then unlinked; return rows by table.
        """
        changed: dict[str, int] = {}
        with self._store.read() as tx:
            listed = {table: tx.progress.listed(table) for table in ERASED}
        keys = self._files.keys_of([name for name, _ in listed["started"]], erasure)
        for table in ERASED:
            for old, count in listed[table]:
                rows = self._files.mentions(table, old, erasure, keys)
                if not rows:
                    continue
                name = f"erased-{uuid.uuid4().hex}.parquet"
                self._files.erased(table, old, name, erasure, keys)
                with self._store.write() as tx:
                    tx.progress.replace(table, [old], name, count)
                (self._directory / table / old).unlink(missing_ok=True)
                changed[table] = changed.get(table, 0) + rows
        return changed

    def _without_erased(self, events: Sequence[tuple[int, SpoolEvent]]) -> Sequence[tuple[int, SpoolEvent]]:
        """Return events with those of units that were erased after they came under their pseudonyms."""
        with self._store.read() as tx:
            erased = tx.erasures.open()
        if not erased:
            return events
        by_unit = {(one.use_case, one.unit): one for one in erased}
        return [(offset, _pseudonymous(event, by_unit)) for offset, event in events]

    def close(self) -> None:
        self._files.close()
        os.close(self._lock)

    def _merge(self, table: str) -> None:
        """Merge files of like size where enough have come together."""
        with self._store.read() as tx:
            listed = tx.progress.listed(table)
        sizes: dict[int, list[tuple[str, int]]] = {}
        for name, count in listed:
            # Powers of 16: a merged file is of the next size, so each row is rewritten once a size.
            sizes.setdefault(count.bit_length() // 4, []).append((name, count))
        for alike in sizes.values():
            if len(alike) < _TOGETHER:
                continue
            old = [name for name, _ in alike]
            name = f"merged-{uuid.uuid4().hex}.parquet"
            self._files.merge(table, old, name)
            with self._store.write() as tx:
                tx.progress.replace(table, old, name, sum(count for _, count in alike))
            for gone in old:
                (self._directory / table / gone).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a crash left: files that no transaction listed, and those that a merge had replaced."""
        for table in TABLES:
            with self._store.read() as tx:
                listed = set(tx.progress.files(table))
            for path in (self._directory / table).iterdir():
                if path.name not in listed:
                    path.unlink()


def _pseudonymous(event: SpoolEvent, erased: Mapping[tuple[str, str], Erasure]) -> SpoolEvent:
    if not isinstance(event, (Started, Feedback)) or not event.unit:
        return event
    one = erased.get((event.use_case, event.unit))
    came = event.received if isinstance(event, Feedback) else event.at
    if one is None or came > one.at:
        return event
    key = hashed_key(one.pseudonym, event.key) if event.key else ""
    return msgspec.structs.replace(event, unit=one.pseudonym, key=key)


def ingest(spool: SpoolReader, sealer: Sealer, store: Store) -> int:
    """Seal everything that the spool holds and drop the segments that are done; return how many events that was."""
    with store.read() as tx:
        finished = tx.progress.finished()
    sealed = 0
    for segment in spool.segments():
        if segment in finished:
            continue
        with store.read() as tx:
            start = tx.progress.sealed(segment)
        while True:
            events, end, ended = spool.read(segment, start)
            if end > start or ended:
                sealer.seal(segment, start, end, events, finished=ended)
                sealed += len(events)
            if ended:
                finished.append(segment)
            if ended or end == start:
                break
            start = end
    for segment in finished:
        # In this order: forgetting a segment that is still there would seal it again.
        spool.remove(segment)
        with store.write() as tx:
            tx.progress.forget(segment)
    return sealed


# `at` is a reserved word of DuckDB: write it in double quotes.
_FEEDBACK = """
    SELECT * FROM feedback_rows
    QUALIFY row_number() OVER (PARTITION BY use_case, id ORDER BY received, spool_segment, spool_offset) = 1
"""
_INFERENCES = """
    WITH first_started AS (
        SELECT * FROM started QUALIFY row_number() OVER (PARTITION BY use_case, id ORDER BY "at", spool_offset) = 1
    ), first_finished AS (
        SELECT * FROM finished QUALIFY row_number() OVER (PARTITION BY use_case, id ORDER BY "at", spool_offset) = 1
    )
    SELECT s.* EXCLUDE (spool_segment, spool_offset),
        f.id IS NOT NULL AS finished, f."at" AS finished_at,
        f.* EXCLUDE (spool_segment, spool_offset, id, use_case, "at")
    FROM first_started s LEFT JOIN first_finished f ON s.use_case = f.use_case AND s.id = f.id
"""


class EventsReader:
    """Tables `started`, `finished`, `texts`, `feedback` (each caller's id once) and `inferences` (one row each).

    `inferences` has the columns of `started`, then `finished` (whether), `finished_at` and the columns of `finished`,
    which are NULL while it is not. Any process, any thread.
    """

    def __init__(self, directory: Path, store: Store) -> None:
        self._directory = directory
        self._store = store
        self._duckdb = connect(directory)
        self._lock = threading.Lock()
        self._files: dict[str, list[str]] = {}

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run one SELECT with `?` or `$1` parameters over everything sealed so far; return rows by column name."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._lock:
                    self._refresh()
                with self._duckdb.cursor() as cursor:
                    cursor.execute(sql, list(parameters))
                    names = [column[0] for column in cursor.description or ()]
                    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            except duckdb.IOException as fault:
                # A merge may unlink a file between the listing and the reading; the next listing has its successor.
                if attempt + 1 == _ATTEMPTS:
                    raise WorkspaceUnusable(
                        f"the events in {self._directory} cannot be read: {fault}",
                        hint="a listed file is missing or damaged: restore the workspace from a backup",
                    ) from fault
        raise AssertionError

    def close(self) -> None:
        self._duckdb.close()

    def _refresh(self) -> None:
        with self._store.read() as tx:
            files = {table: tx.progress.files(table) for table in TABLES}
        if files == self._files:
            return
        for table, names in files.items():
            view = "feedback_rows" if table == "feedback" else table
            self._duckdb.execute(f"CREATE OR REPLACE VIEW {view} AS {select(table, names, self._directory)}")
        self._duckdb.execute(f"CREATE OR REPLACE VIEW feedback AS {_FEEDBACK}")
        self._duckdb.execute(f"CREATE OR REPLACE VIEW inferences AS {_INFERENCES}")
        self._files = files
