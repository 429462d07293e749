"""Options that most commands share, and what they choose: where the command works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotage import settings
from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from pilotage.app.client import Commander

Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="DIR",
        help="The workspace to work on.  [default: $PILOTAGE_WORKSPACE or ./.pilotage]",
        show_default=False,
    ),
]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        help="Work on the server at this address, with the key in PILOTAGE_KEY.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The use case.", show_default=False)]
Reason = Annotated[
    str,
    typer.Option(
        "--reason", metavar="TEXT", help="Why; kept beside the ledger, which holds its digest.", show_default=False
    ),
]


def commander(workspace: Path | None, server: str) -> Commander:
    """Return who runs the commands: what the options say, else what the environment says."""
    from pilotage.app.client import Commander

    found = settings.load()
    if workspace and server:
        raise WrongCall("--workspace and --server are given", hint="give the one where the command should work")
    if server and not server.startswith(("http://", "https://")):
        raise WrongCall(f"--server {server!r} is no address", hint="it starts with http:// or https://")
    return Commander(
        workspace or found.workspace,
        found.clock,
        server=server or ("" if workspace else found.server),
        key=found.key,
        user=settings.user_name(),
    )


def given(**arguments: object) -> dict[str, object]:
    """Return the arguments that were given, leaving out what is empty."""
    return {name: value for name, value in arguments.items() if value not in ("", None, False, (), [])}
