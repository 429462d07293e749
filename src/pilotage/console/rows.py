"""Events and ledger entries as rows for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.store.base.recorded import Events

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


def why(entry: Mapping[str, Any]) -> str:
    """Return one ledger entry's reason; where nobody gave one, what it was about."""
    detail = entry["detail"]
    if detail.get("reason"):
        return str(detail["reason"])
    if "did" in detail or "says" in detail:
        return str(detail.get("did") or f"{detail.get('what', '')} {detail['says']}").strip()
    about = []
    if "month" in detail:
        about.append(f"{detail['month']} came to {detail.get('spent', 0):,.2f}")
    if "from" in detail and "to" in detail:
        about.append(f"{detail['from']} to {detail['to']}")
    if "measure" in detail:
        about.append(f"{detail['measure']} {detail.get('value', 0):.4g}")
    about += [str(detail[name]) for name in ("stage", "name", "release", "candidate") if detail.get(name)]
    return ", ".join(dict.fromkeys(about))
