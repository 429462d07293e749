"""What people and programs read: text with tables on a terminal, plain text in a pipe, JSON where asked for."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pilotage.errors import FaultyFile, GateClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pilotage.errors import PilotageError

_WIDE = 200
"""Columns where the output is no terminal: nothing is cut or wrapped for a width that nobody has."""
_STYLES = {"pass": "green", "fail": "red", "missing": "yellow", "inconclusive": "yellow", "waived": "dim"}


def console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(highlight=False, markup=False, soft_wrap=not terminal, width=None if terminal else _WIDE)


def say(text: str = "", *, style: str = "") -> None:
    console().print(Text(text, style=style))


def show_json(data: object) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    console().print(shown)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal's standard error while the work lasts; the function given counts one more as done."""
    out = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def show_gate(gate: Mapping[str, Any]) -> None:
    """Print each criterion with its verdict, and under what does not pass, what would make it pass."""
    say(f"Gate into {gate['stage']}: {'open' if gate['open'] else 'closed'}", style="bold")
    out = console()
    for criterion in gate["criteria"]:
        verdict = str(criterion["verdict"])
        line = Text("  ").append(f"{verdict:<13}", _STYLES.get(verdict, "")).append(str(criterion["name"]), "bold")
        out.print(line.append(f"  {criterion['says']}"))
        if verdict not in ("pass", "waived") and criterion.get("opens_with"):
            out.print(Text(f"{'':<15}opens with: {criterion['opens_with']}"))
    if gate.get("says"):
        say(f"  {gate['says']}")


def show_error(fault: PilotageError, *, as_json: bool) -> None:
    """Print what went wrong and what would be right on standard error: faults one a line, a closed gate in full."""
    if as_json:
        print(json.dumps({"error": fault.as_json()}, indent=2, ensure_ascii=False), file=sys.stderr)
        return
    if isinstance(fault, FaultyFile):
        for line in fault.faults:
            print(line, file=sys.stderr)
    print(f"pilotage: {fault.message}", file=sys.stderr)
    if isinstance(fault, GateClosed):
        for criterion in fault.gate.get("criteria", ()):  # type: ignore[attr-defined]
            if criterion["verdict"] not in ("pass", "waived"):
                print(f"  {criterion['verdict']:<13}{criterion['name']}: {criterion['says']}", file=sys.stderr)
                if criterion.get("opens_with"):
                    print(f"{'':<15}opens with: {criterion['opens_with']}", file=sys.stderr)
    elif fault.hint:
        print(f"  {fault.hint}", file=sys.stderr)


def when(microseconds: int) -> str:
    """Return a time as people in every zone read it alike; empty for never."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}Z" if microseconds else ""


def percent(millionths: int) -> str:
    return f"{millionths / 10_000:g} %"


def money(budget: dict[str, Any], currency: str) -> str:
    """Return how a budget stands: `spent` of `cap`, and what it comes to at this pace."""
    says = f"{budget['spent']:,.2f} of {budget['cap']:,.2f} {currency} spent in {budget['period']}"
    held = budget["given_out"] - budget["spent"]
    if held > 0:
        says += f", {held:,.2f} held by workers"
    if budget["forecast"] is not None:
        beyond = " (the cap is reached before)" if budget["forecast"] > budget["cap"] else ""
        says += f"; at this pace {budget['forecast']:,.2f}{beyond}"
    return says
