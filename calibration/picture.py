"""Line charts as SVG text: a few polylines with axes, a band, a dashed level. Enough for the document's pictures."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Point = tuple[float, float]
WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 200, 44, 48
COLOURS = ("#0b6e4f", "#c0392b", "#2c6fbb", "#b7791f", "#6b46a3", "#555555")
INK, GRID = "#222222", "#dddddd"
FONT = f'font-family="sans-serif" font-size="12" fill="{INK}"'


class Axis(msgspec.Struct, frozen=True):
    """What runs along one side: from `low` to `high`, with marks at `ticks`, each as (value, text)."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies, from 0 to 1, kept inside."""
        low, high, value = (math.log(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return min(max((value - low) / (high - low), 0.0), 1.0)


class Chart(msgspec.Struct, frozen=True):
    """`lines` by name, the first in the first colour; `bands` are (name, lower and upper); `level` is dashed."""

    title: str
    across: Axis
    up: Axis
    lines: Mapping[str, Sequence[Point]]
    bands: Mapping[str, Sequence[tuple[float, float, float]]] = {}
    level: tuple[str, float] | None = None
    marks: tuple[tuple[float, str], ...] = ()
    colours: tuple[str, ...] = COLOURS

    def svg(self) -> str:
        """Return the picture; numbers are rounded to a tenth, so that the same data give the same file."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {FONT}>',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            _text(LEFT, 22, self.title, weight="bold", size=14),
            *self._axes(),
        ]
        for index, (name, edges) in enumerate(self.bands.items()):
            there = [self._place(x, upper) for x, _, upper in edges]
            back = [self._place(x, lower) for x, lower, _ in reversed(edges)]
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*there, *back))
            parts.append(f'<polygon points="{points}" fill="{self.colours[index]}" fill-opacity="0.18"/>')
            parts.append(self._key(len(self.lines) + index, name, self.colours[index], faint=True))
        for index, (name, line) in enumerate(self.lines.items()):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self._place(*point) for point in line))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{self.colours[index]}" stroke-width="2"/>')
            parts.append(self._key(index, name, self.colours[index]))
        if self.level:
            name, value = self.level
            (x0, y), (x1, _) = self._place(self.across.low, value), self._place(self.across.high, value)
            parts.append(_line(x0, y, x1, y, INK, dash=True))
            parts.append(_text(x1 + 6, y + 4, name))
        return "\n".join([*parts, "</svg>", ""])

    def _axes(self) -> list[str]:
        parts = []
        for value, text in self.across.ticks:
            x, _ = self._place(value, self.up.low)
            parts += [_line(x, TOP, x, HEIGHT - BOTTOM, GRID), _text(x, HEIGHT - BOTTOM + 16, text, anchor="middle")]
        for value, text in self.up.ticks:
            _, y = self._place(self.across.low, value)
            parts += [_line(LEFT, y, WIDTH - RIGHT, y, GRID), _text(LEFT - 6, y + 4, text, anchor="end")]
        for value, text in self.marks:
            x, _ = self._place(value, self.up.low)
            parts += [_line(x, TOP, x, HEIGHT - BOTTOM, "#999999"), _text(x + 3, TOP + 12, text)]
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(_text(middle, HEIGHT - 10, self.across.title, anchor="middle"))
        parts.append(_text(LEFT, TOP - 8, self.up.title))
        return parts

    def _place(self, x: float, y: float) -> Point:
        across, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + across * self.across.at(x), HEIGHT - BOTTOM - height * self.up.at(y)

    def _key(self, index: int, name: str, colour: str, *, faint: bool = False) -> str:
        x, y = WIDTH - RIGHT + 12, TOP + 12 + 20 * index
        bar = f'<rect x="{x}" y="{y - 5}" width="18" height="{10 if faint else 3}" fill="{colour}"'
        return bar + (' fill-opacity="0.18"/>' if faint else "/>") + _text(x + 24, y + 2, name)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, *, dash: bool = False) -> str:
    dashes = ' stroke-dasharray="5 4"' if dash else ""
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"{dashes}/>'
