"""The ledger: every decision and approval, in a chain that shows any change."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pilotage.cli.files import text_of, write_text
from pilotage.cli.options import Json, Reason, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table, when
from pilotage.console.rows import why
from pilotage.errors import WrongCall
from pilotage.governance import anchors

app = typer.Typer(help="The record of every decision, approval and change.", no_args_is_help=True)
UseCase = Annotated[str, typer.Option("--use-case", metavar="NAME", help="Of this use case only.", show_default=False)]


@app.command()
def verify(
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="A checkpoint that was kept elsewhere: also finds a cut end, and a ledger written anew.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="KEY",
            help="The verifier key that was kept with the checkpoint or anchors.",
            show_default=False,
        ),
    ] = "",
    kept: Annotated[
        Path | None,
        typer.Option(
            "--anchors",
            metavar="FILE",
            help="Anchors that were kept elsewhere, a line each, such as an address took. What PILOTAGE_ANCHORS names is read anyway.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Check the whole chain. Exit 1 names the entry, or the row it tells of, that was altered, removed or moved."""
    if bool(checkpoint) != bool(key) and not kept:
        raise WrongCall(
            "a checkpoint and its key belong together",
            hint="--checkpoint FILE --key KEY; `pilotage ledger checkpoint` printed both when it was made",
        )
    told: dict[str, Any] = {"checkpoint": text_of(checkpoint), "key": key} if checkpoint else {}
    if kept:
        told["anchors"] = anchors.read(text_of(kept).splitlines(), key)
    result = commander(workspace, server).run("ledger_verify", told)
    if as_json:
        show_json(result)
        return
    say(f"{result['entries']} entries, unbroken. Head: {result['head']}")
    if count := result["anchors"]:
        say(f"It goes on from {count} anchor{'s' if count > 1 else ''}.")
    for place in result["unread"]:
        say(f"Not looked at, for it cannot be read back: {place}. Give what it keeps with --anchors FILE.")
    if kept := result.get("checkpoint"):
        say(f"It continues the checkpoint of {kept['entries']} entries; {kept['since']} came since.")


@app.command()
def checkpoint(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; standard output if not given.")
    ] = None,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Sign what the ledger is now. Keep it, and the key, where nobody who holds the workspace can change them."""
    result = commander(workspace, server).run("ledger_checkpoint", {})
    if as_json:
        show_json(result)
        return
    if file is None:
        sys.stdout.write(result["checkpoint"])
    else:
        write_text(file, result["checkpoint"])
        say(f"A checkpoint of {result['entries']} entries is written to {file}")
    typer.echo(f"verifier key: {result['key']}", err=True)


@app.command()
def anchor(workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """Anchor the ledger now, in every place that PILOTAGE_ANCHORS names. A server does so by itself within a minute."""
    result = commander(workspace, server).run("ledger_anchor", {})
    if as_json:
        show_json(result)
        return
    count = result["entries"]
    say(f"{count} {'entry is' if count == 1 else 'entries are'} anchored in {', '.join(result['places'])}")


@app.command()
def show(
    newest: Annotated[int, typer.Option("--newest", min=1, help="How many entries, up to the last one.")] = 20,
    use_case: UseCase = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Show the newest entries, oldest first."""
    entries = _entries(commander(workspace, server).run("ledger", given(newest=newest, use_case=use_case, spoken=True)))
    if as_json:
        show_json({"entries": entries})
        return
    table(
        ("seq", "at", "who", "what", "use case", "why"),
        ((e["seq"], when(e["at"]), e["actor"], e["action"], e["use_case"], why(e)) for e in entries),
    )


@app.command()
def forget(
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The entry whose words are to be erased.")],
    reason: Reason = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Erase the words that an entry refers to, such as a reason that names somebody. The ledger still verifies."""
    result = commander(workspace, server).run("ledger_forget", given(seq=seq, reason=reason))
    if as_json:
        show_json(result)
        return
    say(f"The words of entry {result['entry']} are erased; entry {result['ledger']} says so")


@app.command()
def replay(
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The entry of one of the controller's decisions.")],
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Make a decision of the controller's again, from what it was made on. Exit 1 says what comes out otherwise."""
    found = commander(workspace, server).run("ledger_replay", {"seq": seq})
    if as_json:
        show_json(found)
    else:
        _show_replay(found)
    if not found["same"]:
        raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; standard output if not given.")
    ] = None,
    workspace: Workspace = None,
    server: Server = "",
) -> None:
    """Write every entry as one line of JSON, with its digest and the one before."""
    result = commander(workspace, server).run("ledger", {})
    if file is None:
        sys.stdout.write(as_lines(result))
        return
    write_text(file, as_lines(result))
    say(f"{len(_entries(result))} entries written to {file}")


def as_lines(result: dict[str, Any]) -> str:
    """Return entries as JSON lines, the form that is exported and checked elsewhere."""
    return "".join(f"{json.dumps(entry, sort_keys=True, ensure_ascii=False)}\n" for entry in _entries(result))


def _show_replay(found: dict[str, Any]) -> None:
    say(f"Entry {found['seq']}, {when(found['at'])}, {found['use_case']}: {found['action']}", style="bold")
    say(f"  {found['reason']}")
    batches = found["batches"]
    units = ", ".join(f"{count:,} of {release or 'no release'}" for release, count in found["units"].items())
    say(f"  on {batches['count']:,} batches ({batches['digest'][:12] or 'none'}); units: {units or 'none'}")
    if found["moved"] or found["late"]:
        say(f"  not counted: {found['moved']:,} that the ramp may have moved, {found['late']:,} read too late")
    table(
        ("candidate", "metric", "units", "difference", "from", "to", "shown"),
        (
            (candidate, name, f"{r['units']:,} / {r['against']:,}", *_figures(r), _claims(r))
            for candidate, metrics in found["readings"].items()
            for name, r in metrics.items()
        ),
    )
    if found["same"]:
        say("The same decision, bit for bit.", style="green")
    for difference in found["differs"]:
        say(f"It comes out otherwise: {difference}", style="red")


def _figures(reading: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{reading[name]:.5g}" for name in ("value", "low", "high"))


def _claims(reading: dict[str, Any]) -> str:
    return ", ".join(name for name in ("proved", "harmed", "futile") if reading[name])


def _entries(result: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = result["entries"]
    return entries
