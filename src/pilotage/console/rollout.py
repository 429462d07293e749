"""One rollout: its steps, the split, what is known of each metric as it came to be known, and what would move it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from pilotage.clock import DAY, HOUR, MINUTE
from pilotage.console.acting import offered
from pilotage.decision.wording import variant_of
from pilotage.report.axis import number
from pilotage.report.line import Line, line_chart
from pilotage.report.steps import step_chart
from pilotage.report.tile import tile
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

DECISIONS = 40
ROWS = 12
"""Of the points behind a picture, as many as stand in the table below it."""
_STEPS = (
    "promote",
    "advance",
    "roll_back",
    "rollback",
    "pause",
    "resume",
    "futile",
    "hold",
    "drop",
    "alarm_act",
    "approve",
)


class RolloutPages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/use-cases/{name}/rollout", self.rollout),
            Route("/use-cases/{name}/rollout/{id}", self.rollout),
        ]

    async def rollout(self, request: Request) -> Response:
        return await self._page.answer(request, self._rollout)

    def _rollout(self, actor: Actor, request: Request) -> Response:
        name, wanted = request.path_params["name"], request.path_params.get("id", "")
        status = self._page.run(actor, "status", {"use_case": name})["use_cases"][0]
        if not wanted and status["rollout"] is None:
            return self._page.show(
                "rollout.html", name=name, use_case=status, rollout=None, offered=offered(actor, status)
            )
        found = self._page.run(actor, "rollout", {"use_case": name, "rollout": wanted})
        unit, size = scale_of(found)
        return self._page.show(
            "rollout.html",
            name=name,
            use_case=status,
            offered=offered(actor, status) if not wanted or found["state"] else [],
            rollout=found,
            split=split_picture(found, unit, size),
            metrics=[metric_of(one, found, unit, size) for one in found["metrics"]],
            moves=moves(found),
            decisions=[entry for entry in self._page.entries(actor, 400, name) if belongs(entry, found)][:DECISIONS],
        )


def scale_of(found: Mapping[str, Any]) -> tuple[str, int]:
    """Return what time is counted in on the pictures, and that in microseconds."""
    times = [at for at, _ in found["splits"]] + [point[0] for point in found["points"]]
    span = max(times) - min(times) if times else 0
    return ("days", DAY) if span > 3 * DAY else ("hours", HOUR) if span > 3 * HOUR else ("minutes", MINUTE)


def split_picture(found: Mapping[str, Any], unit: str, size: int) -> str:
    """Return the share that candidates had over time; empty where there is no time to speak of."""
    splits = found["splits"]
    if len({at for at, _ in splits}) < 2:
        return ""
    begins = splits[0][0]
    points = [((at - begins) / size, share / MILLION) for at, share in splits]
    return step_chart("Candidates' share of all requests", points, across=unit, name="share").inline


def metric_of(one: Mapping[str, Any], found: Mapping[str, Any], unit: str, size: int) -> dict[str, Any]:
    """Return a metric with its picture (empty before two points), the newest readings by candidate, and a table's rows."""
    lead = found["candidates"]
    begins = min([point[0] for point in found["points"]] + [at for at, _ in found["splits"]], default=0)
    lines = []
    for release in lead:
        points = [
            (point[0], point[3][release][one["name"]])
            for point in found["points"]
            if one["name"] in point[3].get(release, {})
        ]
        if len({at for at, _ in points}) > 1:
            lines.append(
                Line(
                    variant_of(release),
                    tuple(((at - begins) / size, reading[0]) for at, reading in points),
                    tuple((reading[1], reading[2]) for _, reading in points),
                )
            )
    shown = [point for point in found["points"] if any(one["name"] in metrics for metrics in point[3].values())]
    every = max(1, math.ceil(len(shown) / ROWS))
    write = writer(one)
    state = found["state"]
    readings = {
        release: metrics[one["name"]]
        for release, metrics in (state["readings"] if state else {}).items()
        if one["name"] in metrics
    }
    levels = [(0.0, "no difference")] + (
        [(one["line"], "margin" if one["role"] == "guardrail" else "smallest that matters")]
        if one["line"] is not None
        else []
    )
    return {
        **one,
        "picture": line_chart(
            f"{one['name']}: candidate minus baseline",
            lines,
            across=unit,
            levels=levels,
            span=span_of(lines, levels),
            write=write,
        ).inline
        if lines
        else "",
        "tiles": [
            {
                "release": variant_of(release),
                "reading": reading,
                "tile": tile(
                    f"{one['name']} of {variant_of(release)}",
                    reading["value"],
                    reading["low"],
                    reading["high"],
                    line=one["line"],
                ).inline,
                "shown": "harm"
                if reading["harmed"]
                else "proven"
                if reading["proved"]
                else "futile"
                if reading["futile"]
                else "nothing yet",
                "matured": reading["units"] + reading["against"],
                "proof": share_of(reading["log_proof"], one["proof_line"]),
                "against": share_of(reading["log_against"], one["against_line"]),
                "expected": (state["expected"].get(release) or {}).get(one["name"]),
            }
            for release, reading in readings.items()
        ],
        "rows": [
            {
                "at": point[0],
                "release": variant_of(release),
                "share": point[1],
                "value": write(reading[0]),
                "low": write(reading[1]),
                "high": write(reading[2]),
                "units": reading[3],
                "against": reading[4],
            }
            for point in shown[::-every]
            for release, metrics in point[3].items()
            if (reading := metrics.get(one["name"])) is not None
        ],
    }


