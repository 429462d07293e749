"""What a rollout that goes on must be told of the events that are sealed: all about its open units, who else was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.counting.splits import TENTH
from pilotage.records import Feedback, Finished, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.counting.course import Followed
    from pilotage.counting.observe import Observer
    from pilotage.records import SpoolEvent
    from pilotage.store.base.recorded import Events

UNITS = 200_000
ROWS = 50_000
"""Read at once."""

# Of a field that is not named here, nothing is counted.
_FIELDS: dict[type[SpoolEvent], tuple[str, ...]] = {
    Started: (
        *("id", "use_case", "at", "release", "arm", "deadline", "unit", "rollout", "share", "generation"),
        *("surface", "key", "source", "segment"),
    ),
    Finished: ("id", "use_case", "at", "served", "status", "error", "fallback", "attempts", "duration", "cost"),
    Feedback: ("id", "use_case", "at", "metric", "value", "received", "inference", "key", "unit"),
}


def recount(events: Events, observer: Observer, name: str, followed: Followed) -> None:
    """Feed what is new to the observer under `name` with what is sealed.

    Of a unit that has entered every metric only its digest is read. Everything else is read in pages, so that the memory
    it takes is that of the open units.
    """
    course = observer.course(name)
    bound = course.tracker.bound
    if bound > 0:
        for units in _closed(events, followed, bound):
            course.tracker.closed(units)
    for event in _open(events, followed, bound):
        observer.tell(course, event)


class _Mine(NamedTuple):
    """Which starts are of what is followed: SQL over parameters from ?n on, those parameters, and what names a unit."""

    where: str
    given: tuple[object, ...]
    unit: str


def _mine(followed: Followed, n: int) -> _Mine:
    use_case, period = followed.use_case, followed.period
    if period is None:
        return _Mine(f"use_case = ?{n} AND rollout = ?{n + 1} AND unit <> ''", (use_case, followed.rollout.id), "unit")
    where = (
        f"use_case = ?{n} AND source = 'live' AND arm <> 'pinned'"
        f" AND (release = ?{n + 1} OR (rollout = ?{n + 2} AND release = ?{n + 3}))"
    )
    unit = f"(CASE WHEN unit = '' THEN id ELSE unit END) || '@' || CAST(\"at\" // {period.length} AS VARCHAR)"
    return _Mine(where, (use_case, period.release, *period.holdback), unit)


def _closed(events: Events, followed: Followed, bound: int) -> Iterator[list[str]]:
    """Yield the digests of the units that were first exposed until `bound`, in parts."""
    mine = _mine(followed, 5)
    assigned = "share > 0" if followed.period is None else "true"
    since = 0 if followed.period is None else bound - 2 * followed.period.length
    where = f'FROM started WHERE {mine.where} AND {assigned} AND "at" <= ?1 AND "at" > ?2'
    given = (bound, since)
    # Parameters are numbered, so all of them are used in either statement.
    sql = f"SELECT approx_count_distinct({mine.unit}) AS units {where} AND ?3 = ?4"
    (counted,) = events.query(sql, (*given, 1, 1, *mine.given))
    parts = int(counted["units"]) // UNITS + 1
    for part in range(parts):
        sql = f"SELECT list(DISTINCT {mine.unit}) AS units {where} AND hash(unit) % ?3 = ?4"
        (found,) = events.query(sql, (*given, parts, part, *mine.given))
        yield found["units"] or []


def _open(events: Events, followed: Followed, bound: int) -> Iterator[SpoolEvent]:
    """Yield what units first exposed after `bound` started, how that ended, and what was said since then."""
    # Blind time is told by the tenth of a second.
    after = bound - TENTH
    mine = _mine(followed, 5)
    where = mine.where.removesuffix(" AND unit <> ''")
    yield from _pages(events, Started, where, mine.given, after)
    # An end may be sealed before its start is, so it need not be known to be of this rollout; only of no other.
    elsewhere = f'SELECT id FROM started WHERE use_case = ?5 AND NOT ({where}) AND "at" > ?1'  # noqa: S608
    yield from _pages(events, Finished, f"use_case = ?5 AND id NOT IN ({elsewhere})", mine.given, after)
    said_since = followed.rollout.started if followed.period is None else max(after, followed.rollout.started)
    yield from _pages(events, Feedback, "use_case = ?5 AND received >= ?6", (followed.use_case, said_since), after)


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
