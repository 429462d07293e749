"""The report that a team hands to the people who decide, the system card, and the pack with all that stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotage.cli.files import new_file, write_text
from pilotage.cli.options import Json, Name, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table, when
from pilotage.errors import NotFound, Refused, WrongCall

if TYPE_CHECKING:
    from pilotage.app.client import Commander


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
            metavar="FILE",
            help="Where to write it; NAME-report.html, NAME-card.html or NAME-pack.zip if not given. A card to FILE.md is Markdown.",
            show_default=False,
        ),
    ] = None,
    card: Annotated[bool, typer.Option("--card", help="The system card instead.")] = False,
    pack: Annotated[
        bool, typer.Option("--pack", help="The evidence pack: card, report, ledger, rules; the card is put on record.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing: does the newest card on record still match? Exit 1 where not."),
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="With --check: this card.json, or the card in this pack, must be the newest one too.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Write what is known of a release as one page: six questions, their answers, what is missing, the worst answers.

    With --json the same facts are printed, and no page is written.
    """
    if card + pack + check > 1:
        raise WrongCall("--card, --pack and --check are three things", hint="give one of them")
    if against is not None and not check:
        raise WrongCall("--against belongs to --check", hint="add --check")
    run = commander(workspace, server)
    if check:
        _check(run, name, against, as_json=as_json)
    elif pack:
        _pack(run, name, variant, output or Path(f"{name}-pack.zip"), as_json=as_json)
    else:
        _page(run, name, variant, output, kind="card" if card else "report", as_json=as_json)


def _page(run: Commander, name: str, variant: str, output: Path | None, *, kind: str, as_json: bool) -> None:
    from pilotage.report.page import card_page, card_text, page

    facts = run.run(kind, given(use_case=name, variant=variant))
    if as_json:
        show_json(facts)
        return
    file = output or Path(f"{name}-{kind}.html")
    card = card_text if file.suffix == ".md" else card_page
    write_text(file, card(facts) if kind == "card" else page(facts))
    say(f"{facts['release']}", style="bold")
    if kind == "card":
        table(("framework", "covered", "partly", "open", "outside", "unknown"), map(_counts, facts["frameworks"]))
    else:
        table(
            ("question", "verdict", "because"),
            ((one["asks"], one["verdict"], one["says"]) for one in facts["questions"]),
        )
    say(f"The {kind} is in {file}.")


def _counts(framework: dict[str, Any]) -> tuple[str, ...]:
    found = [item["covered"] for item in framework["items"]]
    return (framework["title"], *(str(found.count(one)) for one in ("covered", "partly", "open", "outside", "unknown")))


def _pack(run: Commander, name: str, variant: str, file: Path, *, as_json: bool) -> None:
    from pilotage.cli.pack import SUMS, gather, write_pack

    # The file first: a card is not put on record for a pack that nobody gets.
    with new_file(file) as writing:
        files = gather(run, name, variant)
        write_pack(writing, files)
    if as_json:
        sums = dict(line.split("  ")[::-1] for line in files[SUMS].decode().splitlines())
        show_json({"file": str(file), "files": sums})
        return
    table(("file", "bytes"), ((one, f"{len(files[one]):,}") for one in files))
    say(f"The evidence pack is in {file}.")


def _check(run: Commander, name: str, against: Path | None, *, as_json: bool) -> None:
    from pilotage.cli.pack import card_in

    held = card_in(against) if against is not None else None
    found = run.run("status", {"use_case": name})["use_cases"][0]["card"]
    if found is None:
        raise NotFound(f"no card of {name} was given out yet", hint=f"`pilotage report {name} --pack` gives one out")
    stale = list(found["stale"])
    if held is not None and held != found["digest"]:
        stale.insert(
            0, f"{against} is not the newest card, for its digest is {held[:12]} and not {found['digest'][:12]}"
        )
    if as_json:
        show_json({**found, "stale": stale})
    elif not stale:
        say(f"The card of {when(found['at'])} about {found['release']} still matches.")
    if stale:
        raise Refused(
            f"the card of {when(found['at'])} about {found['release']} does not match any more: {'; '.join(stale)}"
            if found["stale"]
            else stale[0],
            hint=f"`pilotage report {name} --pack` gives out a new one",
        )
