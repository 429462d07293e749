"""Where a number lies on a picture, and which round numbers to write beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.report.svg import element, text

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUND = (1, 2, 2.5, 5, 10)
_ABOVE = 34
_BELOW = 46


class Axis(msgspec.Struct, frozen=True):
    """Maps values from low to high onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            msg = f"an axis goes from a finite number to a larger one, not from {self.low} to {self.high}"
            raise ValueError(msg)

    def at(self, value: float) -> float:
        """Return the pixel of a value; what lies beyond the ends is drawn at the end."""
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round numbers within the axis, `most` at most."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(size * power for size in _ROUND if size * power >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


class Frame(msgspec.Struct, frozen=True):
    """A picture's area for data, with the title above, numbers to the left and below, and room to the right."""

    width: int = 720
    height: int = 360
    left: int = 56
    right: int = 20

    def across(self, low: float, high: float) -> Axis:
        return Axis(low, high, self.left, self.width - self.right)

    def up(self, low: float, high: float) -> Axis:
        return Axis(low, high, self.height - _BELOW, _ABOVE)

    def drawn(self, title: str, x: Axis, y: Axis, *, names: tuple[str, str], write: Callable[[float], str]) -> str:
        """Return title, grid and numbers; `names` are those of the two axes, `write` words the numbers going up."""
        parts = [text(self.left, 20, title, "title")]
        for value in y.ticks(5):
            parts.append(element("line", kind="grid", x1=x.start, x2=x.end, y1=y.at(value), y2=y.at(value)))
            parts.append(text(x.start - 6, y.at(value) + 4, write(value), "quiet end"))
        for value in x.ticks(8):
            parts.append(element("line", kind="grid", x1=x.at(value), x2=x.at(value), y1=y.start, y2=y.start + 4))
            parts.append(text(x.at(value), y.start + 17, number(value), "quiet middle"))
        parts.append(text((x.start + x.end) / 2, y.start + 36, names[0], "quiet middle"))
        if names[1]:
            parts.append(text(x.end, 20, names[1], "quiet end"))
        return "".join(parts)


def number(value: float) -> str:
    """Say a number as briefly as its size allows."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(value: float) -> str:
    return f"{100 * value:g} %"
