"""Evidence: what was measured about a release, and how it travels to another workspace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pilotage.cli.files import text_of, write_text
from pilotage.cli.options import Json, Name, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table, when

app = typer.Typer(help="Measured facts about releases.", no_args_is_help=True)
Release = Annotated[str, typer.Option("--release", metavar="REF", help="Of this release only.", show_default=False)]


@app.command("list")
def list_evidence(
    name: Name,
    release: Release = "",
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
        ("at", "made", "release", "measure", "value", "interval", "n", "method"),
        (
            (
                when(one["at"]),
                one["origin"] or "here",
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


@app.command()
def key(workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """Print the public key of this workspace's evidence: what `[evidence_from.NAME] key` of organisation.toml names."""
    result = commander(workspace, server).run("evidence_key", {})
    if as_json:
        show_json(result)
        return
    sys.stdout.write(f"{result['key']}\n")


@app.command()
def export(
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; standard output if not given.")
    ] = None,
    *,
    release: Release = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Sign what was measured here of the candidate, for another workspace: an in-toto statement in a DSSE envelope."""
    result = commander(workspace, server).run("evidence_export", given(use_case=name, release=release))
    if as_json:
        show_json(result)
        return
    if file is None:
        sys.stdout.write(result["bundle"])
    else:
        write_text(file, result["bundle"])
        say(f"{result['facts']} facts about {result['release']} are in {file}.")
    if result["left_out"]:
        typer.echo(f"{result['left_out']} that came from elsewhere are left out", err=True)
    typer.echo(f"signed with {result['key']}", err=True)


@app.command("import")
def import_(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `evidence export` wrote.", show_default=False)],
    *,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Put on record what a place has measured that the organisation's rules trust, of a release that is the same here."""
    result = commander(workspace, server).run("evidence_import", {"use_case": name, "bundle": text_of(file)})
    if as_json:
        show_json(result)
        return
    known = f"; {result['there_already']} were there already" if result["there_already"] else ""
    say(f"{result['added']} facts from {result['from']} about {', '.join(result['releases'])} are on record{known}.")
