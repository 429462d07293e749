"""One rehearsal from the command line: where it takes place, who answers behind the gateway, and what is measured."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.app.borrow import serving
from pilotage.app.kept import conversations, kept_texts
from pilotage.app.staged import Staged, staged
from pilotage.errors import WrongCall
from pilotage.evaluation.plan import fetch_cases, fetch_plan
from pilotage.spec.route import Route
from pilotage.staging.behaviour import Behaviour, learn
from pilotage.staging.faults import WORKER, Fault
from pilotage.staging.pairs import shadowed
from pilotage.staging.probe import probe
from pilotage.staging.ramp import ramp
from pilotage.staging.rehearse import Setting, likely, rehearse
from pilotage.staging.trace import Trace, recorded

if TYPE_CHECKING:
    from pilotage.app.client import Commander
    from pilotage.evaluation.run import Progress

EVENTS = "events"
"""What stands for the gateway's own records in a trace's place."""
MOST_EVENTS = 10_000
_PROBED = "the stand-in, as a probe found the provider"
_LEARNED = "the stand-in, as the provider was recorded"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a rehearsal is asked for. `trace` is a file's name, `events` or empty."""

    use_case: str
    variant: str = ""
    trace: str = ""
    requests: int = 300
    seconds: float = 20.0
    stand_in: bool = False
    faults: tuple[Fault, ...] = ()
    kind: str = "burst"
    """`burst`, `day`, `ramp` or `shadow`."""


async def rehearsal(where: Commander, wanted: Wanted, progress: Progress) -> dict[str, Any]:
    """Do it and return plain data with a `summary`; raise what the measurement itself raises."""
    if wanted.kind == "shadow":
        rows = await _events(where, wanted.use_case)
        texts = await asyncio.to_thread(kept_texts, where, wanted.use_case)
        replies = {inference: reply for inference, (_, reply) in texts.items()}
        return await shadowed(where.run, rows, wanted.use_case, variant=wanted.variant, replies=replies)
    plan = await fetch_plan(where.run, wanted.use_case, wanted.variant)
    given = await asyncio.to_thread(where.run, "route", {"use_case": wanted.use_case})
    release = msgspec.convert(given["route"], Route).releases[plan.candidate]
    provided = release.upstream.kind not in ("search", "callable")
    broken = any(fault.kind != WORKER for fault in wanted.faults)
    if broken and release.upstream.kind == "search":
        raise WrongCall(
            f"{plan.candidate} searches here and asks no provider that could fail",
            hint="faults of kind `worker` are left: --faults FILE",
        )
    overhead = len(release.prompt) + 28 if release.prompt else 0
    if where.key and not (wanted.stand_in or wanted.faults):
        # A server elsewhere has the providers' keys; this machine may not.
        with ExitStack() as stack:
            gateway, key = await asyncio.to_thread(stack.enter_context, serving(where))
            return await _measured(where, (gateway, key), wanted, Setting(), progress)
    behaviour, says = None, "the release's own provider"
    if (wanted.stand_in or broken) and release.upstream.kind != "search":
        behaviour, says = await _behaviour(where, wanted, plan.candidate, progress)
    # A ramp asks what holds up to three times the peak: what money lets come is told of apart.
    budget = wanted.kind != "ramp"
    async with staged(where.run, wanted.use_case, plan.candidate, behaviour=behaviour, budget=budget) as copy:
        setting = Setting(
            provider=says,
            sized=behaviour is not None and provided,
            overhead=overhead,
            faults=wanted.faults,
            breakable=copy,
            behaviour=behaviour.described if behaviour else {},
        )
        return await _measured(where, (copy.gateway, copy.key), wanted, setting, progress)


async def _measured(
    where: Commander, at: tuple[str, str], wanted: Wanted, setting: Setting, progress: Progress
) -> dict[str, Any]:
    if wanted.kind == "ramp":
        copy = setting.breakable
        busy = copy.busy if isinstance(copy, Staged) else lambda: None
        return await ramp(
            where.run, *at, wanted.use_case, variant=wanted.variant, setting=setting, busy=busy, progress=progress
        )
    trace: Path | Trace | None = Path(wanted.trace) if wanted.trace else None
    if wanted.trace == EVENTS:
        trace = recorded(await _events(where, wanted.use_case))
        texts = await asyncio.to_thread(kept_texts, where, wanted.use_case)
        setting = msgspec.structs.replace(setting, prompts=conversations(texts.items()))
    return await rehearse(
        where.run,
        *at,
        wanted.use_case,
        trace=trace,
        variant=wanted.variant,
        requests=wanted.requests,
        seconds=wanted.seconds,
        day=wanted.kind == "day",
        setting=setting,
        progress=progress,
    )


async def _behaviour(where: Commander, wanted: Wanted, candidate: str, progress: Progress) -> tuple[Behaviour, str]:
    """Learn from what is recorded, else from a few real requests through a staging copy."""
    found = learn(await _events(where, wanted.use_case), candidate)
    if found is not None:
        return found, _LEARNED
    progress("probe", 0, 1)
    plan = await fetch_plan(where.run, wanted.use_case, wanted.variant)
    questions = likely(await fetch_cases(where.run, plan))
    async with staged(where.run, wanted.use_case, candidate, behaviour=None, budget=False) as copy:
        probed = await probe(copy.gateway, copy.key, candidate, questions)
    progress("probe", 1, 1)
    return probed, _PROBED


async def _events(where: Commander, use_case: str) -> list[dict[str, Any]]:
    return await asyncio.to_thread(lambda: where.events("inferences", limit=MOST_EVENTS, use_case=use_case))
