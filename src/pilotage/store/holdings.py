"""What is held of one unit beside the store: its events, and its texts under its own key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.errors import NotFound
from pilotage.records import Text
from pilotage.store.texts import Texts, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.store.base import Erasure, Events, Store

_MINE = """
    WITH mine AS (SELECT id, key FROM started WHERE use_case = $1 AND unit = $2)
    SELECT * FROM {table} WHERE use_case = $1 AND ({whose}) ORDER BY "at", id
"""
_WHOSE = {
    "started": "unit = $2",
    "finished": "id IN (SELECT id FROM mine)",
    "texts": "id IN (SELECT id FROM mine)",
    "feedback": "unit = $2 OR inference IN (SELECT id FROM mine) OR key IN (SELECT key FROM mine WHERE key <> '')",
}
_FAILED = """
    SELECT inference, max("at") AS "at", min(metric) AS metric FROM feedback
    WHERE use_case = $1 AND inference <> '' AND (
        (metric IN (SELECT unnest($2)) AND value <= 0) OR (metric IN (SELECT unnest($3)) AND value > 0)
    )
    GROUP BY inference ORDER BY 2 DESC, 1 LIMIT $4
"""


class Holdings:
    """`erase` is the sealer's, for only who seals may replace what is sealed."""

    def __init__(self, store: Store, events: Events, texts: Texts, erase: Callable[[Erasure], dict[str, int]]) -> None:
        self._store, self._events, self._texts, self._erase = store, events, texts, erase

    def find(self, use_case: str, unit: str) -> dict[str, int]:
        return {table: len(self._rows(table, use_case, unit)) for table in _WHOSE}

    def export(self, use_case: str, unit: str) -> dict[str, list[dict[str, Any]]]:
        found = {table: self._rows(table, use_case, unit) for table in _WHOSE if table != "texts"}
        found["texts"] = [self._text(row) for row in self._rows("texts", use_case, unit)]
        return found

    def texts(self, use_case: str, inferences: Sequence[str]) -> list[dict[str, Any]]:
        found = self._events.query(
            'SELECT * FROM texts WHERE use_case = $1 AND id IN (SELECT unnest($2)) ORDER BY "at"',
            (use_case, list(inferences)),
        )
        told = [self._text(row) for row in found]
        kept = {one["inference"] for one in told}
        return told + [{"inference": one, "gone": "no text of it is kept"} for one in inferences if one not in kept]

    def failures(self, use_case: str, *, low: Sequence[str], high: Sequence[str], most: int) -> list[dict[str, Any]]:
        return self._events.query(_FAILED, (use_case, list(low), list(high), most))

    def spent(self, since: int, until: int) -> dict[str, int]:
        rows = self._events.query(
            "SELECT use_case, CAST(sum(cost) AS BIGINT) AS spent FROM inferences"
            " WHERE finished_at >= $1 AND finished_at < $2 GROUP BY use_case",
            (since, until),
        )
        return {str(row["use_case"]): int(row["spent"] or 0) for row in rows}

    def erase(self, erasure: Erasure) -> dict[str, int]:
        return self._erase(erasure)

    def _rows(self, table: str, use_case: str, unit: str) -> list[dict[str, Any]]:
        return self._events.query(_MINE.format(table=table, whose=_WHOSE[table]), (use_case, unit))

    def _text(self, row: dict[str, Any]) -> dict[str, Any]:
        where = Text(**{name: row[name] for name in Text.__struct_fields__})
        told: dict[str, Any] = {"inference": where.id, "at": where.at}
        try:
            with self._store.read() as tx:
                request, reply = read_text(tx, self._texts, where)
        except NotFound as gone:
            return {**told, "gone": gone.message}
        return {**told, "request": request, "reply": reply}
