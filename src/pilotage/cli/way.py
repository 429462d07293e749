"""Moving a use case along its way, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotage.cli.ci import GitHub, Junit, tell_gate
from pilotage.cli.options import Json, Name, Reason, Server, Workspace, commander, given
from pilotage.cli.output import say, show_gate, show_json, when
from pilotage.errors import WrongCall
from pilotage.spec.quantity import parse_duration

if TYPE_CHECKING:
    from pathlib import Path


Lasts = Annotated[
    str,
    typer.Option(
        "--for",
        metavar="TIME",
        help="How long it counts, such as 7d; at most what the organisation lets it.",
        show_default=False,
    ),
]


def promote(
    name: Name,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the gate and change nothing.")] = False,
    reason: Reason = "",
    as_junit: Junit = None,
    github: GitHub = False,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Move the candidate one stage on, if the gate is open.

    Exit 1 where it is closed, also with --dry-run.
    """
    if (as_junit or github) and not dry_run:
        raise WrongCall("--junit and --github tell of a gate", hint="add --dry-run, which changes nothing")
    arguments = given(use_case=name, dry_run=dry_run, reason=reason)
    result = commander(workspace, server).run("promote", arguments)
    if as_json:
        show_json(result)
    elif result["done"]:
        say(f"{name} went from {result['from']} to {result['to']}.")
    else:
        show_gate(result["gate"])
    if dry_run:
        tell_gate(result["gate"], as_junit=as_junit, github=github)
    if not result["gate"]["open"]:
        raise typer.Exit(1)


def approve(
    name: Name,
    *,
    stage: Annotated[
        str,
        typer.Option("--stage", metavar="STAGE", help="The stage to approve; the next one if not given."),
    ] = "",
    reason: Reason = "",
    lasts: Lasts = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what you approved or waived.")] = False,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Say yes to the candidate's entering a stage, on the evidence there is. Authors cannot approve their own release.

    A change of the release, the charter or the evidence voids it. --withdraw takes back what you approved or waived.
    """
    run = commander(workspace, server).run
    if withdraw:
        result = run("withdraw", given(use_case=name, stage=stage, reason=reason))
        _show(result, f"Withdrawn: {name} no longer has your yes.", as_json)
        return
    told = given(use_case=name, stage=stage, reason=reason, lasts=_span(lasts))
    result = run("approve", told)
    said = f"Approved until {when(result['expires'])}: {name} may enter {result['stage']}"
    _show(result, f"{said} ({result['given']} of {max(result['given'], result['wanted'])}).", as_json)


def waive(
    name: Name,
    criterion: Annotated[str, typer.Argument(metavar="CRITERION", help="A line of the gate that does not pass.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the ledger.")],
    lasts: Lasts = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Let one line of the gate pass as it is, for a while. Authors cannot, and new evidence on it ends it."""
    told = given(use_case=name, criterion=criterion, reason=reason, lasts=_span(lasts))
    result = commander(workspace, server).run("waive", told)
    _show(result, f"Waived until {when(result['expires'])}: {criterion} of {name} before {result['stage']}.", as_json)


def pause(
    name: Name, reason: Reason = "", workspace: Workspace = None, server: Server = "", as_json: Json = False
) -> None:
    """Keep the present split and stop automatic advance. Harm still rolls back."""
    _run("pause", name, f"{name} is paused.", reason=reason, workspace=workspace, server=server, as_json=as_json)


def resume(
    name: Name, reason: Reason = "", workspace: Workspace = None, server: Server = "", as_json: Json = False
) -> None:
    """Let a paused rollout go on."""
    _run("resume", name, f"{name} goes on.", reason=reason, workspace=workspace, server=server, as_json=as_json)


def rollback(
    name: Name, reason: Reason = "", workspace: Workspace = None, server: Server = "", as_json: Json = False
) -> None:
    """Give everyone the release from before: end the rollout, or without one go back to the previous live release."""
    _run(
        "rollback", name, f"{name} is rolled back.", reason=reason, workspace=workspace, server=server, as_json=as_json
    )


def retire(
    name: Name, reason: Reason = "", workspace: Workspace = None, server: Server = "", as_json: Json = False
) -> None:
    """End a use case: nothing serves it any more."""
    _run("retire", name, f"{name} is retired.", reason=reason, workspace=workspace, server=server, as_json=as_json)


def _span(text: str) -> int:
    """Return microseconds, 0 where nothing is said."""
    try:
        return parse_duration(text) if text else 0
    except ValueError as fault:
        raise WrongCall(f"--for: {fault}") from None


def _run(
    command: str, name: str, done: str, *, reason: str, workspace: Path | None, server: str, as_json: bool
) -> None:
    _show(commander(workspace, server).run(command, given(use_case=name, reason=reason)), done, as_json)


def _show(result: dict[str, Any], done: str, as_json: bool) -> None:
    if as_json:
        show_json(result)
    else:
        say(done)
