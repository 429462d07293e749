"""Alarms about what serves: what has got worse, who is on it, who could not be told."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pilotage.cli.options import Json, Name, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table, when

app = typer.Typer(help="Alarms about what serves.", no_args_is_help=True)

Alarm = Annotated[str, typer.Argument(metavar="ALARM", help="Its id, or the beginning of it.", show_default=False)]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What is known of it.", show_default=False)]


@app.command("list")
def list_(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The use case; all of them if not given.")] = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that are resolved, too.")] = False,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Show the open alarms, and the messages about them that nobody took."""
    result = commander(workspace, server).run("alarms", given(use_case=name, everything=everything or None))
    if as_json:
        show_json(result)
        return
    if not result["alarms"]:
        say("No alarm is open." if not everything else "There was no alarm.")
    for alarm in result["alarms"]:
        _say(alarm)
    if result["undelivered"]:
        say("Could not be told; `pilotage alarms resend NAME` tries again:", style="yellow")
        table(
            ("use case", "receiver", "event", "since", "why"),
            ((n["use_case"], n["target"], n["event"], when(n["at"]), n["why"]) for n in result["undelivered"]),
        )


@app.command()
def ack(
    name: Name,
    alarm: Alarm,
    *,
    note: Note = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Say that somebody is on it."""
    _handled("alarm_acknowledge", given(use_case=name, alarm=alarm, note=note), workspace, server, as_json)


@app.command()
def resolve(
    name: Name,
    alarm: Alarm,
    *,
    note: Note = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Say that it is over. Should the same be noticed again, that is another alarm."""
    _handled("alarm_resolve", given(use_case=name, alarm=alarm, note=note), workspace, server, as_json)


@app.command()
def resend(name: Name, workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """Try again to tell those who could not be told."""
    result = commander(workspace, server).run("alarm_resend", given(use_case=name))
    if as_json:
        show_json(result)
    else:
        say(f"{result['resent']} messages are tried again.")


@app.command()
def examples(
    name: Name,
    alarm: Alarm,
    *,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Texts as they are kept, personal data too; --note says why.")
    ] = False,
    note: Note = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Show texts of the requests that an alarm about drift names, with personal data redacted.

    It takes the role admin, and the ledger tells of it, and of whoever had them revealed, when and why.
    """
    told = given(use_case=name, alarm=alarm, note=note, reveal=reveal)
    result = commander(workspace, server).run("alarm_examples", told)
    if as_json:
        show_json(result)
        return
    if not result["examples"]:
        say("This alarm names no requests.")
    for one in result["examples"]:
        say(f"{one['inference']}  {one.get('gone', '')}", style="bold")
        for side in ("request", "reply"):
            if side in one:
                say(f"  {side:<8} {one[side]}")


def _handled(command: str, arguments: dict[str, Any], workspace: Any, server: str, as_json: bool) -> None:
    result = commander(workspace, server).run(command, arguments)
    if as_json:
        show_json(result)
    else:
        say(f"Alarm {result['id'][:12]} of {result['use_case']} is {result['state']}.")


def _say(alarm: dict[str, Any]) -> None:
    again = f", noticed {alarm['count']} times" if alarm["count"] > 1 else ""
    style = {"raised": "red", "acknowledged": "yellow"}.get(alarm["state"], "")
    say(f"{alarm['use_case']}: {alarm['what']} {alarm['says']}", style=style)
    for part in alarm["detail"].get("also", ()):
        say(f"  also: {part['what']} {part['says']}", style=style)
    who = f" by {alarm['actor']}" if alarm["actor"] else ""
    note = f": {alarm['note']}" if alarm["note"] else ""
    say(f"  {alarm['id']}  {alarm['kind']}, {alarm['state']}{who} at {when(alarm['at'])}{again}{note}")
    say(f"  {alarm['release']}")
    if alarm["did"]:
        say(f"  {alarm['did']}")
