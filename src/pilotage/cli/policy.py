"""The organisation's rules: set and shown."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotage.cli.options import Json, Server, Workspace, commander
from pilotage.cli.output import say, show_json, when
from pilotage.errors import NotFound, Refused

if TYPE_CHECKING:
    from pilotage.spec.organisation_file import Policy

app = typer.Typer(help="The organisation's rules, which no use case can loosen.", no_args_is_help=True)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="organisation.toml.", show_default=False)],
    *,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Put the rules of a file in force, for everything that is registered and at once. It takes the role admin."""
    arguments = {"file": base64.b64encode(_bytes(file)).decode()}
    result = commander(workspace, server).run("policy_apply", arguments)
    if as_json:
        show_json(result)
        return
    done = "are in force already" if result["unchanged"] else f"are in force (ledger entry {result['ledger']})"
    say(f"The rules of {result['organisation']} {done}.")
    for name, broken in result["breaches"].items():
        say(f"{name} breaks {len(broken)} of them, so its gates are closed:", style="yellow")
        for line in broken:
            say(f"  {line}")


@app.command()
def show(workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """Print the rules in force, as they were written."""
    result = commander(workspace, server).run("policy_show", {})
    if as_json:
        show_json(result)
        return
    sys.stdout.write(base64.b64decode(result["file"]).decode("utf-8-sig"))
    typer.echo(f"in force since {when(result['at'])}, by {result['author']}", err=True)


def rules_from(file: Path | None, workspace: Path | None, server: str) -> Policy | None:
    """Return the rules of a file, else those in force where a workspace or a server is named; None without any."""
    from pilotage.spec.organisation_file import read

    if file is not None:
        return read(_bytes(file))
    if workspace is None and not server:
        return None
    try:
        return read(base64.b64decode(commander(workspace, server).run("policy_show", {})["file"]))
    except NotFound:
        return None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise Refused(f"{file} cannot be read: {fault.strerror}", hint="name organisation.toml") from None
