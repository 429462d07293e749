"""One difference with its interval, beside no difference and the line that decides: small enough to stand in a table."""

from __future__ import annotations

import math

from pilotage.report.axis import Axis
from pilotage.report.svg import Picture, element, path

_WIDTH, _HEIGHT = 240, 40
_MIDDLE = _HEIGHT / 2


def tile(title: str, value: float, low: float, high: float, *, line: float | None = None, series: int = 0) -> Picture:
    """Return the picture; `line` is where harm begins, or the effect that should be reached. Raise ValueError for ends that are none."""
    ends = [low, high, value, 0.0, *(() if line is None else (line,))]
    if not low <= value <= high or not all(map(math.isfinite, ends)):
        raise ValueError("a value lies within its interval, and both are finite")
    room = (max(ends) - min(ends)) / 12 or 1.0
    x = Axis(min(ends) - room, max(ends) + room, 4, _WIDTH - 4)
    look = f"s{series}"
    body = [
        element("line", kind="grid", x1=x.start, x2=x.end, y1=_MIDDLE, y2=_MIDDLE),
        path(
            [(x.at(low), 11.0), (x.at(high), 11.0), (x.at(high), _HEIGHT - 11.0), (x.at(low), _HEIGHT - 11.0)],
            f"band {look}",
            closed=True,
        ),
        element("line", kind="zero", x1=x.at(0.0), x2=x.at(0.0), y1=4, y2=_HEIGHT - 4),
    ]
    if line is not None:
        body.append(element("line", kind="mark", x1=x.at(line), x2=x.at(line), y1=4, y2=_HEIGHT - 4))
    body.append(element("circle", kind=look, cx=x.at(value), cy=_MIDDLE, r=5))
    return Picture(_WIDTH, _HEIGHT, title, f"{value:.4g}, from {low:.4g} to {high:.4g}", "".join(body))
