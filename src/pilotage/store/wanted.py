"""What is looked for among inferences, as the condition of a query."""

# ruff: noqa: S608 (values are parameters; every name is written here)
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.store.base.holdings import Wanted

ANY = "*"
_MINE = "use_case = $1 AND id >= $2 AND id < $3"
_OUTCOMES = {
    "answered": "error = '' AND NOT fallback AND NOT cancelled",
    "error": "error <> ''",
    "fallback": "fallback",
    "cancelled": "cancelled",
}


class Question:
    """Builds the WHERE clause over `started s`. Every value is a parameter; all else is written here."""

    def __init__(self, use_case: str, low: str, high: str, ways: Sequence[str]) -> None:
        """`ways` are those by which feedback joins beside the inference's id: `key`, `unit`."""
        self.parameters: list[object] = [use_case, low, high]
        self._ways = ways

    def given(self, value: object) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def where(self, wanted: Wanted) -> str:
        parts = ["s.use_case = $1", "s.id >= $2", "s.id < $3"]
        named = {name: getattr(wanted, name) for name in ("release", "arm", "source", "unit")}
        parts += [f"s.{name} = {self.given(value)}" for name, value in named.items() if value]
        if wanted.since:
            parts.append(f's."at" >= {self.given(wanted.since)}')
        if wanted.until:
            parts.append(f's."at" <= {self.given(wanted.until)}')
        if finished := self._finished(wanted):
            parts.append(f"s.id IN (SELECT id FROM finished WHERE {_MINE} AND {finished})")
        if wanted.outcome == "unfinished":
            parts.append(f"s.id NOT IN (SELECT id FROM finished WHERE {_MINE})")
        if wanted.metric:
            parts.append(self._said(wanted))
        if wanted.texts:
            parts.append(f"s.id IN (SELECT id FROM texts WHERE {_MINE})")
        return " AND ".join(parts)

    def _finished(self, wanted: Wanted) -> str:
        parts = [_OUTCOMES[wanted.outcome]] if wanted.outcome in _OUTCOMES else []
        for name, limits in (("duration", wanted.duration), ("cost", wanted.cost)):
            low, high = limits
            if low is not None:
                parts.append(f"{name} >= {self.given(low)}")
            if high is not None:
                parts.append(f"{name} <= {self.given(high)}")
        if wanted.error:
            parts.append(f"error = {self.given(wanted.error)}")
        if wanted.hit == ANY:
            parts.append("hits <> '[]'")
        elif wanted.hit:
            # As it stands in the JSON: names are checked in the file, so nothing in them is escaped there.
            named = f'"guardrail":"{wanted.hit}"'
            parts.append(f"contains(hits, {self.given(named)})")
        return " AND ".join(parts)

    def _said(self, wanted: Wanted) -> str:
        """Feedback joins by the inference, by its business key, or by its unit."""
        what = [f"use_case = $1 AND metric = {self.given(wanted.metric)}"]
        low, high = wanted.value
        if low is not None:
            what.append(f"value >= {self.given(low)}")
        if high is not None:
            what.append(f"value <= {self.given(high)}")
        told = " AND ".join(what)
        # One set, and not conditions with OR between them: those would be looked up row by row.
        found = [f"SELECT inference FROM feedback_rows WHERE {told} AND inference >= $2 AND inference < $3"]
        found += [
            f"SELECT id FROM started WHERE {_MINE} AND {way} <> '' AND {way} IN (SELECT {way} FROM feedback_rows"
            f" WHERE {told} AND inference = '' AND {way} <> '')"
            for way in self._ways
        ]
        return f"s.id IN ({' UNION ALL '.join(found)})"
