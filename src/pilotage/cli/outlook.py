"""A plan as people read it: tables, sentences, and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.cli.output import say, table
from pilotage.errors import Refused
from pilotage.report.axis import percent
from pilotage.report.line import Line, Mark, line_chart

if TYPE_CHECKING:
    from pilotage.planning.outlook import Outlook
    from pilotage.planning.proof import AtShare, Need
    from pilotage.report.svg import Picture


def show(found: Outlook) -> None:
    """Print the plan: tables first, then what follows from them in words."""
    units = f"{found.unit}s"
    daily = found.new_units_a_day
    at = f"at {daily:,.6g} new {units} a day" if daily else "no traffic declared"
    say(f"{found.use_case}: what its rollout must show ({at}; alpha {found.alpha:g})", style="bold")
    rows: list[tuple[str, ...]] = []
    for one in found.proofs:
        cells = _ramp_cells(one.ramp_mean, one.ramp_likely, found) if not one.cannot else ("cannot be planned", "", "")
        rows.append((one.name, one.role, one.claims, one.today_text, *cells))
    if found.whole is not None:
        rows.append(("all of it", "", "", "", *_ramp_cells(found.whole.mean, found.whole.likely, found)))
    table(("metric", "role", "to be shown", "today", "on average", "80 % sure", f"candidate {units} by then"), rows)
    _show_ramp(found)
    shares = [f"{100 * stop.share:g} %" for stop in found.ramp]
    planned = [one for one in found.proofs if one.steps]
    if planned:
        say("\nTo be 80 % sure, if the candidate had one share throughout", style="bold")
        table(("metric", *shares), [(one.name, *(_cell(at.likely, found) for at in one.steps)) for one in planned])
    harmed = [one for one in planned if one.harm]
    if harmed:
        say(
            f"\nUntil a candidate that is worse by twice the margin is stopped, on average (candidate {units} by then)",
            style="bold",
        )
        rows = [(one.name, one.harm_at_text, *(_harm_cell(at) for at in one.harm)) for one in harmed]
        table(("guardrail", "at", *shares), rows)
    _show_words(found)


def _show_ramp(found: Outlook) -> None:
    say("\nThe ramp", style="bold")
    rows = []
    for stop in found.ramp:
        lasts = "until all is shown" if stop.proves else ""
        if stop.days is not None:
            least = f"{_days(stop.days)}" + (" or more" if stop.proves else "")
            lasts = f"{lasts}, {least}" if lasts else least
        rows.append((f"{100 * stop.share:g} %", lasts, stop.why))
    table(("share", "lasts", "for"), rows)


def _show_words(found: Outlook) -> None:
    sections: list[tuple[str, list[str]]] = [
        ("What this traffic can show (80 % sure, on this ramp)", [one.says for one in found.provable]),
        ("Worth", [one.says for one in found.worth]),
        ("Cheaper", [f"{one.change}: {_days(one.days)}, which saves {_days(one.saves)}" for one in found.cheaper]),
        ("Supposed", [f"{one.name}: {said}" for one in found.proofs for said in one.assumed]),
        ("Cannot be planned", [f"{one.name}: {one.cannot}" for one in found.proofs if one.cannot]),
        ("Note", list(found.notes)),
    ]
    for head, lines in sections:
        if lines:
            say(f"\n{head}", style="bold")
            for line in lines:
                say(f"  {line}")


def _ramp_cells(mean: Need | None, likely: Need | None, found: Outlook) -> tuple[str, str, str]:
    exposed = f"{likely.candidate_units:,.0f}" if likely else ""
    return _cell(mean, found), _cell(likely, found), exposed


def _cell(need: Need | None, found: Outlook) -> str:
    if need is None:
        return "never"
    return f"{need.units:,.0f} {found.unit}s" if need.days is None else _days(need.days)


def _harm_cell(at: AtShare) -> str:
    if at.mean is None:
        return "never"
    exposed = f"{at.mean.candidate_units:,.0f}"
    return exposed if at.mean.days is None else f"{_days(at.mean.days)} ({exposed})"


def _days(days: float) -> str:
    if days < 1:
        return f"{24 * days:.2g} h"
    return f"{days:,.1f} days" if days < 100 else f"{days:,.0f} days"


def picture_of(found: Outlook) -> Picture:
    """Return the chance of having shown each metric over the days; raise Refused where there is nothing to draw."""
    courses = [(one.name, one.course) for one in found.proofs if one.course is not None]
    if not courses:
        raise Refused(
            "there is nothing to draw: no step of the ramp proves, or no metric can be planned",
            hint="`pilotage plan DIR` says what is missing",
        )
    counted = found.new_units_a_day is None
    ends = [course.to(0.97) for _, course in courses]
    far = 1.1 * max((end.units if counted else end.days) if end else _FAR for end in ends)
    lines = []
    for name, course in courses:
        across = course.units if counted else course.days
        points = [(0.0, 0.0), *((at, chance) for at, chance in zip(across, course.chance, strict=True) if at <= far)]
        lines.append(Line(name, (*points, (far, points[-1][1]))))
    marks, start = [], 0.0
    for stop in found.ramp:
        if start <= far and not counted:
            marks.append(Mark(start, f"{100 * stop.share:g} %"))
        start += stop.days or 0.0
    return line_chart(
        f"{found.use_case}: the chance of having shown each metric",
        lines,
        across=f"new {found.unit}s" if counted else "days",
        marks=marks,
        levels=((0.8, ""),),
        span=(0.0, 1.0),
        write=percent,
    )


_FAR = 90.0
"""Days (or units) to draw where a metric is never shown."""
