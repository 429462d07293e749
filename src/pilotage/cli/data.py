"""People's data: found, given out, destroyed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pilotage.cli.options import Json, Reason, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table

app = typer.Typer(help="What is held of one person: find it, give it out, destroy it.", no_args_is_help=True)
Unit = Annotated[
    str, typer.Option("--unit", metavar="ID", help="The unit, as applications name it.", show_default=False)
]
Digest = Annotated[
    str,
    typer.Option(
        "--digest", metavar="HEX", help="Or the digest that stands for it in one use case's events.", show_default=False
    ),
]
UseCase = Annotated[str, typer.Option("--use-case", metavar="NAME", help="Of this use case only.", show_default=False)]


@app.command()
def find(
    *,
    unit: Unit = "",
    digest: Digest = "",
    use_case: UseCase = "",
    reason: Reason = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Say what is held of a unit. It takes the role admin, and the ledger tells of it."""
    told = given(unit=unit, digest=digest, use_case=use_case, reason=reason)
    result = commander(workspace, server).run("data_find", told)
    if as_json:
        show_json(result)
    else:
        _counts(result["held"], "Nothing is held of this unit.")


@app.command()
def export(
    *,
    unit: Unit = "",
    digest: Digest = "",
    use_case: UseCase = "",
    reason: Reason = "",
    workspace: Workspace = None,
    server: Server = "",
) -> None:
    """Print all that is held of a unit as JSON, its retained texts in the clear."""
    told = given(unit=unit, digest=digest, use_case=use_case, reason=reason)
    show_json(commander(workspace, server).run("data_export", told))


@app.command()
def erase(
    *,
    unit: Unit = "",
    digest: Digest = "",
    use_case: UseCase = "",
    reason: Reason = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Destroy a unit's key and with it every text; put a random name in its place in figures. It cannot be undone."""
    told = given(unit=unit, digest=digest, use_case=use_case, reason=reason)
    result = commander(workspace, server).run("data_erase", told)
    if as_json:
        show_json(result)
    else:
        _counts(result["erased"], "Nothing was held of this unit.")


def _counts(held: dict[str, Any], nothing: str) -> None:
    if not held:
        say(nothing)
        return
    table(
        ("use case", "kind", "rows"),
        ((name, kind, rows) for name, counts in held.items() for kind, rows in counts.items() if rows),
    )
