"""A share over time, in steps: how much of the traffic went where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.report.axis import Frame, percent
from pilotage.report.svg import Picture, path

if TYPE_CHECKING:
    from collections.abc import Sequence


def step_chart(title: str, points: Sequence[tuple[float, float]], *, across: str, name: str) -> Picture:
    """Return a picture of a share (0 to 1) that stays what it is until the next point; points in rising order of x."""
    if len({at for at, _ in points}) < 2:
        raise ValueError("a step chart needs points at two or more different places")
    frame = Frame(height=220)
    x, y = frame.across(points[0][0], points[-1][0]), frame.up(0.0, 1.0)
    corners: list[tuple[float, float]] = []
    for at, share in points:
        if corners:
            corners.append((x.at(at), corners[-1][1]))
        corners.append((x.at(at), y.at(share)))
    area = path([(corners[0][0], y.at(0.0)), *corners, (corners[-1][0], y.at(0.0))], "band s0", closed=True)
    body = frame.drawn(title, x, y, names=(across, name), write=percent) + area + path(corners, "line s0")
    said = "; ".join(f"{percent(share)} from {at:.3g}" for at, share in points)
    return Picture(frame.width, frame.height, title, f"{name}, by {across}: {said}.", body)
