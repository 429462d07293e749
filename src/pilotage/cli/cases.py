"""Cases from elsewhere: written for another tool, or questions that failed in production."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pilotage.cli.options import Name, Server, Workspace, commander
from pilotage.cli.output import say
from pilotage.errors import Refused

app = typer.Typer(help="Evaluation cases from elsewhere.", no_args_is_help=True)


@app.callback()
def cases() -> None:
    """Take over cases that were written for another tool, or questions that failed in production."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="promptfoo's YAML, with its tests.", show_default=False)],
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.jsonl", help="Where to write the cases.", show_default=False)
    ],
    question: Annotated[
        str,
        typer.Option("--question", metavar="NAME", help="The variable that is asked.", show_default=False),
    ] = "",
) -> None:
    """Write promptfoo's tests as cases. What has no counterpart, such as a JavaScript assertion, is refused by its name."""
    from pilotage.evaluation.promptfoo import cases_of, written

    try:
        data = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    found = cases_of(file.name, data, question=question)
    if output.exists():
        raise Refused(f"{output} is there already", hint="name another file: nothing is overwritten")
    try:
        output.write_text(written(found), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{output} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None
    say(f"{len(found)} cases are in {output}; name it in usecase.toml under [evaluation] cases.")


@app.command()
def failures(
    name: Name,
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.jsonl", help="Where to write the cases.", show_default=False)
    ],
    most: Annotated[int, typer.Option("--most", min=1, max=500, help="As many as this, the newest.")] = 50,
    workspace: Workspace = None,
    server: Server = "",
) -> None:
    """Write the newest questions whose answers failed, as users told, as cases. It takes the role admin.

    Personal data is redacted, and texts are there only where `[data] retention` keeps them. What a right answer holds, you add:
    without `required` or the like, a case is asked and scored for nothing.
    """
    if output.exists():
        raise Refused(f"{output} is there already", hint="name another file: nothing is overwritten")
    result = commander(workspace, server).run("failures", {"use_case": name, "most": most})
    found = result["failures"]
    gone = f"; of {result['gone']} more no text is kept" if result["gone"] else ""
    if not found:
        say(f"No question of {name} is known to have failed{gone}.")
        return
    lines = (
        {"id": f"failure-{one['inference']}", "text": one["question"], "scenario": one["metric"], "kind": "failure"}
        for one in found
    )
    try:
        output.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{output} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None
    say(
        f"{len(found)} cases are in {output}{gone}. Add what a right answer holds, and name it under [evaluation] cases."
    )
