"""Measuring a candidate on the use case's own cases."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pilotage.cli.options import Json, Name, Server, Workspace, commander
from pilotage.cli.output import say, show_json, table
from pilotage.errors import WrongCall

Which = Annotated[
    str, typer.Option("--variant", metavar="VARIANT", help="Which of several candidates; the first if not given.")
]
Suite = Literal["quality", "security", "privacy", "bias", "judge", "all"]
Told = Callable[[str, int, int], None]
Command = Callable[[str, dict[str, Any]], dict[str, Any]]
Measurement = Callable[[Command, str, str, Told], Awaitable[dict[str, Any]]]


def evaluate(
    name: Name,
    *,
    variant: Which = "",
    max_cases: Annotated[
        int | None, typer.Option("--max-cases", min=1, help="Ask at most this many, taken evenly.", show_default=False)
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=256, help="Requests at once.")] = 8,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            metavar="MONEY",
            min=0,
            help="Stop before this run costs more, in the file's currency.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask nothing: say how many questions there are and what they cost.")
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", metavar="FILE", help="Write what came of each case, as JSON lines.", show_default=False
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="The same as JUnit's XML.", show_default=False),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            "--media", metavar="FOLDER", help="Write the candidate's pictures and sounds there.", show_default=False
        ),
    ] = None,
    suite: Annotated[
        Suite, typer.Option("--suite", help="What to measure: the cases, or one of the suites.")
    ] = "quality",
    repeats: Annotated[int, typer.Option("--repeats", min=1, max=100, help="How often each probe is sent.")] = 3,
    probes: Annotated[
        list[Path] | None,
        typer.Option("--probes", metavar="FILE", help="More probes for the security suite.", show_default=False),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            "--against", metavar="VARIANT", help="Probe this variant too, and compare the two.", show_default=False
        ),
    ] = "",
    sarif: Annotated[
        Path | None,
        typer.Option("--sarif", metavar="FILE", help="Write the security findings as SARIF.", show_default=False),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option("--texts", metavar="FILE", help="Labelled texts for the privacy suite.", show_default=False),
    ] = None,
    templates: Annotated[
        list[Path] | None,
        typer.Option("--templates", metavar="FILE", help="Who asks, for the bias suite.", show_default=False),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Have the judge compare the two replies too, in both orders.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE.csv",
            help="Write replies for people to label, for the judge suite.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[int, typer.Option("--labels", min=1, help="To how many cases.")] = 100,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="FILE", help="What a running server logs to, to be searched.", show_default=False
        ),
    ] = None,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Measure a candidate against the baseline on the use case's own cases, and record evidence.

    `--suite` attacks it (security), looks for what becomes of personal data (privacy), or changes who asks (bias);
    all is the cases and these in turn. With judge, a model judges the replies, corrected by people's labels.
    Through the running server, or one started for the purpose. Exit 3 where nothing could be measured.
    """
    from pilotage.app.own_scorer import own_scorer
    from pilotage.evaluation.run import evaluate as run

    if suite != "quality":
        from pilotage.cli import suites

        if media is not None:
            raise WrongCall("--media writes what came of the cases", hint="run it without --suite")

        wanted = suites.Wanted(
            name, variant=variant, against=against, repeats=repeats, concurrency=concurrency, max_cases=max_cases,
            max_cost=max_cost, dry_run=dry_run, probes=tuple(probes or ()), sarif=sarif, texts=tuple(texts or ()), templates=tuple(templates or ()),
            results=results, junit=junit, log=log, pairs=pairs, sheet=sheet, labels=labels,
        )  # fmt: skip
        suites.run(wanted, suite, workspace=workspace, server=server, as_json=as_json)
        return
    if dry_run:
        _estimate(commander(workspace, server).run, name, variant, max_cases, as_json=as_json)
        return

    async def measured(command: Command, gateway: str, key: str, told: Told) -> dict[str, Any]:
        found = await run(
            command,
            gateway,
            key,
            name,
            variant=variant,
            progress=told,
            max_cases=max_cases,
            concurrency=concurrency,
            max_cost=max_cost,
            own=own_scorer,
        )
        of_cases = found.pop("results")
        write_cases(name, of_cases, results, junit)
        if media is not None:
            await write_media(command, name, of_cases, media)
        return found

    _measure(measured, workspace=workspace, server=server, as_json=as_json)


def _estimate(command: Command, name: str, variant: str, max_cases: int | None, *, as_json: bool) -> None:
    from pilotage.evaluation.run import estimate

    found = asyncio.run(estimate(command, name, variant=variant, max_cases=max_cases))
    if as_json:
        show_json(found)
        return
    say(f"{found['cases']} of {found['cases_of']} cases; nothing was asked.", style="bold")
    table(
        ("release", "to ask", "kept", "cost likely", "cost at most"),
        (
            (
                side["release"],
                f"{side['ask']:,}",
                f"{side['kept']:,}",
                _money(side["cost_likely"], found["currency"]),
                _money(side["cost_at_most"], found["currency"]),
            )
            for side in found["sides"]
        ),
    )


def _money(value: float | None, currency: str) -> str:
    return "not known" if value is None else f"{value:.4g} {currency}"


def write_cases(name: str, results: list[dict[str, Any]], as_lines: Path | None, as_junit: Path | None) -> None:
    from pilotage.evaluation.results import junit, lines

    for file, text in ((as_lines, lines), (as_junit, lambda of: junit(name, of))):
        if file is None:
            continue
        try:
            file.write_text(text(results), encoding="utf-8")
        except OSError as error:
            # The evidence is recorded by now, and what was answered is kept.
            say(f"{file} cannot be written: {error.strerror}", style="yellow")


async def write_media(command: Command, name: str, results: list[dict[str, Any]], folder: Path) -> None:
    """Write each picture and sound of the candidate's that is kept, named by the start of its digest as results are."""
    from pilotage.evaluation.media.shelf import Shelf

    shelf = Shelf(command, name)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        for one in (one for result in results for one in result.get("media", ())):
            data = await shelf.fetch(one["digest"]) if one.get("kept") else None
            if data is not None:
                ending = one["format"].rpartition("/")[2] if one["format"] != "unknown" else "bin"
                await asyncio.to_thread((folder / f"{one['digest'][:12]}.{ending}").write_bytes, data)
    except OSError as error:
        say(f"{folder} cannot be written to: {error.strerror}", style="yellow")


def _measure(measurement: Measurement, *, workspace: Path | None, server: str, as_json: bool) -> None:
    from pilotage.app.borrow import serving

    where = commander(workspace, server)
    with ExitStack() as stack:
        gateway, key = stack.enter_context(serving(where))
        told = stack.enter_context(progress())
        result = asyncio.run(_awaited(measurement(where.run, gateway, key, told)))
    show(result, as_json=as_json)


def show(result: dict[str, Any], *, as_json: bool) -> None:
    """Print what was measured."""
    if as_json:
        show_json(result)
        return
    table(
        ("measure", "value", "interval", "n"),
        (
            (one["measure"], f"{one['value']:.4g}", f"{one['low']:.4g} to {one['high']:.4g}", one["n"])
            for one in result["measures"]
        ),
    )
    say(result["summary"])


async def _awaited(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await work


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if not task.speed else f"{task.speed:.1f}/s")


class progress:  # noqa: N801 (used as a function)
    """Shows progress on standard error where somebody looks."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            _Rate(),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Told:
        self._bar.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tell(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=of)
        self._bar.update(self._tasks[what], completed=done, total=of)
