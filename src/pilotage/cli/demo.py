"""The main job, to watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    *,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions", metavar="FILE", help="Your own questions, as CSV with text,category.", show_default=False
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Arrivals in the rhythm of this CSV trace.", show_default=False),
    ] = None,
    upstream: Annotated[
        str,
        typer.Option(
            "--upstream",
            metavar="URL",
            help="An OpenAI-compatible base URL in place of the stand-in provider.  [default: $OPENAI_BASE_URL]",
            show_default=False,
        ),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The model's name there.", show_default=False)
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Go on serving at the end, until Ctrl-C.")] = False,
    customers: Annotated[int, typer.Option("--customers", min=1, help="At least this many customers come.")] = 12_000,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            metavar="DIR",
            help="Keep the workspace here; a temporary one if not given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Watch one use case go from concept to production, and a bad candidate stopped: a time-lapse of real requests."""
    from pilotage.demo import road

    code = road.main(
        questions=questions,
        trace=trace,
        upstream=upstream,
        model=model,
        keep=keep,
        workspace=workspace,
        customers=customers,
    )
    if code:
        raise typer.Exit(code)
