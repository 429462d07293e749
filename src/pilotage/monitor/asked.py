"""What was asked of a live release and answered by it: one request a unit and cycle, with its texts where they are kept."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.clock import DAY, HOUR
from pilotage.decision.drift import Asked, read
from pilotage.decision.traits import of_figures, question_of
from pilotage.errors import NotFound
from pilotage.records import GuardrailHit, Text
from pilotage.store.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.monitor.vectors import Vectors
    from pilotage.spec.use_case import UseCase
    from pilotage.store.base.recorded import Events
    from pilotage.store.base.transaction import Store
    from pilotage.store.texts import Texts

LONGEST = HOUR
"""A request that took longer than this is not looked at."""
AT_ONCE = 2_000
"""Requests that are looked at in one tick; of more, as many taken by the hash of their ids."""
TEXTS_AT_ONCE = 400
_hits = msgspec.json.Decoder(tuple[GuardrailHit, ...])

_ASKED = """
    WITH first AS (
        SELECT f.id, f."at", f.duration, f.counted, f.input_tokens, f.output_tokens, f.cost, f.finish_reason, f.hits, f.model
        FROM finished f JOIN started s ON s.use_case = f.use_case AND s.id = f.id
        WHERE f.use_case = $1 AND f."at" > $2 AND f."at" <= $4 AND s.use_case = $1 AND s."at" > $5 AND s."at" <= $4
          AND s.release = $6 AND s.source = 'live' AND s.arm <> 'pinned' AND f.served = $6 AND f.attempts > 0 AND f.error = ''
        QUALIFY row_number() OVER (
            PARTITION BY CASE WHEN s.unit = '' THEN s.id ELSE s.unit END, f."at" // $7 ORDER BY f."at", f.id
        ) = 1
    )
    SELECT * FROM first WHERE "at" > $3 ORDER BY md5(id) LIMIT $8
"""
_TEXTS = 'SELECT * FROM texts WHERE use_case = $1 AND "at" > $2 AND id IN (SELECT unnest($3))'


class Seen(NamedTuple):
    """Requests, and the models that their providers say have answered."""

    asked: tuple[Asked, ...]
    models: tuple[str, ...]


class AskedReader:
    """Reads sealed events and texts; blocks. How long requests took is left out unless `timed`."""

    def __init__(self, store: Store, events: Events, texts: Texts, *, timed: bool = True) -> None:
        self._store, self._events, self._texts, self._timed = store, events, texts, timed

    def between(
        self,
        spec: UseCase,
        release: str,
        after: int,
        until: int,
        *,
        vectors: Vectors | None = None,
        most: int = AT_ONCE,
        texts: int = TEXTS_AT_ONCE,
    ) -> Seen:
        """Return what ended in (after, until], by the first request of each unit in its cycle, with its question's vector."""
        cycle = spec.watch.cycle
        # From where the cycle began: a unit that asked in it before is not asked about again.
        begins = after // cycle * cycle - 1
        parameters = (spec.name, begins, after, until, begins - LONGEST, release, cycle, most)
        rows = self._events.query(_ASKED, parameters)
        kept = self._kept(spec, rows[:texts], begins) if spec.data.retention != "none" else {}
        seed = self.seed(spec.name)
        asked = []
        for row in rows:
            hits = [msgspec.structs.asdict(hit) for hit in _hits.decode(row["hits"] or "[]")]
            figures = of_figures(row, hits, timed=self._timed)
            asked.append(read(row["id"], figures, kept.get(row["id"]), row["finish_reason"], seed))
        if vectors is not None:
            with_text = [at for at, one in enumerate(asked) if one.text is not None]
            rows_of = vectors.of([kept[asked[at].id][0] for at in with_text])
            for at, vector in zip(with_text, rows_of, strict=True):
                asked[at] = msgspec.structs.replace(asked[at], vector=vector)
        return Seen(tuple(asked), tuple(sorted({row["model"] for row in rows if row["model"]})))

    def seed(self, use_case: str) -> int:
        """Return the secret under which a use case's words are hashed."""
        secret = self._store.secret("unit")
        return int.from_bytes(hashlib.sha256(secret + b"\0words\0" + use_case.encode()).digest()[:8], "big")

    def _kept(self, spec: UseCase, rows: Sequence[dict[str, Any]], after: int) -> dict[str, tuple[str, str]]:
        """Return (question, reply) of those whose texts are still there."""
        if not rows:
            return {}
        names = Text.__struct_fields__
        found = {}
        places = self._events.query(_TEXTS, (spec.name, after - DAY, [row["id"] for row in rows]))
        with self._store.read() as tx:
            for place in places:
                try:
                    request, reply = read_text(tx, self._texts, Text(**{name: place[name] for name in names}))
                except NotFound:
                    continue
                found[place["id"]] = (question_of(request), reply)
        return found
