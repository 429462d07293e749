from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from pilotage.report.axis import Axis, number, percent
from pilotage.report.bars import Bar, bar_chart
from pilotage.report.dots import Dot, dot_chart
from pilotage.report.line import Line, Mark, line_chart
from pilotage.report.svg import STYLE, Picture

SVG = "{http://www.w3.org/2000/svg}"

PICTURES = [
    line_chart(
        "Chance <of> proof & harm",
        [
            Line("resolved", ((0.0, 0.0), (1.0, 0.4), (2.0, 0.9)), ((0.0, 0.1), (0.3, 0.5), (0.8, 1.0))),
            Line("errors", ((0.0, 0.1), (2.0, 1.0))),
        ],
        across="days",
        marks=[Mark(0.0, "1 %"), Mark(1.5, "5 %")],
        levels=((0.8, "sure"),),
        span=(0.0, 1.0),
        write=percent,
    ),
    bar_chart("Users", ["candidate", "baseline"], [Bar("step 1", (1.0, 99.0)), Bar("step 2", (50.0, 50.0))]),
    dot_chart("Effects", [Dot("resolved", 0.05, 0.01, 0.09), Dot("errors", -0.01, -0.02, 0.0, 1)]),
]


@pytest.mark.parametrize("drawn", PICTURES, ids=lambda drawn: drawn.title)
def test_a_picture_is_sound_and_speaks(drawn: Picture) -> None:
    for text in (drawn.inline, drawn.file):
        root = ET.fromstring(text)
        assert root.tag == f"{SVG}svg"
        title, describes = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert describes is not None
        assert title.text == drawn.title
        assert describes.text == drawn.describes
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == f"{title.get('id')} {describes.get('id')}"
        assert not list(root.iter(f"{SVG}script"))
        width, height = (float(part) for part in root.get("viewBox", "").split()[2:])
        for element in root.iter():
            for key in ("x", "x1", "x2", "cx", "y", "y1", "y2", "cy"):
                at = float(element.get(key, "0"))
                assert 0 <= at <= (width if "x" in key else height)
    assert "<style>" not in drawn.inline
    assert STYLE in drawn.file
    assert "prefers-color-scheme:dark" in STYLE


def test_every_class_has_its_style() -> None:
    for drawn in PICTURES:
        for element in ET.fromstring(drawn.inline).iter():
            for name in (element.get("class") or "chart").split():
                assert f".{name}" in STYLE, name


def test_what_the_pictures_say() -> None:
    assert PICTURES[0].describes == "resolved goes from 0 % to 90 %; errors goes from 10 % to 100 %."
    assert PICTURES[1].describes == "step 1: candidate 1, baseline 99; step 2: candidate 50, baseline 50."
    assert PICTURES[2].describes == "resolved 0.05 (0.01 to 0.09); errors -0.01 (-0.02 to 0)."


def test_points_lie_where_they_should() -> None:
    x = Axis(0.0, 10.0, 100.0, 200.0)
    assert [x.at(value) for value in (-1, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]
    down = Axis(0.0, 1.0, 300.0, 0.0)
    assert down.at(0.25) == 225
    root = ET.fromstring(PICTURES[2].inline)
    dots = {circle.get("class"): float(circle.get("cx", "0")) for circle in root.iter(f"{SVG}circle")}
    zero = next(float(line.get("x1", "0")) for line in root.iter(f"{SVG}line"))
    assert dots["s1"] < zero < dots["s0"]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 17.0), (0.0, 2e6), (1e-7, 3e-7), (99.0, 101.0)])
def test_numbers_beside_an_axis_are_round_and_few(low: float, high: float) -> None:
    ticks = Axis(low, high, 0.0, 1.0).ticks(6)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-9 * abs(low) <= tick <= high + 1e-9 * abs(high) for tick in ticks)
    assert all(len(f"{tick:.3g}".strip("0.").replace("-", "").replace(".", "")) <= 8 for tick in ticks)
    assert len({number(tick) for tick in ticks}) == len(ticks)


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(ValueError, match="two or more"):
        line_chart("one point", [Line("a", ((1.0, 1.0),))], across="days")
    for low, high in ((1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="axis"):
            Axis(low, high, 0, 1)
    with pytest.raises(ValueError, match="interval"):
        dot_chart("outside", [Dot("a", 2.0, 0.0, 1.0)])
    with pytest.raises(ValueError, match="0 or more"):
        bar_chart("below", ["a"], [Bar("b", (-1.0,))])


def test_the_same_figures_make_the_same_picture() -> None:
    again = dot_chart("Effects", [Dot("resolved", 0.05, 0.01, 0.09), Dot("errors", -0.01, -0.02, 0.0, 1)])
    assert again == PICTURES[2]
    assert again.file == PICTURES[2].file
    # Colours run out before lines do.
    many = line_chart("many", [Line(f"line {n}", ((0.0, n), (1.0, n + 1))) for n in range(9)], across="days")
    assert many.file.count('class="line s0"') == 4
