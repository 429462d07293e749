"""Events: what was served and what came back, without any text."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pilotage.cli.options import Json, Server, Workspace, commander
from pilotage.cli.output import say, show_json, table, when


class Table(StrEnum):
    INFERENCES = "inferences"
    STARTED = "started"
    FINISHED = "finished"
    FEEDBACK = "feedback"
    TEXTS = "texts"


_COLUMNS = {
    Table.INFERENCES: ("id", "release", "arm", "step", "status", "error", "duration", "cost"),
    Table.STARTED: ("id", "release", "arm", "rollout", "step", "source"),
    Table.FINISHED: ("id", "served", "status", "error", "duration", "cost"),
    Table.FEEDBACK: ("id", "metric", "value", "inference", "key", "unit"),
    Table.TEXTS: ("id", "segment", "offset", "length"),
}


def events(
    *,
    kind: Annotated[Table, typer.Option("--table", help="Which table.")] = Table.INFERENCES,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most this many.")] = 20,
    use_case: Annotated[
        str, typer.Option("--use-case", metavar="NAME", help="Of this use case only.", show_default=False)
    ] = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Show the newest sealed events, newest first. What was just served is sealed within seconds."""
    rows = commander(workspace, server).events(kind, limit=limit, use_case=use_case)
    if as_json:
        show_json({"events": rows})
    elif not rows:
        say("No events yet.")
    else:
        columns = [name for name in _COLUMNS[kind] if name in rows[0]]
        table(
            ("at", "use case", *columns),
            ((when(row["at"]), row["use_case"], *("" if row[c] is None else row[c] for c in columns)) for row in rows),
        )
