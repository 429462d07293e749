"""A picture as SVG text: words for those who do not see it, colours for light and dark, no script.

Colours and lines are classes. A file of its own carries their style (`Picture.file`); in a page (`Picture.inline`) the
page's style sheet does, for which STYLE is the text: a page's content security policy may forbid styles within it.
"""

from __future__ import annotations

from html import escape
from zlib import crc32

import msgspec

SERIES = 6
"""Colours there are; each has a dash pattern of its own too, so that no line is told by its colour alone."""

_LIGHT = ("#0b6e99", "#c2410c", "#1a7f37", "#8250df", "#9a6700", "#bf3989")
_DARK = ("#58b6dd", "#ff9e64", "#56d07a", "#c297ff", "#e3b341", "#ff80c8")
_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2")


def _variables(colours: tuple[str, ...], ink: str, quiet: str, line: str, sheet: str) -> str:
    named = {"ink": ink, "quiet": quiet, "line": line, "sheet": sheet}
    named |= {f"series-{index}": colour for index, colour in enumerate(colours)}
    return "".join(f"--chart-{name}:{value};" for name, value in named.items())


STYLE = (
    f".chart{{{_variables(_LIGHT, '#1b1f23', '#57606a', '#d4d9de', '#ffffff')}"
    "font:12px system-ui,sans-serif;fill:var(--chart-ink)}"
    f"@media (prefers-color-scheme:dark){{.chart{{{_variables(_DARK, '#e6e9ec', '#9aa5b0', '#343c44', '#1c2228')}}}}}"
    ".chart .sheet{fill:var(--chart-sheet)}"
    ".chart .title{font-weight:600;font-size:14px}"
    ".chart .quiet{fill:var(--chart-quiet)}"
    ".chart .grid{stroke:var(--chart-line);stroke-width:1;fill:none}"
    ".chart .mark{stroke:var(--chart-quiet);stroke-width:1;stroke-dasharray:3 3;fill:none}"
    ".chart .zero{stroke:var(--chart-ink);stroke-width:1}"
    ".chart .end{text-anchor:end}.chart .middle{text-anchor:middle}"
    ".chart .line{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".chart .band{opacity:.18;stroke:none}"
    + "".join(
        f".chart .s{index}{{fill:var(--chart-series-{index});stroke:var(--chart-series-{index})}}"
        f".chart .line.s{index}{{fill:none;stroke-dasharray:{dash}}}"
        for index, dash in enumerate(_DASHES)
    )
    + ".chart text.label{stroke:none}"
)


class Picture(msgspec.Struct, frozen=True):
    """A drawing of `width` x `height`, with a title and a description of what it shows. `body` is SVG text."""

    width: int
    height: int
    title: str
    describes: str
    body: str

    @property
    def inline(self) -> str:
        """The picture for a page whose style sheet has STYLE."""
        return self._svg("")

    @property
    def file(self) -> str:
        """The picture as a file of its own."""
        sheet = element("rect", kind="sheet", width=self.width, height=self.height)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{self._svg(f"<style>{STYLE}</style>{sheet}")}\n'

    def _svg(self, before: str) -> str:
        # Ids are unique in a page unless it shows the same picture twice.
        name = f"chart-{crc32(f'{self.title}{self.body}'.encode()):08x}"
        title = f'<title id="{name}-title">{escape(self.title)}</title>'
        describes = f'<desc id="{name}-desc">{escape(self.describes)}</desc>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {self.width} {self.height}" '
            f'aria-labelledby="{name}-title {name}-desc">{title}{describes}{before}{self.body}</svg>'
        )


def element(name: str, text: str = "", *, kind: str = "", **attributes: float | str) -> str:
    """Return one element; numbers are rounded to a tenth, which is finer than a screen."""
    given = [f'class="{escape(kind)}"'] if kind else []
    given += [f'{key.replace("_", "-")}="{_value(value)}"' for key, value in attributes.items()]
    opening = " ".join((name, *given))
    return f"<{opening}>{escape(text)}</{name}>" if text else f"<{opening}/>"


def text(x: float, y: float, says: str, kind: str = "") -> str:
    return element("text", says, kind=kind, x=x, y=y)


def path(points: list[tuple[float, float]], kind: str, *, closed: bool = False) -> str:
    """Return a line through the points, or the area that they enclose."""
    if not points:
        return ""
    moves = "L".join(f"{_value(x)} {_value(y)}" for x, y in points)
    return element("path", kind=kind, d=f"M{moves}{'Z' if closed else ''}")


def _value(value: float | str) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
