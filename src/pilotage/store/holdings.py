"""What is held of one unit beside the store: its events, and its texts under its own key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.errors import NotFound
from pilotage.records import Text
from pilotage.store.inferences import InferencesReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.store.base.erasable import Erasure
    from pilotage.store.base.holdings import Found, Wanted
    from pilotage.store.base.recorded import Events
    from pilotage.store.base.transaction import Store
    from pilotage.store.texts import Texts

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
        self._inferences = InferencesReader(events)

    def find(self, use_case: str, unit: str) -> dict[str, int]:
        return {table: len(self._rows(table, use_case, unit)) for table in _WHOSE}

    def export(self, use_case: str, unit: str) -> dict[str, list[dict[str, Any]]]:
        found = {table: self._rows(table, use_case, unit) for table in _WHOSE if table != "texts"}
        found["texts"] = self._read(self._rows("texts", use_case, unit))
        return found

    def texts(self, use_case: str, inferences: Sequence[str]) -> list[dict[str, Any]]:
        if not inferences:
            return []
        told = self._read(
            self._events.query(
                # The range tells which parts of which files need not be read.
                'SELECT * FROM texts WHERE use_case = $1 AND id >= $2 AND id <= $3 AND id IN (SELECT unnest($4)) ORDER BY "at"',
                (use_case, min(inferences), max(inferences), list(inferences)),
            )
        )
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

    def search(self, use_case: str, wanted: Wanted, *, before: str = "", most: int = 50) -> Found:
        return self._inferences.search(use_case, wanted, before=before, most=most)

    def inferences(self, use_case: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        return self._inferences.rows(use_case, ids)

    def erase(self, erasure: Erasure) -> dict[str, int]:
        return self._erase(erasure)

    def _rows(self, table: str, use_case: str, unit: str) -> list[dict[str, Any]]:
        return self._events.query(_MINE.format(table=table, whose=_WHOSE[table]), (use_case, unit))

    def _read(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return texts in the clear, or why there is none."""
        places = [Text(**{name: row[name] for name in Text.__struct_fields__}) for row in rows]
        with self._store.read() as tx:
            keys = tx.unit_keys.by_id({place.unit_key for place in places})
        return [self._text(place, keys.get(place.unit_key)) for place in places]

    def _text(self, place: Text, key: bytes | None) -> dict[str, Any]:
        told: dict[str, Any] = {"inference": place.id, "at": place.at}
        if key is None:
            return {**told, "gone": f"the text of inference {place.id} was erased: its unit's key was destroyed"}
        try:
            request, reply = self._texts.read(place, key)
        except NotFound as gone:
            return {**told, "gone": gone.message}
        return {**told, "request": request, "reply": reply}
