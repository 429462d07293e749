"""Moving a use case along its way, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotage.cli.options import Json, Name, Reason, Server, Workspace, commander, given
from pilotage.cli.output import say, show_gate, show_json

if TYPE_CHECKING:
    from pathlib import Path


def promote(
    name: Name,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the gate and change nothing.")] = False,
    reason: Reason = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Move the candidate one stage on, if the gate is open.

    Exit 1 where it is closed, also with --dry-run.
    """
    arguments = given(use_case=name, dry_run=dry_run, reason=reason)
    result = commander(workspace, server).run("promote", arguments)
    if as_json:
        show_json(result)
    elif result["done"]:
        say(f"{name} went from {result['from']} to {result['to']}.")
    else:
        show_gate(result["gate"])
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
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Say yes to the candidate's entering a stage. Authors cannot approve their own release."""
    result = commander(workspace, server).run("approve", given(use_case=name, stage=stage, reason=reason))
    _show(result, f"Approved: {name} may enter {result.get('stage', stage or 'the next stage')}.", as_json)


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


def _run(
    command: str, name: str, done: str, *, reason: str, workspace: Path | None, server: str, as_json: bool
) -> None:
    _show(commander(workspace, server).run(command, given(use_case=name, reason=reason)), done, as_json)


def _show(result: dict[str, Any], done: str, as_json: bool) -> None:
    if as_json:
        show_json(result)
    else:
        say(done)
