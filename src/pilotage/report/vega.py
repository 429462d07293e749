"""Pictures as plain data: Vega-Lite specifications (version 5) that any program of that kind draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_COLOURS = {"pass": "#1a7f37", "fail": "#c2410c", "inconclusive": "#9a6700", "missing": "#9a6700", "waived": "#57606a"}


def intervals(title: str, rows: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    """Return a specification of values with their intervals; rows are `{measure, value, low, high, verdict}`."""
    colour = {
        "field": "verdict",
        "type": "nominal",
        "scale": {"domain": list(_COLOURS), "range": list(_COLOURS.values())},
    }
    across = {"type": "quantitative", "title": unit}
    names = {"field": "measure", "type": "nominal", "title": None, "sort": None}
    return {
        "$schema": _SCHEMA,
        "title": title,
        "data": {"values": [dict(row) for row in rows]},
        "encoding": {"y": names, "color": colour},
        "layer": [
            {"mark": {"type": "rule"}, "encoding": {"x": {"field": "low", **across}, "x2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True}, "encoding": {"x": {"field": "value", **across}}},
        ],
    }
