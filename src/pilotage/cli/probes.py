"""Probes: what the security suite sends, and what other tools found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pilotage.cli.options import Json, Name, Server, Workspace, commander
from pilotage.cli.output import say, show_json, table
from pilotage.cli.suites import read_file
from pilotage.errors import WrongCall

app = typer.Typer(help="Attacks that the security suite sends, and results of other tools.", no_args_is_help=True)
Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files of more probes.", show_default=False)
]


@app.command("list")
def list_probes(files: Files = None, *, as_json: Json = False) -> None:
    """List the built-in probes, and those of the files, whose faults are said by line; nothing is sent."""
    from pilotage.evaluation.security.formats import load_probes
    from pilotage.evaluation.security.planted import built_in
    from pilotage.evaluation.security.probe import RISKS
    from pilotage.evaluation.security.run import forecast

    more = [one for path in files or () for one in load_probes(path.name, read_file(path))]
    every = [*(one for _, found in built_in() for one in found), *more]
    plan = forecast(more, repeats=3)
    if as_json:
        show_json({**plan, "list": [msgspec.to_builtins(one) for one in every]})
        return
    counted = Counter((one.risk, one.kind) for one in every)
    table(
        ("risk", "", "kind", "probes"),
        ((risk or "", RISKS.get(risk, "harmless look-alikes"), kind, n) for (risk, kind), n in sorted(counted.items())),
    )
    say(f"{plan['probes']} attacks: without a success they bound attack success at {plan['best_bound']:.2%}.")


@app.command("import")
def import_results(
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="garak's report.jsonl or promptfoo's red-team results as JSON.")
    ],
    *,
    variant: Annotated[
        str, typer.Option("--variant", metavar="VARIANT", help="Which of several candidates.", show_default=False)
    ] = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Record what garak or promptfoo found about the candidate, as evidence of a measure named after the tool."""
    import asyncio

    from pilotage.evaluation.security.elsewhere import record_results

    data = read_file(file)
    where = commander(workspace, server)
    result = asyncio.run(record_results(where.run, name, file.name, data, variant=variant))
    if as_json:
        show_json(result)
        return
    one = result["measures"][0]
    say(
        f"{one['measure']}: {one['value']:.1%} ({one['low']:.1%} to {one['high']:.1%}, n = {one['n']}), by {one['method']}"
    )


@app.command("templates")
def write_templates(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder, made where there is none.")],
) -> None:
    """Write the bias suite's templates as files to be edited, for `evaluate --suite bias --templates FILE`."""
    from pilotage.evaluation.bias.template import built_in_files

    for name, data in built_in_files():
        path = directory / name
        if path.exists():
            raise WrongCall(f"{path} is there already", hint="name another folder: what you edited is not written over")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as fault:
            raise WrongCall(f"{path} cannot be written: {fault.strerror}", hint="name another folder") from None
        say(str(path))
