"""What a rollout that goes on must be told of the events that are sealed: all about its open units, who else was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.records import Feedback, Finished, Started
from pilotage.rollout.splits import TENTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.records import SpoolEvent
    from pilotage.rollout.observe import Observer
    from pilotage.status import RolloutStatus
    from pilotage.store.base import Events

UNITS = 200_000
ROWS = 50_000
"""Read at once."""

# Of a field that is not named here, nothing is counted.
_FIELDS: dict[type[SpoolEvent], tuple[str, ...]] = {
    Started: (
        *("id", "use_case", "at", "release", "arm", "deadline", "unit", "rollout", "share", "generation"),
        *("surface", "key"),
    ),
    Finished: ("id", "use_case", "at", "served", "status", "error", "fallback", "attempts", "duration", "cost"),
    Feedback: ("id", "use_case", "at", "metric", "value", "received", "inference", "key", "unit"),
}


def recount(events: Events, observer: Observer, use_case: str, rollout: RolloutStatus) -> None:
    """Feed a rollout that is new to the observer with what is sealed.

    Of a unit that has entered every metric only its digest is read. Everything else is read in pages, so that the memory
    it takes is that of the open units.
    """
    tracker = observer.tracker(use_case)
    bound = tracker.bound
    if bound > 0:
        for units in _closed(events, use_case, rollout.id, bound):
            tracker.closed(units)
    for event in _open(events, use_case, rollout, bound):
        observer.feed(event)


def _closed(events: Events, use_case: str, rollout: str, bound: int) -> Iterator[list[str]]:
    """Yield the digests of the units that were first exposed until `bound`, in parts."""
    where = 'FROM started WHERE use_case = ?1 AND rollout = ?2 AND share > 0 AND "at" <= ?3'
    given = (use_case, rollout, bound)
    (counted,) = events.query(f"SELECT approx_count_distinct(unit) AS units {where}", given)
    parts = int(counted["units"]) // UNITS + 1
    for part in range(parts):
        sql = f"SELECT list(DISTINCT unit) AS units {where} AND unit <> '' AND hash(unit) % ?4 = ?5"
        (found,) = events.query(sql, (*given, parts, part))
        yield found["units"] or []


def _open(events: Events, use_case: str, rollout: RolloutStatus, bound: int) -> Iterator[SpoolEvent]:
    """Yield what units first exposed after `bound` started, how that ended, and what was said since then."""
    # Blind time is told by the tenth of a second.
    after = bound - TENTH
    yield from _pages(events, Started, "use_case = ?5 AND rollout = ?6", (use_case, rollout.id), after)
    # An end may be sealed before its start is, so it need not be known to be of this rollout; only of no other.
    elsewhere = 'SELECT id FROM started WHERE use_case = ?5 AND rollout <> ?6 AND "at" > ?1'
    yield from _pages(events, Finished, f"use_case = ?5 AND id NOT IN ({elsewhere})", (use_case, rollout.id), after)
    yield from _pages(events, Feedback, "use_case = ?5 AND received >= ?6", (use_case, rollout.started), after)


def _pages(
    events: Events, kind: type[SpoolEvent], where: str, given: tuple[object, ...], after: int
) -> Iterator[SpoolEvent]:
    """Yield the records of one table with "at" > after, page by page in a total order."""
    table = kind.__name__.lower()
    columns = ", ".join(f'"{name}"' for name in (*_FIELDS[kind], "spool_segment", "spool_offset"))
    sql = (
        f'SELECT {columns} FROM {table} WHERE "at" >= ?1'  # noqa: S608
        f' AND ("at" > ?1 OR (spool_segment, spool_offset) > (?2, ?3)) AND {where}'
        ' ORDER BY "at", spool_segment, spool_offset LIMIT ?4'
    )
    place: tuple[int, str, int] = (after + 1, "", -1)
    while True:
        rows = events.query(sql, (*place, ROWS, *given))
        for row in rows:
            yield _record(row, kind)
        if len(rows) < ROWS:
            return
        place = rows[-1]["at"], rows[-1]["spool_segment"], rows[-1]["spool_offset"]


def _record(row: dict[str, Any], kind: type[SpoolEvent]) -> SpoolEvent:
    """Return a row as the record it was; a NULL is a field that the version which wrote the event did not know."""
    known = {name: value for name, value in row.items() if value is not None} if None in row.values() else row
    return msgspec.convert(known, kind, strict=False)
