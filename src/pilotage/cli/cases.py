"""Cases from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotage.cli.output import say
from pilotage.errors import Refused

app = typer.Typer(help="Evaluation cases from elsewhere.", no_args_is_help=True)


@app.callback()
def cases() -> None:
    """Take over cases that were written for another tool."""


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
