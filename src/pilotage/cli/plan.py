"""What a rollout takes, before anything is built: computed, or played."""

from __future__ import annotations

import math
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pilotage.cli.folder import Folder
from pilotage.cli.options import Json
from pilotage.cli.output import progress, say, show_json, table
from pilotage.errors import Refused, WrongCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pilotage.planning.play import Played
    from pilotage.report.svg import Picture
    from pilotage.spec.use_case import UseCase


def plan(
    directory: Folder,
    *,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Play the rollout many times, as it would be decided live.")
    ] = False,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            metavar="METRIC=CHANGE",
            help="With --simulate: candidate minus baseline on the metric's own scale, such as resolved=-0.05; no difference if not given.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=1, max=100_000, help="With --simulate: how often it is played.")
    ] = 200,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="With --simulate: the same seed plays the same.")
    ] = 1,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE.svg",
            help="Write a picture: the chance of having shown each metric, over the days.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how many users and days the proof takes, what the traffic can show, whether it is worth it, and what would be cheaper.

    Reads the folder alone, as `check` does. With --simulate it plays the rollout: users arrive, outcomes mature, and the
    live rollout's own statistics and decisions run until it is promoted, stopped, given up, or 90 days are over.
    """
    from pilotage.spec import folder
    from pilotage.spec.load import load

    if effect and not simulate:
        raise WrongCall(
            "--effect is for --simulate", hint="the plan itself supposes the file's own effects and margins"
        )
    if simulate and picture:
        raise WrongCall("--picture draws the plan, not its simulation", hint="call it without --simulate")
    spec = load(folder.Folder.read(directory))
    if simulate:
        _simulate(spec, effect or [], runs, seed, as_json=as_json)
        return
    import msgspec

    from pilotage.cli.outlook import picture_of, show
    from pilotage.planning.outlook import outlook

    found = outlook(spec)
    if picture is not None:
        _write(picture, picture_of(found))
    if as_json:
        show_json(msgspec.to_builtins(found))
        return
    show(found)
    if picture is not None:
        say(f"\nThe picture is in {picture}.")


def _write(file: Path, drawn: Picture) -> None:
    try:
        file.write_text(drawn.file, encoding="utf-8")
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise Refused(msg, hint="name a file in a folder that exists") from error


def _simulate(spec: UseCase, effects: list[str], runs: int, seed: int, *, as_json: bool) -> None:
    import msgspec

    from pilotage.planning.play import play

    given = dict(_effect(text) for text in effects)
    with progress(runs, "rollouts played") as done:
        found = play(spec, given, runs=runs, seed=seed, each=partial(_each, done))
    if as_json:
        show_json(msgspec.to_builtins(found))
        return
    _show_played(found)


def _each(done: Callable[[], None], one: Callable[[_T], _R], tasks: list[_T]) -> Iterator[_R]:
    """Do the work in as many processes as there are processors, if it is enough to be worth their start."""
    workers = min(os.cpu_count() or 1, len(tasks) // _WORTH_A_PROCESS)
    with ProcessPoolExecutor(max(workers, 1), mp_context=get_context("spawn")) as pool:
        for result in pool.map(one, tasks) if workers > 1 else map(one, tasks):
            done()
            yield result


_T = TypeVar("_T")
_R = TypeVar("_R")
_WORTH_A_PROCESS = 10


def _effect(text: str) -> tuple[str, float]:
    name, _, change = text.partition("=")
    try:
        value = float(change)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        msg = f"--effect {text!r} is no change of a metric"
        raise WrongCall(msg, hint="write METRIC=CHANGE with a number on the metric's own scale, such as resolved=-0.05")
    return name.strip(), value


def _show_played(found: Played) -> None:
    supposed = (
        ", ".join(f"{name} {change:+g}" for name, change in found.effects.items()) or "no difference in any metric"
    )
    say(f"{found.use_case}: its rollout played {found.runs:,} times with {supposed} (seed {found.seed})", style="bold")
    words = {
        "promoted": "promoted",
        "rolled_back": "rolled back",
        "futile": "given up as futile",
        "undecided": f"undecided after {found.longest:g} days",
    }
    table(
        ("ended", "runs", "share"),
        [(words[how], f"{count:,}", f"{100 * count / found.runs:.1f} %") for how, count in found.ended.items()],
    )
    if found.stopped_by:
        said = ", ".join(f"{name} in {count:,}" for name, count in found.stopped_by.items())
        say(f"Harm was shown by {said}.")
    days, exposed = found.days, found.exposed
    say(f"Days to the end: {days.median:.1f} (median), {days.low:.1f} to {days.high:.1f} (10 to 90 % of the runs).")
    say(
        f"{found.unit.capitalize()}s who met the candidate: {exposed.median:,.0f} (median), {exposed.most:,.0f} at most."
    )
    tick = f"{found.tick / 60:g} minutes" if found.tick < _HOUR else f"{found.tick / _HOUR:g} h"
    say(f"Decided every {tick} at first, later whenever 3 % more time had passed: {found.batches:,.0f} times a run.")
    if found.assumed:
        say("\nSupposed", style="bold")
        for line in found.assumed:
            say(f"  {line}")


_HOUR = 3600
