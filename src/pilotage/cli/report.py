"""The report that a team hands to the people who decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotage.cli.options import Json, Name, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table
from pilotage.errors import Refused


def report(
    name: Name,
    *,
    variant: Annotated[
        str,
        typer.Option(
            "--variant", metavar="VARIANT", help="Of this one; of the candidate if not given.", show_default=False
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE.html",
            help="Where to write it; NAME-report.html if not given.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Write what is known of a release as one page: six questions, their answers, what is missing, the worst answers.

    With --json the same facts are printed, and no file is written.
    """
    from pilotage.report.page import page

    facts = commander(workspace, server).run("report", given(use_case=name, variant=variant))
    if as_json:
        show_json(facts)
        return
    file = output or Path(f"{name}-report.html")
    try:
        file.write_text(page(facts), encoding="utf-8")
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise Refused(msg, hint="name a file in a folder that exists: --output FILE.html") from error
    say(f"{facts['release']}", style="bold")
    table(
        ("question", "verdict", "because"),
        ((one["asks"], one["verdict"], one["says"]) for one in facts["questions"]),
    )
    say(f"The report is in {file}.")
