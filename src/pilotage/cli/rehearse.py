"""Rehearsing a candidate: under real or likely traffic, with what may go wrong, before any user meets it."""

from __future__ import annotations

from typing import Annotated

import typer

from pilotage.cli.drill import drilled
from pilotage.cli.measure import Which, progress, show
from pilotage.cli.options import Json, Name, Server, Workspace, commander
from pilotage.errors import WrongCall


def rehearse(
    name: Name,
    *,
    variant: Which = "",
    trace: Annotated[
        str,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Arrivals to replay: a CSV file, or `events` for what the gateway recorded; drawn from the declared"
            " traffic if not given.",
            show_default=False,
        ),
    ] = "",
    requests: Annotated[int, typer.Option("--requests", min=1, help="How many of the busiest arrivals.")] = 300,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="The longest that the burst may take.")] = 20.0,
    stand_in: Annotated[
        bool,
        typer.Option("--stand-in", help="Pay no provider: one takes its place that behaves as it was measured to."),
    ] = False,
    faults: Annotated[
        str,
        typer.Option(
            "--faults",
            metavar="FILE",
            help="What goes wrong meanwhile, as TOML, or `default`; with the stand-in in the provider's place.",
            show_default=False,
        ),
    ] = "",
    day: Annotated[
        bool, typer.Option("--day", help="Run a whole declared day, a thousand times as fast, instead of a burst.")
    ] = False,
    ramp: Annotated[
        bool, typer.Option("--ramp", help="Climb to the declared peak and past it: what holds, and what limits it.")
    ] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Send nothing: read what copies of live requests came to.")
    ] = False,
    degrade: Annotated[
        list[str] | None,
        typer.Option(
            "--degrade",
            metavar="METRIC=CHANGE",
            help="A drill instead: how soon it would be noticed if what serves got worse, such as resolved=-0.1.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, max=10_000, help="With --degrade: how often it is played.")
    ] = 50,
    seed: Annotated[int, typer.Option("--seed", min=0, help="With --degrade: the same seed plays the same.")] = 1,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Replay traffic on a candidate through a staging copy of the gateway, and record evidence.

    With `--server` alone it goes through that server's own gateway. Exit 3 where nothing could be measured. With --degrade
    nothing is sent: what was recorded of the live release is played again with a change in it.
    """
    if degrade:
        drilled(commander(workspace, server).run, name, degrade, runs=runs, seed=seed, as_json=as_json)
        return
    import uvloop

    from pilotage.app.rehearsal import Wanted, rehearsal
    from pilotage.staging.faults import read_faults

    kinds = [kind for kind, asked in (("day", day), ("ramp", ramp), ("shadow", shadow)) if asked]
    if len(kinds) > 1:
        raise WrongCall(f"--{' and --'.join(kinds)} are given", hint="each is a rehearsal of its own")
    for option, asked in (("--faults", faults), ("--trace", trace)):
        if asked and kinds:
            raise WrongCall(f"{option} and --{kinds[0]} are given", hint=f"leave {option} out")
    wanted = Wanted(
        use_case=name,
        variant=variant,
        trace=trace,
        requests=requests,
        seconds=seconds,
        stand_in=stand_in,
        faults=read_faults(faults) if faults else (),
        kind=kinds[0] if kinds else "burst",
    )
    where = commander(workspace, server)
    with progress() as told:
        result = uvloop.run(rehearsal(where, wanted, told))
    show(result, as_json=as_json)
