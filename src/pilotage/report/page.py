"""A report, or a system card, as one page that stands alone: no script, nothing from elsewhere, and fit to be printed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pilotage.report.axis import percent
from pilotage.report.difference import Piece, differing
from pilotage.report.dots import Dot, dot_chart
from pilotage.report.line import Line, line_chart
from pilotage.report.svg import STYLE
from pilotage.report.words import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SERIES = {"pass": 2, "fail": 1, "inconclusive": 4, "missing": 4, "waived": 0, "": 0}
_templates = Environment(
    loader=PackageLoader("pilotage.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_BREAK = re.compile(r"\s*[\r\n]\s*")
_MEANT = re.compile(r"([\\`*\[\]|>#~])")


def _plain(value: object) -> object:
    """Return a text so that no sign in it means anything in Markdown, nor in the HTML that it may become."""
    if not isinstance(value, str):
        return value
    return _BREAK.sub(" ", _MEANT.sub(r"\\\1", value).replace("<", "&lt;"))


_texts = Environment(
    loader=PackageLoader("pilotage.report"),
    autoescape=False,  # noqa: S701 (`finalize` escapes what Markdown takes for its own)
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_plain,
)


def page(facts: Mapping[str, Any]) -> str:
    """Return the report's HTML. `facts` is what `governance.report.report` gives."""
    return _rendered("report.html", facts)


def part(facts: Mapping[str, Any]) -> str:
    """Return the same as a part of a page, whose style sheet has STYLE and knows the report's classes."""
    return _rendered("answers.html", facts)


def pairs(facts: Mapping[str, Any]) -> str:
    """Return cases side by side as a part of a page. `facts` is what `governance.side_by_side.side_by_side` gives."""
    template = _templates.get_template("pair.html")
    labels = _labels(facts)
    return "".join(template.render(row=row, labels=labels, pair=_pair) for row in facts["rows"])


def _rendered(template: str, facts: Mapping[str, Any]) -> str:
    facts = in_words(facts)
    return _templates.get_template(template).render(
        facts=facts,
        pictures={question["name"]: _picture(question) for question in facts["questions"]},
        style=STYLE,
        when=_when,
        day=_day,
        money=_money,
        curve=_curve,
        sentence=_sentence,
        pair=_pair,
        labels=_labels(facts["side_by_side"]),
    )


def _sentence(lines: Sequence[str], between: str) -> str:
    """Return lines of the charter, each a sentence or a part of one, as parts of one sentence."""
    plain = [line.strip().rstrip(".") for line in lines]
    return between.join(line if line[1:2].isupper() else line[:1].lower() + line[1:] for line in plain)


def _labels(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the two sides are called; the second is empty where there is one side alone."""
    return facts["release"].partition("/")[2], facts["baseline"].partition("/")[2]


def _pair(row: Mapping[str, Any]) -> tuple[list[Piece], list[Piece]]:
    reply, before = row["reply"], row["before"]
    if reply is None or before is None:
        return ([Piece(reply, other=False)] if reply else []), ([Piece(before, other=False)] if before else [])
    return differing(reply, before)


def _curve(table: Mapping[str, Any]) -> str:
    lines = [
        Line(name, tuple((point[0], point[place]) for point in table["curve"]))
        for place, name in ((1, "p50"), (2, "p95"), (3, "p99"))
    ]
    return line_chart(f"{table['title']}: seconds to answer", lines, across="requests a second").inline


def card_page(facts: Mapping[str, Any]) -> str:
    """Return the system card's HTML. `facts` is what `governance.card.card` gives."""
    facts = in_words(facts)
    return _templates.get_template("card.html").render(facts=facts, style=STYLE, when=_when)


def card_text(facts: Mapping[str, Any]) -> str:
    """Return the system card as Markdown, for wikis and pull requests."""
    facts = in_words(facts)
    return _texts.get_template("card.md").render(facts=facts, when=_when)


def _picture(question: Mapping[str, Any]) -> str:
    """Return the rates among a question's measures with their intervals; nothing where there are none."""
    dots = [
        Dot(line["measure"], line["value"], line["low"], line["high"], _SERIES.get(line["verdict"], 0))
        for line in question["lines"]
        if line["rate"]
    ]
    if not dots:
        return ""
    title = f"{question['asks']} Rates with their intervals"
    return dot_chart(title, dots, lines=((0.0, "0 %"),), write=lambda value: percent(round(value, 3))).inline


def _money(values: Sequence[float] | None) -> str:
    """Say `13.3 (13.1 to 13.5)`: a value and its interval."""
    if not values:
        return ""
    value, low, high = (f"{one:,.0f}" if abs(values[0]) >= 100 else f"{one:.3g}" for one in values)
    return f"{value} ({low} to {high})"


def _when(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M} UTC"


def _day(at: int | None) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%-d %B %Y}" if at is not None else "unknown: no traffic is declared"
