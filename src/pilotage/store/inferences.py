"""Inferences found by what they were and what came of them, newest first, in time that does not grow with the store.

An inference's id begins with its time, and so does the name under which it stands in every table. So the search goes
back over ranges of ids: sealed files tell which ids they hold, and what lies beyond a range is not read. A first range
is short; one in which too little was found is followed by a longer one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import MINUTE
from pilotage.records import GuardrailHit
from pilotage.store.base.holdings import Found
from pilotage.store.wanted import Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pilotage.store.base.holdings import Wanted
    from pilotage.store.base.recorded import Events

FIRST = 15_000
"""Inferences in the first range that is searched, about."""
WIDER = 4
LATELY_SECONDS = 30.0
WIDEST = 45_000
"""Inferences that one search looks at in any case, about. It goes on while it is quick; whoever asks goes on from there."""
QUICK_SECONDS = 0.025
_SLACK = 10 * MINUTE
"""How much later than its id's time an inference may have started (its request was long in coming)."""
_BEYOND = "~"
"""Comes after every id."""
_hits = msgspec.json.Decoder(tuple[GuardrailHit, ...])

_EXTENT = 'SELECT count(*) AS n, min("at") AS oldest, max("at") AS newest FROM started WHERE use_case = $1'
_WAYS = """
    SELECT count(*) AS n, coalesce(bool_or(inference = '' AND key <> ''), false) AS key,
        coalesce(bool_or(inference = '' AND key = ''), false) AS unit
    FROM feedback_rows WHERE use_case = $1 AND $2 IN ('', metric)
"""
_THESE = "use_case = $1 AND id >= $2 AND id <= $3 AND id IN (SELECT unnest($4))"
_STARTED = f"SELECT * FROM started WHERE {_THESE}"  # noqa: S608 (ours)
_FINISHED = f"SELECT * FROM finished WHERE {_THESE}"  # noqa: S608
_TEXTS = f"SELECT id FROM texts WHERE {_THESE}"  # noqa: S608
_SAID = f"SELECT * FROM feedback_rows WHERE {_THESE.replace('id ', 'inference ')}"  # noqa: S608
_SAID_BY = {
    "key": "SELECT * FROM feedback_rows WHERE use_case = $1 AND inference = '' AND key IN (SELECT unnest($2))",
    "unit": "SELECT * FROM feedback_rows WHERE use_case = $1 AND inference = '' AND key = '' AND unit IN (SELECT unnest($2))",
}


