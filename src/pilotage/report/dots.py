"""Dots with intervals, one a row, beside lines that mean something: no difference, a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.report.axis import Axis, number
from pilotage.report.svg import Picture, element, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROW = 28
_WIDTH = 720
_LEFT = 160
_RIGHT = 150


class Dot(msgspec.Struct, frozen=True):
    """One row: a value and its interval. `series` chooses the colour (by role or verdict, say)."""

    name: str
    value: float
    low: float
    high: float
    series: int = 0


def dot_chart(
    title: str,
    dots: Sequence[Dot],
    *,
    lines: Sequence[tuple[float, str]] = ((0.0, ""),),
    write: Callable[[float], str] = number,
    describes: str = "",
) -> Picture:
    """Return a picture of the dots; `lines` are drawn across all rows, each at a value, with a name."""
    if not dots or any(not dot.low <= dot.value <= dot.high for dot in dots):
        raise ValueError("each dot lies within its interval")
    ends = [end for dot in dots for end in (dot.low, dot.high)] + [at for at, _ in lines]
    room = (max(ends) - min(ends)) / 20 or 1.0
    x = Axis(min(ends) - room, max(ends) + room, _LEFT, _WIDTH - _RIGHT)
    top, below = 46, 46 + len(dots) * _ROW
    body = [text(16, 20, title, "title")]
    for at, name in lines:
        body.append(element("line", kind="mark", x1=x.at(at), x2=x.at(at), y1=top - 6, y2=below))
        if name:
            body.append(text(x.at(at), top - 10, name, "quiet middle"))
    for row, dot in enumerate(dots):
        y, look = top + row * _ROW + 12, f"s{dot.series}"
        body.append(text(_LEFT - 8, y + 4, dot.name, "end"))
        body.append(
            element("rect", kind=look, x=x.at(dot.low), y=y - 1, width=x.at(dot.high) - x.at(dot.low), height=2)
        )
        body.append(element("circle", kind=look, cx=x.at(dot.value), cy=y, r=5))
        body.append(text(_WIDTH - _RIGHT + 10, y + 4, _interval(dot, write), "quiet"))
    body += [text(x.at(value), below + 16, write(value), "quiet middle") for value in x.ticks(6)]
    rows = (f"{dot.name} {_interval(dot, write)}" for dot in dots)
    return Picture(_WIDTH, below + 26, title, describes or "; ".join(rows) + ".", "".join(body))


def _interval(dot: Dot, write: Callable[[float], str]) -> str:
    return f"{write(dot.value)} ({write(dot.low)} to {write(dot.high)})"
