"""A copy of the workspace, for the day on which its disk is gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pilotage import settings
from pilotage.cli.measure import progress
from pilotage.cli.options import Json, Workspace, commander
from pilotage.cli.output import say, show_json
from pilotage.store.workspace import Workspace as Place


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.", show_default=False)],
    *,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Copy the workspace as it is at one moment, also while it serves, and check the copy's ledger.

    The copy is a workspace itself: `pilotage serve --workspace DIR` goes on from it. Guard it as the workspace, for it
    holds the same keys and texts.
    """
    from pilotage.app.backup import back_up

    place = Place(workspace or settings.load().workspace).require()
    with progress() as told:
        done = back_up(place, target, partial(told, "bytes copied"))
    ledger = commander(target, "").run("ledger_verify", {})
    if as_json:
        show_json({"backup": str(target), **msgspec.to_builtins(done), "ledger": ledger})
        return
    say(f"{target} holds {done.files} files, {done.bytes:,} bytes. Its ledger: {ledger['entries']} entries, unbroken.")
