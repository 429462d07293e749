"""A degradation drill: how soon it would be noticed if what serves got worse."""

from __future__ import annotations

import base64
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.cli.output import progress, say, show_json, table
from pilotage.errors import Refused, WrongCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.planning.drill import Drilled


def drilled(
    run: Callable[[str, dict[str, Any]], dict[str, Any]],
    name: str,
    degrade: Sequence[str],
    *,
    runs: int,
    seed: int,
    as_json: bool,
) -> None:
    """Play the drill on what is recorded of the live release, and show what came of it."""
    from pilotage.decision.batch import Batch
    from pilotage.monitor.watches import decode
    from pilotage.planning.drill import drill
    from pilotage.spec.use_case import UseCase

    changes = dict(_change(text) for text in degrade)
    record = run("watch_record", {"use_case": name})
    watching = decode(base64.b64decode(record["watching"])) if record["watching"] else None
    if watching is None:
        raise Refused(
            f"nothing is recorded of what serves {name} yet",
            hint="a drill is played on live traffic: let the server run, and ask again after the first whole day",
        )
    ticks = [msgspec.msgpack.decode(base64.b64decode(tick), type=Batch) for tick in record["ticks"]]
    with progress(runs, "drills played") as done:
        found = drill(
            UseCase.model_validate(record["spec"]),
            watching,
            ticks,
            changes,
            runs=runs,
            seed=seed,
            each=done,
        )
    if as_json:
        show_json(msgspec.to_builtins(found))
    else:
        _show(found, record["live"])


def _change(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        change = float(value)
    except ValueError:
        change = math.nan
    if not name or not math.isfinite(change):
        raise WrongCall(f"--degrade {text!r} is no METRIC=CHANGE", hint="such as --degrade resolved=-0.1")
    return name, change


def _show(found: Drilled, live: str) -> None:
    changes = ", ".join(f"{name} {change:+g}" for name, change in found.changes.items())
    say(f"{live}: {changes}", style="bold")
    say(f"Played {found.runs} times on {found.source}, {found.units_a_day:,.0f} units a day.")
    table(
        ("line", "noticed", "half of the runs within", "nine of ten within", "units by then"),
        (
            (
                {"alarm": "people are told", "action": "the file's on_alarm"}[one.line],
                f"{one.within * 100:.0f} %",
                _time(one.median, found),
                _time(one.late, found),
                "" if one.units is None else f"{one.units:,}",
            )
            for one in found.noticed
        ),
    )


def _time(seconds: float | None, found: Drilled) -> str:
    if seconds is None:
        return f"not in {found.longest_days} days"
    return str(timedelta(seconds=round(seconds)))