def span_of(lines: Sequence[Line], levels: Sequence[tuple[float, str]]) -> tuple[float, float] | None:
    """Return ends that keep what decides in sight: the first wide bands of a rollout would press everything else flat."""
    widths = sorted(high - low for line in lines for low, high in line.band)
    if not widths:
        return None
    late = [pair for line in lines for pair in line.band[len(line.band) // 4 :]]
    ends = [end for pair in late for end in pair] + [level for level, _ in levels]
    room = (max(ends) - min(ends)) / 20 or 1.0
    return min(ends) - room, max(ends) + room


def writer(one: Mapping[str, Any]) -> Callable[[float], str]:
    """Return how a difference in this metric is written: shares in points, all else as it is."""
    if one["kind"] in ("binary", "rate") or (one["margin_text"] or "").endswith("points"):
        return lambda value: f"{100 * value:+.3g}" if value else "0"
    return lambda value: f"{'+' if value > 0 else ''}{number(value)}"


def share_of(log_e: float, line: float | None) -> int | None:
    """Return how far a claim has come to its line, in percent of the log e-value; None where no line decides."""
    if line is None or line <= 0:
        return None
    return round(100 * min(1.0, max(0.0, log_e / line)))


def moves(found: Mapping[str, Any]) -> list[str]:
    """Say what would make this rollout go on, and what would end it; nothing once it has ended."""
    state = found["state"]
    if state is None or state["phase"] not in ("running", "paused"):
        return []
    said = []
    step = min(state["step"], len(state["steps"]) - 1)
    nxt = state["shares"][step + 1] if step + 1 < len(state["shares"]) else None
    to = f"to {nxt * 100 / MILLION:g} %" if nxt is not None else "into production"
    words = {
        "safe": "no guardrail shows harm",
        "prove": "every guardrail is shown to be no worse and every goal better",
        "approve": "somebody approves",
    }
    demands = [
        words.get(demand, f"it has been here for {demand.removeprefix('hold ')}")
        for demand in state["steps"][step]["demands"]
    ]
    said.append(
        f"It goes on {to} once {' and '.join(demands)}, at {state['minimum_units']:,} candidate {found['unit']}s or more of this step."
    )
    said.append(
        "It rolls back by itself as soon as any guardrail is shown to be worse than its margin (the dashed line lies outside its interval), and ends as futile if a goal is shown to miss the smallest effect that matters."
    )
    if state["phase"] == "paused":
        said.append("It is paused: nothing advances until somebody resumes it. Harm still rolls it back.")
    said.append(
        f"If the controller is not heard of for {state['blind_after'] / 1e6:g} s, every {found['unit']} gets the baseline until it is."
    )
    return said


def belongs(entry: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Return whether an entry is a step of this rollout: it names it, or is about one of its candidates while it went on."""
    detail = entry["detail"]
    if entry["action"] not in _STEPS:
        return False
    if detail.get("rollout"):
        return bool(detail["rollout"] == found["id"])
    times = [at for at, _ in found["splits"]]
    return bool(times) and times[0] <= entry["at"] <= times[-1] and detail.get("release") in found["candidates"]
