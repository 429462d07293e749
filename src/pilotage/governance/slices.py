"""Where a release is right and where it is not: what evidence tells by kind and scenario, as tables, the weakest first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pilotage.records import Evidence


class _Share(msgspec.Struct, frozen=True):
    """The share of right replies in one slice, whose bounds hold in all slices of its table at once."""

    right: int
    wrong: int
    low: float
    high: float
    unscored: int = 0
    value: float | None = None


class _Gap(msgspec.Struct, frozen=True):
    """The candidate less the baseline in one slice; `p` is corrected by Holm over all of the table."""

    n: int
    difference: float
    low: float
    high: float
    p: float
    differs: bool


def slices_of(facts: Mapping[str, Evidence | None]) -> list[dict[str, Any]]:
    """Return a table for each way in which the newest evidence is sliced into two parts or more.

    Details are whatever somebody recorded: what has another shape, as of an older version, is no table.
    """
    found: list[dict[str, Any]] = []
    if (quality := facts.get("quality")) is not None:
        parts = quality.detail.get("slices")
        for by in ("scenario", "kind"):
            found += _table("quality", by, parts.get(by) if isinstance(parts, dict) else None, _share)
    if (difference := facts.get("quality_difference")) is not None:
        found += _table("quality_difference", "scenario", difference.detail.get("scenarios"), _gap)
    return found


def _table(measure: str, by: str, given: Any, row: Callable[[str, Any], dict[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(given, dict) or len(given) < 2:
        return []
    try:
        rows = [row(str(name), one) for name, one in given.items()]
    except msgspec.ValidationError:
        return []
    if not all(math.isfinite(one[key]) for one in rows for key in ("value", "low", "high") if one[key] is not None):
        return []
    rows.sort(key=lambda one: (one["value"] is None, one["value"] or 0.0, one["name"]))
    return [{"measure": measure, "by": by, "rows": rows}]


def _share(name: str, given: Any) -> dict[str, Any]:
    one = msgspec.convert(given, _Share)
    said = {"value": one.value, "low": one.low, "high": one.high, "p": None, "differs": None}
    return {"name": name, "n": one.right + one.wrong, "unscored": one.unscored, **said}


def _gap(name: str, given: Any) -> dict[str, Any]:
    one = msgspec.convert(given, _Gap)
    said = {"value": one.difference, "low": one.low, "high": one.high, "p": one.p, "differs": one.differs}
    return {"name": name, "n": one.n, "unscored": 0, **said}
