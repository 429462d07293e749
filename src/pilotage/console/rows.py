"""Sealed events as rows for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from pilotage.store.base import Events

TABLES = ("inferences", "started", "finished", "feedback", "texts")
MOST = 10_000


def newest(events: Events, table: str, *, limit: int, use_case: str = "") -> list[dict[str, Any]]:
    """Return the newest events of one table, newest first; raise WrongCall for an unknown table or limit."""
    if table not in TABLES:
        raise WrongCall(f"there is no table {table!r}", hint=f"there are: {', '.join(TABLES)}")
    if not 1 <= limit <= MOST:
        raise WrongCall(f"limit is {limit}", hint=f"it lies between 1 and {MOST:,}")
    return events.query(
        f"SELECT * FROM {table} WHERE ?1 = '' OR use_case = ?1 ORDER BY \"at\" DESC, id LIMIT ?2",  # noqa: S608 (one of TABLES)
        (use_case, limit),
    )
