"""The suites beside the cases, security, privacy and bias, or all: what each will take, what it found."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pilotage.cli import findings
from pilotage.cli.files import new_file
from pilotage.cli.measure import _awaited, progress, write_cases
from pilotage.cli.options import commander
from pilotage.cli.output import show_json
from pilotage.errors import WrongCall
from pilotage.stats.clustered import clustered_upper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pilotage.cli.measure import Command, Told

SUITES = ("quality", "security", "privacy", "bias")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for."""

    name: str
    variant: str = ""
    against: str = ""
    repeats: int = 3
    concurrency: int = 8
    max_cases: int | None = None
    max_cost: float | None = None
    dry_run: bool = False
    probes: tuple[Path, ...] = ()
    sarif: Path | None = None
    results: Path | None = None
    junit: Path | None = None
    log: Path | None = None
    texts: tuple[Path, ...] = ()
    templates: tuple[Path, ...] = ()
    pairs: bool = False
    sheet: Path | None = None
    labels: int = 100


def run(wanted: Wanted, suite: str, *, workspace: Path | None, server: str, as_json: bool) -> None:
    """Run one suite or all; each is recorded by itself. A suite that could not measure stops the others."""
    from pilotage.app.borrow import serving

    where = commander(workspace, server)
    chosen = SUITES if suite == "all" else (suite,)
    if wanted.dry_run and suite in ("bias", "judge", "all"):
        raise WrongCall(
            f"--dry-run does not count what --suite {suite} asks",
            hint="--max-cost caps it; without --suite, or with security or privacy, --dry-run says what it takes",
        )
    if "quality" not in chosen and (wanted.junit or wanted.results):
        raise WrongCall("--junit and --results tell of the cases", hint="--suite all, or no --suite, asks those")
    ready = {one: _PREPARED[one](wanted) for one in chosen}
    if wanted.dry_run:
        return
    results: dict[str, dict[str, Any]] = {}
    left = wanted.max_cost
    with ExitStack() as stack:
        own = Path(stack.enter_context(TemporaryDirectory(prefix="pilotage-log-"))) / "serve.log"
        gateway, key = stack.enter_context(serving(where, own if "privacy" in chosen else None))
        if "privacy" in ready and not where.key:
            logs = [path for path in (own, wanted.log) if path is not None and path.is_file()]
            ready["privacy"] = partial(ready["privacy"], workspace=where.workspace, logs=logs)
        for one in chosen:
            with progress() as told:
                # One cap is over all suites of a run.
                cap = None if left is None else max(0.0, left)
                results[one] = asyncio.run(_awaited(ready[one](where.run, gateway, key, progress=told, max_cost=cap)))
            left = None if left is None else left - results[one]["spent"]
            if one == "quality":
                write_cases(wanted.name, results[one].pop("results"), wanted.results, wanted.junit)
            if not as_json:
                findings.show(one, results[one])
    if wanted.sarif is not None and "security" in results:
        findings.write_sarif(wanted.sarif, results["security"])
    if as_json:
        show_json(results.get(suite, results))


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise WrongCall(f"{path} cannot be read: {fault.strerror}", hint="name a file that is there") from None


def _security(wanted: Wanted) -> Callable[..., Awaitable[dict[str, Any]]]:
    from pilotage.evaluation.security.formats import load_probes
    from pilotage.evaluation.security.run import forecast, probe

    more = [one for path in wanted.probes for one in load_probes(path.name, read_file(path))]
    plan = forecast(more, wanted.repeats)
    _foretell(
        f"{plan['probes']} probes and {plan['look_alikes']} harmless look-alikes, {plan['requests']} requests. Without a "
        f"success they bound attack success at {plan['best_bound']:.1%}; a bound of 5 % takes 59 probes without one, 2 % "
        "149, 1 % 299."
    )
    return partial(
        probe,
        use_case=wanted.name,
        probes=more,
        variant=wanted.variant,
        against=wanted.against,
        repeats=wanted.repeats,
        concurrency=wanted.concurrency,
    )


def _privacy(wanted: Wanted) -> Callable[..., Awaitable[dict[str, Any]]]:
    from pilotage.evaluation.privacy.redaction import read_labelled
    from pilotage.evaluation.privacy.run import PEOPLE, look_for_leaks

    if wanted.log is not None:
        read_file(wanted.log)
    texts = [one for path in wanted.texts for one in read_labelled(path.name, read_file(path))]
    _foretell(
        f"{PEOPLE} invented people tell their story, and others ask about them: {4 * PEOPLE} requests. Without a leak they "
        f"bound the share of people whose data leaks at {clustered_upper([0.0] * PEOPLE):.1%}."
    )
    return partial(
        look_for_leaks, use_case=wanted.name, variant=wanted.variant, concurrency=wanted.concurrency, texts=texts
    )


def _bias(wanted: Wanted) -> Callable[..., Awaitable[dict[str, Any]]]:
    from pilotage.app.own_scorer import own_scorer
    from pilotage.evaluation.bias.run import compare_people
    from pilotage.evaluation.bias.template import read_template

    return partial(
        compare_people,
        use_case=wanted.name,
        variant=wanted.variant,
        templates=[read_template(path.name, read_file(path)) for path in wanted.templates],
        max_cases=wanted.max_cases,
        concurrency=wanted.concurrency,
        foretell=_foretell,
        own=own_scorer,
    )


def _judge(wanted: Wanted) -> Callable[..., Awaitable[dict[str, Any]]]:
    from pilotage.evaluation.judge.run import judge

    async def judged(
        command: Command, gateway: str, key: str, *, progress: Told, max_cost: float | None
    ) -> dict[str, Any]:
        with ExitStack() as stack:
            # The file first: a verdict costs money, and a table that cannot be written is told before.
            writing = stack.enter_context(new_file(wanted.sheet)) if wanted.sheet is not None else None
            result = await judge(
                command,
                gateway,
                key,
                wanted.name,
                variant=wanted.variant,
                max_cases=wanted.max_cases,
                concurrency=wanted.concurrency,
                pairs=wanted.pairs,
                labels=wanted.labels,
                max_cost=max_cost,
                progress=progress,
            )
            table = result.pop("sheet")
            if writing is not None:
                writing.write(table.encode("utf-8-sig"))
        return result

    return judged


def _quality(wanted: Wanted) -> Callable[..., Awaitable[dict[str, Any]]]:
    from pilotage.app.own_scorer import own_scorer
    from pilotage.evaluation.run import evaluate

    return partial(
        evaluate,
        use_case=wanted.name,
        variant=wanted.variant,
        max_cases=wanted.max_cases,
        concurrency=wanted.concurrency,
        own=own_scorer,
    )


_PREPARED: dict[str, Callable[[Wanted], Callable[..., Awaitable[dict[str, Any]]]]] = {
    "quality": _quality,
    "security": _security,
    "privacy": _privacy,
    "bias": _bias,
    "judge": _judge,
}


def _foretell(words: str) -> None:
    """Say what a run will take and can show, before it begins, where people read it."""
    print(words, file=sys.stderr)
