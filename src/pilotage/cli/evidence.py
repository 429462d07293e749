"""Evidence: what was measured about a release."""

from __future__ import annotations

from typing import Annotated

import typer

from pilotage.cli.options import Json, Name, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table, when

app = typer.Typer(help="Measured facts about releases.", no_args_is_help=True)


@app.command("list")
def list_evidence(
    name: Name,
    release: Annotated[
        str, typer.Option("--release", metavar="REF", help="Of this release only.", show_default=False)
    ] = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """List the evidence of a use case, oldest first."""
    result = commander(workspace, server).run("evidence", given(use_case=name, release=release))
    if as_json:
        show_json(result)
        return
    if not result["evidence"]:
        say(f"There is no evidence for {name} yet; `pilotage evaluate {name}` measures its candidate.")
        return
    table(
        ("at", "release", "measure", "value", "interval", "n", "method"),
        (
            (
                when(one["at"]),
                one["release"].partition("/")[2],
                one["measure"],
                f"{one['value']:.4g}",
                f"{one['low']:.4g} to {one['high']:.4g}",
                one["n"],
                one["method"],
            )
            for one in result["evidence"]
        ),
    )
