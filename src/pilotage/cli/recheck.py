"""Measuring again what serves."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from pilotage.cli.options import Json, Name, Server, Workspace, commander
from pilotage.cli.output import say, show_json, when


def recheck(
    name: Name,
    *,
    cases: Annotated[
        bool, typer.Option("--cases", help="Ask the cases again, of what serves and of its fallbacks.")
    ] = False,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Ask every model behind what serves one round of probes: is it still the same? The server does so by the file's clock.

    With `--cases`, ask the cases again and record evidence: a gate that would not open any more is an alarm.
    Exit 3 where nothing could be measured.
    """
    from pilotage import settings
    from pilotage.app.announced import note_retirements
    from pilotage.app.borrow import serving
    from pilotage.app.own_scorer import own_scorer
    from pilotage.evaluation.again import ask_again, probe_models

    where = commander(workspace, server)
    with serving(where) as (gateway, key):
        if cases:
            at = settings.load().clock.now()
            found = asyncio.run(ask_again(where.run, gateway, key, name, at=at, own=own_scorer))
        else:
            found = asyncio.run(probe_models(where.run, gateway, key, name))
            ends = note_retirements(where.run, settings.environment, name, [one["release"] for one in found])
            found = [{**one, "retires": ends.get(one["release"])} for one in found]
    if as_json:
        show_json({"use_case": name, "rechecked": found})
        return
    for one in found:
        say(one["release"], style="bold")
        if cases:
            for lost in one["lost"] or ["nothing that it had shown is lost"]:
                say(f"  {lost}")
            continue
        known = "" if one["learned"] else "; what is usual is still learned"
        say(f"  round {one['rounds']}{known}; the provider names {', '.join(one['models']) or 'no model'}")
        if one["retires"]:
            say(f"  its provider shuts it down on {when(one['retires'])}", style="yellow")
        for alarm in one["alarms"]:
            say(f"  {alarm}", style="red")