class InferencesReader:
    """Reads sealed events; blocks."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._asked: dict[tuple[str, tuple[object, ...]], tuple[float, dict[str, Any]]] = {}

    def search(self, use_case: str, wanted: Wanted, *, before: str = "", most: int = 50) -> Found:
        """Find the newest inferences that are as wanted, of those with an id below `before`."""
        ids: list[str] = []
        there = int(self._lately(_EXTENT, (use_case,))["n"])
        looked, began = 0, time.monotonic()
        ranges = list(self._ranges(use_case, wanted, before))
        for number, (low, high, about) in enumerate(ranges):
            ids += self._ids(use_case, wanted, low, high, most + 1 - len(ids))
            looked = min(looked + about, there)
            if len(ids) > most:
                return Found(ids[:most], ids[most - 1], looked, cut=False)
            if looked >= WIDEST and time.monotonic() - began > QUICK_SECONDS and number + 1 < len(ranges):
                # Nothing below this range was looked at.
                return Found(ids, low, looked, cut=True)
        return Found(ids, "", looked, cut=False)

    def _ranges(self, use_case: str, wanted: Wanted, before: str) -> Iterator[tuple[str, str, int]]:
        """Yield (first id, id beyond the last, about how many there are), newest first, with no gap between them."""
        extent = self._lately(_EXTENT, (use_case,))
        if not extent["n"]:
            return
        oldest = max(extent["oldest"] - _SLACK, wanted.since - _SLACK)
        newest = min(extent["newest"], wanted.until or extent["newest"])
        high = min(before or _BEYOND, _id_at(wanted.until + 1000) if wanted.until else _BEYOND)
        newest = min(newest, _time_of(before, newest)) if before else newest
        a_microsecond = extent["n"] / max(extent["newest"] - extent["oldest"], 1)
        width = FIRST
        while True:
            low_at = newest - int(width / a_microsecond)
            if low_at <= oldest:
                yield _id_at(wanted.since - _SLACK) if wanted.since else "", high, width
                return
            yield (low := _id_at(low_at)), high, width
            high, newest, width = low, low_at, min(width * WIDER, WIDEST)

    def _ids(self, use_case: str, wanted: Wanted, low: str, high: str, most: int) -> list[str]:
        question = Question(use_case, low, high, self._ways(use_case, wanted.metric) if wanted.metric else ())
        started = question.where(wanted)
        rows = self._events.query(
            f"SELECT DISTINCT s.id FROM started s WHERE {started} ORDER BY s.id DESC LIMIT {question.given(most)}",  # noqa: S608 (ours; values are parameters)
            question.parameters,
        )
        return [row["id"] for row in rows]

    def _lately(self, sql: str, parameters: tuple[object, ...]) -> dict[str, Any]:
        """Return the first row of what is the same from page to page, or nearly. Of much, it is asked again only after a while."""
        now = time.monotonic()
        known = self._asked.get((sql, parameters))
        if known is not None and now - known[0] <= LATELY_SECONDS:
            return known[1]
        row = self._events.query(sql, parameters)[0]
        # What is old goes, so that what is kept does not grow.
        self._asked = {key: one for key, one in self._asked.items() if now - one[0] <= LATELY_SECONDS}
        if row["n"] >= FIRST:
            self._asked[sql, parameters] = now, row
        return row

    def rows(self, use_case: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return inferences in the order of their ids, the newest first, each with what came of it."""
        if not ids:
            return []
        ordered = sorted(ids, reverse=True)
        span = (use_case, ordered[-1], ordered[0], ordered)
        started = _first(self._events.query(_STARTED, span), "at")
        finished = _first(self._events.query(_FINISHED, span), "at")
        kept = {row["id"] for row in self._events.query(_TEXTS, span)}
        said = self._events.query(_SAID, span)
        for way in self._ways(use_case, ""):
            names = sorted({row[way] for row in started.values() if row[way]})
            said += self._events.query(_SAID_BY[way], (use_case, names)) if names else []
        joined = _Said(_first(said, "received").values())
        return [
            _row(started[one], finished.get(one), joined.of(started[one]), one in kept)
            for one in ordered
            if one in started
        ]

    def _ways(self, use_case: str, metric: str) -> list[str]:
        """Return by what feedback joins beside the inference's id, of a metric if one is named: `key`, `unit`."""
        found = self._lately(_WAYS, (use_case, metric))
        return [way for way in _SAID_BY if found[way]]


def _first(rows: Sequence[dict[str, Any]], by: str) -> dict[str, dict[str, Any]]:
    """Return the first row of each id: an event that was appended twice counts once."""
    ordered = sorted(rows, key=lambda row: (row[by], row["spool_segment"], row["spool_offset"]))
    return {row["id"]: row for row in reversed(ordered)}


class _Said:
    """Feedback by what it joins: one of the three that it names."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._by: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows:
            by = next(way for way in _JOINS if row[way])
            told = {name: row[name] for name in ("metric", "value", "at", "received")} | {"by": by}
            self._by.setdefault((by, row[by]), []).append(told)

    def of(self, started: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what was said of one inference, the oldest first."""
        found = [one for by, own in _JOINS.items() for one in self._by.get((by, started[own]), ())]
        return sorted(found, key=lambda one: int(one["at"]))


_JOINS = {"inference": "id", "key": "key", "unit": "unit"}


def _row(
    started: dict[str, Any], finished: dict[str, Any] | None, said: list[dict[str, Any]], text: bool
) -> dict[str, Any]:
    apart = ("spool_segment", "spool_offset")
    row = {name: value for name, value in started.items() if name not in apart}
    ended = None
    if finished is not None:
        ended = {name: value for name, value in finished.items() if name not in (*apart, "id", "use_case", "hits")}
        ended["hits"] = [msgspec.structs.asdict(hit) for hit in _hits.decode(finished["hits"] or "[]")]
    return {**row, "finished": ended, "feedback": said, "text": text}


def _id_at(at: int) -> str:
    """Return what the ids of a time begin with."""
    return f"{max(at, 0) // 1000:012x}"


def _time_of(inference: str, default: int) -> int:
    """Return the time that an id begins with, in microseconds."""
    try:
        return int(inference[:12], 16) * 1000 + 999
    except ValueError:
        return default
