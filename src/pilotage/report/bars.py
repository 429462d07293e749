"""Bars in parts: how a whole is made up, one bar a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.report.axis import Axis, number
from pilotage.report.svg import SERIES, Picture, element, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROW = 30
_WIDTH = 720
_LEFT = 160
_RIGHT = 80


class Bar(msgspec.Struct, frozen=True):
    """One row: a part for each name of the chart, each 0 or more."""

    name: str
    parts: tuple[float, ...]


def bar_chart(
    title: str,
    names: Sequence[str],
    bars: Sequence[Bar],
    *,
    write: Callable[[float], str] = number,
    describes: str = "",
) -> Picture:
    """Return a picture of the bars, the parts in the order of `names`, and each bar's whole at its end."""
    if not bars or any(len(bar.parts) != len(names) or min(bar.parts) < 0 for bar in bars):
        raise ValueError("each bar has one part of 0 or more for each name")
    x = Axis(0.0, max(sum(bar.parts) for bar in bars) or 1.0, _LEFT, _WIDTH - _RIGHT)
    body = [text(16, 20, title, "title")]
    for row, bar in enumerate(bars):
        top, start = 36 + row * _ROW, 0.0
        body.append(text(_LEFT - 8, top + 15, bar.name, "end"))
        for index, part in enumerate(bar.parts):
            width = x.at(start + part) - x.at(start)
            if width > 0:
                look = f"s{index % SERIES}"
                body.append(element("rect", kind=look, x=x.at(start), y=top, width=width, height=_ROW - 10))
            start += part
        body.append(text(x.at(start) + 6, top + 15, write(start), "quiet"))
    below = 36 + len(bars) * _ROW + 14
    left = 16.0
    for index, name in enumerate(names):
        body.append(element("rect", kind=f"s{index % SERIES}", x=left, y=below - 10, width=12, height=12))
        body.append(text(left + 18, below, name))
        left += 40 + 7 * len(name)
    rows = (f"{bar.name}: {_parts(names, bar, write)}" for bar in bars)
    return Picture(_WIDTH, below + 12, title, describes or "; ".join(rows) + ".", "".join(body))


def _parts(names: Sequence[str], bar: Bar, write: Callable[[float], str]) -> str:
    return ", ".join(f"{name} {write(part)}" for name, part in zip(names, bar.parts, strict=True))
