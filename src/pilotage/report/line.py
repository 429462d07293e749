"""Lines over time, each with a band of uncertainty where it has one, and marks where something changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.report.axis import Frame, number
from pilotage.report.svg import SERIES, Picture, element, path, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROW = 18


class Line(msgspec.Struct, frozen=True):
    """One line: points in rising order of x. `band` pairs the low and the high end at each of them."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...] = ()


class Mark(msgspec.Struct, frozen=True):
    """Something that changes at x."""

    x: float
    name: str


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    across: str,
    up: str = "",
    marks: Sequence[Mark] = (),
    levels: Sequence[tuple[float, str]] = (),
    span: tuple[float, float] | None = None,
    write: Callable[[float], str] = number,
    describes: str = "",
) -> Picture:
    """Return a picture of the lines. `levels` are lines across, each with its name, `span` fixes the ends of the upward axis."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + [end for line in lines for pair in line.band for end in pair]
    ys += [level for level, _ in levels]
    if len(set(xs)) < 2:
        raise ValueError("a line chart needs points at two or more different places")
    rows = (len(lines) + 3) // 4
    frame = Frame(height=340 + rows * _ROW)
    x = frame.across(min(xs), max(xs))
    y = msgspec.structs.replace(frame.up(*(span or _room(ys))), start=frame.height - 46 - rows * _ROW)
    body = [frame.drawn(title, x, y, names=(across, up), write=write)]
    for level, name in levels:
        body.append(element("line", kind="mark", x1=x.start, x2=x.end, y1=y.at(level), y2=y.at(level)))
        if name:
            body.append(text(x.end, y.at(level) - 4, name, "quiet end"))
    for index, mark in enumerate(marks):
        body.append(element("line", kind="mark", x1=x.at(mark.x), x2=x.at(mark.x), y1=y.start, y2=y.end))
        body.append(text(x.at(mark.x) + 3, y.end + 12 + 12 * (index % 3), mark.name, "quiet"))
    for index, line in enumerate(lines):
        look = f"s{index % SERIES}"
        if line.band:
            lower = [(x.at(at), y.at(low)) for (at, _), (low, _) in zip(line.points, line.band, strict=True)]
            upper = [(x.at(at), y.at(high)) for (at, _), (_, high) in zip(line.points, line.band, strict=True)]
            body.append(path([*lower, *reversed(upper)], f"band {look}", closed=True))
        body.append(path([(x.at(at), y.at(value)) for at, value in line.points], f"line {look}"))
        left = frame.left + (index % 4) * (frame.width - frame.left) / 4
        below = frame.height - rows * _ROW + (index // 4) * _ROW + 8
        body.append(path([(left, below - 4), (left + 24, below - 4)], f"line {look}"))
        body.append(text(left + 30, below, line.name))
    return Picture(frame.width, frame.height, title, describes or _describe(lines, write), "".join(body))


def _room(values: list[float]) -> tuple[float, float]:
    """Return ends a little beyond the values, so that no line lies on the rim."""
    low, high = min(values), max(values)
    room = (high - low) / 20 or abs(high) / 10 or 1.0
    return low - room, high + room


def _describe(lines: Sequence[Line], write: Callable[[float], str]) -> str:
    said = (f"{line.name} goes from {write(line.points[0][1])} to {write(line.points[-1][1])}" for line in lines)
    return "; ".join(said) + "."
