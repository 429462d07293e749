"""A use case's folder: written, checked, registered."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pilotage import settings
from pilotage.cli.ci import CodeQuality, GitHub, Junit, tell_faults
from pilotage.cli.options import Json, Server, Workspace, commander
from pilotage.cli.output import say, show_json
from pilotage.cli.policy import rules_from
from pilotage.errors import FaultyFile

_NOTES = 20
"""Places that are shown."""
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The use case's folder.", show_default=False)]


def init(
    directory: Folder,
    *,
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="The use case's name; the folder's if not given.", show_default=False
        ),
    ] = "",
) -> None:
    """Write a commented folder that passes `pilotage check` as it is."""
    from pilotage.spec import scaffold

    written = scaffold.write(directory, name)
    say(f"Wrote {len(written)} files to {directory}:")
    for path in written:
        say(f"  {path.relative_to(directory)}")
    say(f"Next: read {directory / 'usecase.toml'}, then `pilotage check {directory}`.")


def check(
    directory: Folder,
    *,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="The organisation's rules to hold it against.  [default: those of the workspace or server that is named]",
            show_default=False,
        ),
    ] = None,
    as_junit: Junit = None,
    code_quality: CodeQuality = None,
    github: GitHub = False,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Read a folder and list every fault at once, as file:line: what is wrong, what would be right.

    Beside that it names places to look at: personal data, secrets, cases whose questions stand in a prompt or an article.
    Rules of the organisation that it breaks are faults too, each with the rule's own line.
    """
    import msgspec

    from pilotage.evaluation.story import notes
    from pilotage.governance.organisation import refuse_breaches
    from pilotage.spec import folder, snapshot
    from pilotage.spec.load import load

    tell = partial(tell_faults, directory, as_junit=as_junit, github=github, code_quality=code_quality)
    try:
        found = folder.Folder.read(directory)
        use_case = load(found)
        rules = rules_from(policy, workspace, server)
        refuse_breaches(
            rules.organisation if rules else None,
            use_case,
            snapshot.releases(use_case, found, settings.environment),
            found,
            rules.where if rules else None,
        )
    except FaultyFile as fault:
        tell(fault.faults)
        raise
    tell(())
    told = notes(use_case, found.files)
    if as_json:
        show_json(
            {
                "use_case": use_case.name,
                "charter": use_case.charter,
                "files": sorted(found.files),
                "faults": [],
                "notes": [msgspec.to_builtins(note) for note in told],
            }
        )
        return
    count = len(found.files)
    for note in told[:_NOTES]:
        say(f"Look at {note}.", style="yellow")
    if len(told) > _NOTES:
        say(f"And at {len(told) - _NOTES} more places; --json lists them all.", style="yellow")
    kept = f", and no rule of {rules.organisation.name} broken" if rules else ""
    say(f"{use_case.name}: no fault in {count} file{'s' if count != 1 else ''}{kept}.")
    say(
        f"Next: `pilotage apply {directory}` registers it; `pilotage promote {use_case.name} --dry-run` shows its gate."
    )


def apply(directory: Folder, *, workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """Register a folder, or what changed in it, as releases. What serves does not change by this."""
    from pilotage.spec import folder

    files = folder.Folder.read(directory).files
    arguments = {"files": {path: base64.b64encode(data).decode() for path, data in files.items()}}
    result = commander(workspace, server).run("apply", arguments)
    if as_json:
        show_json(result)
        return
    name = result["use_case"]
    if result["unchanged"]:
        say(f"{name}: unchanged.")
        return
    say(f"{name} is registered (charter {result['charter']}, ledger entry {result['ledger']}).")
    for release in result["releases"].values():
        role = {result["live"]: "  live", result["candidate"]: "  candidate"}.get(release, "")
        say(f"  {release}{role}")
    say(f"Next: `pilotage promote {name} --dry-run` shows what the next gate asks for.")
