"""`pilotage demo`, the main job: one use case goes from concept to production while you watch, and a bad one does not.

Everything is a process of its own and real: the stand-in provider (or a real one), the gateway's workers, the control
process, the judge. Only the customers are simulated, and time: one scaled clock that every process reads.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import uvloop

from pilotage import settings
from pilotage.app.client import Commander
from pilotage.app.serve import Serving
from pilotage.clock import DAY, HOUR, SECOND, ScaledClock, SystemClock
from pilotage.demo.arrivals import by_hour, by_trace
from pilotage.demo.client import Shop
from pilotage.demo.customers import Customers
from pilotage.demo.journey import Journey
from pilotage.demo.judging import JudgeProcess
from pilotage.demo.processes import Processes
from pilotage.demo.screen import Screen, short
from pilotage.demo.setting import Folder, Provider
from pilotage.errors import PilotageError, Refused, WrongCall
from pilotage.staging.trace import read_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

A_DAY = 3000
"""New customers a day, as the example's file says."""
PACE, PACE_OF_A_PROVIDER = 110.0, 10.0
"""Customers a real second on average: with the stand-in, and with a provider that somebody pays for."""
WORKERS = 2
SEED = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for."""

    questions: Path | None
    trace: Path | None
    provider: Provider
    keep: bool
    workspace: Path | None
    customers: int


def main(
    *,
    questions: Path | None = None,
    trace: Path | None = None,
    upstream: str = "",
    model: str = "",
    keep: bool = False,
    workspace: Path | None = None,
    customers: int = 12_000,
) -> int:
    """Run the demo; return the exit code. Raise PilotageError where something on the way is refused or fails."""
    wanted = Wanted(questions, trace, _provider(upstream, model), keep, workspace, customers)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_demo(wanted))
    except KeyboardInterrupt:
        return 130


def _provider(upstream: str, model: str) -> Provider:
    base_url = upstream or settings.environment("OPENAI_BASE_URL")
    if not base_url and not model:
        return Provider()
    if not base_url.startswith(("http://", "https://")):
        raise WrongCall(f"{base_url!r} is no base URL", hint="--upstream takes one such as https://api.openai.com/v1")
    if not model:
        raise WrongCall(
            f"no model is named for {base_url}", hint="--model NAME; unset OPENAI_BASE_URL for the stand-in"
        )
    key = "OPENAI_API_KEY" if settings.environment("OPENAI_API_KEY") else ""
    return Provider(base_url.rstrip("/"), model, key)


async def _demo(wanted: Wanted) -> int:
    began = time.monotonic()
    pace = PACE_OF_A_PROVIDER if wanted.provider.base_url else PACE
    clock = _clock(pace * DAY / SECOND / A_DAY)
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pilotage-demo-")))
        folder, about = await asyncio.to_thread(Folder.make, temporary / "use-case", wanted.questions)
        arrivals = _arrivals(wanted, clock)
        screen = stack.enter_context(Screen(clock))
        _introduce(screen, wanted, clock, about)
        environment = settings.child_environment(PILOTAGE_CLOCK=str(clock), PILOTAGE_LOG="warning")
        processes = stack.enter_context(Processes(temporary, environment))
        if wanted.provider.base_url:
            folder.use(wanted.provider)
        else:
            stand_in = processes.start(
                "stand-in provider",
                ["pilotage.demo.stand_in", "--knowledge", str(folder.path / "knowledge"), "--port", "0", "--announce"],
            )
            folder.serve_at((await asyncio.to_thread(stand_in.first_line)).decode().strip())
        workspace = wanted.workspace or temporary / "workspace"
        ports = ("--port", "0", "--control-port", "0")
        server = processes.start(
            "pilotage serve",
            ["pilotage", "serve", "--workspace", str(workspace), *ports, "--workers", str(WORKERS), "--json"],
        )
        doors = msgspec.json.decode(await asyncio.to_thread(server.first_line), type=Serving)
        screen.say(f"console: {doors.console}   (this link signs in once)", "bold cyan")
        commander = Commander(workspace, clock, user=settings.user_name())
        journey = Journey(commander, folder, screen, check=processes.check)
        async with AsyncExitStack() as others:
            shop_key = await journey.key("shop", "infer", "feedback")
            judge = await others.enter_async_context(JudgeProcess([folder.live_file]))
            shop = await others.enter_async_context(Shop(doors.gateway, shop_key, folder.name))
            customers = Customers(
                shop, judge, clock, use_case=folder.name, questions=folder.live, arrivals=arrivals, seed=SEED
            )
            good = await _walk(journey, screen, customers, wanted, folder, doors)
            await _close(journey, screen, customers, began)
        if wanted.keep:
            await _keep(screen, doors, processes)
        return 0 if good else 1


def _clock(rate: float) -> ScaledClock:
    """Return a time-lapse that begins on a morning of last week."""
    now = SystemClock().now()
    return ScaledClock(now, now - now % DAY - 7 * DAY + 6 * HOUR, rate)


def _arrivals(wanted: Wanted, clock: ScaledClock) -> Iterator[int]:
    """Return when customers come, from the moment when this is asked for the first."""
    if wanted.trace is not None:
        times = [arrival.at for arrival in read_trace(wanted.trace).arrivals]

        def traced() -> Iterator[int]:
            yield from by_trace(clock.now(), times, wanted.customers * DAY // A_DAY, wanted.customers)

        return traced()

    def drawn() -> Iterator[int]:
        yield from by_hour(clock.now(), A_DAY, np.random.default_rng(SEED))

    return drawn()


def _introduce(screen: Screen, wanted: Wanted, clock: ScaledClock, about: str) -> None:
    screen.title("Pilotage: one use case from concept to production")
    rhythm = f"the rhythm of {wanted.trace.name}" if wanted.trace else "an hourly profile (docs/demo.md)"
    model = (
        f"the model is {wanted.provider.model} at {wanted.provider.base_url}"
        if wanted.provider.base_url
        else "the model is a stand-in that retrieves and writes from an n-gram model, and no quality is claimed for it"
    )
    screen.say(f"A time-lapse of real requests: one second here is {clock.rate / 60:.0f} minutes in every process.")
    screen.say(f"Gateway, controller, evaluation and judge are the real thing; {model}.")
    screen.say(f"The customers are simulated: they come by {rhythm}; what they ask is {about}.")


async def _walk(
    journey: Journey, screen: Screen, customers: Customers, wanted: Wanted, folder: Folder, doors: Serving
) -> bool:
    """Walk the good candidate to production and the bad one as far as it gets; return whether both ended as expected."""
    reviewer = await journey.key("reviewer", "approve")
    screen.title("Concept: register the folder; what exists today, a search over the articles, serves at once")
    await journey.apply()
    await journey.must_promote()
    await _prove(journey, screen, wanted, reviewer, doors)
    screen.title("Canary: customers come")
    stop = asyncio.Event()
    journey.tally = customers.tally
    async with asyncio.TaskGroup() as group:
        coming = group.create_task(customers.run(stop))
        try:
            first = await journey.watch()
            screen.title(f"The candidate {_ended(first)}")
            second = await _bad_one(journey, screen, wanted, folder, reviewer, doors)
            screen.title(f"The bold candidate {_ended(second)}")
            while customers.tally.customers < wanted.customers and not coming.done():
                screen.doing(f"the rest of the {wanted.customers:,} customers come")
                await asyncio.sleep(1)
                await journey.look()
        finally:
            stop.set()
    return bool(first["how"] == "promoted" and second["how"] == "rolled_back")


async def _prove(journey: Journey, screen: Screen, wanted: Wanted, reviewer: str, doors: Serving) -> None:
    """Lead a candidate from proof of concept to canary."""
    screen.title("Proof of concept: candidate and baseline answer the team's own cases, through the gateway")
    await journey.evaluate()
    await journey.must_promote()
    await _rehearse(journey, screen, wanted, reviewer, doors)


async def _rehearse(journey: Journey, screen: Screen, wanted: Wanted, reviewer: str, doors: Serving) -> None:
    screen.title("Staging: a burst of arrivals, replayed on the candidate; then somebody else's yes")
    await journey.rehearse(wanted.trace)
    await journey.approve(doors.control, reviewer)
    await journey.must_promote()


async def _bad_one(
    journey: Journey, screen: Screen, wanted: Wanted, folder: Folder, reviewer: str, doors: Serving
) -> dict[str, object]:
    screen.title("A later idea: the file now names assistant-bold, which reads carelessly and writes freely")
    folder.nominate_bold()
    await journey.apply()
    await journey.must_promote()
    await journey.evaluate()
    if not await journey.promote():
        screen.say("This is where a bad candidate ends: its evaluation shows it, and the gate stays closed.", "bold")
        screen.say("To show the second net, the demo now does what somebody in a hurry would: it writes", "yellow")
        screen.say("    quality_difference = { at_least = -1.0 }   under [gates.staging]", "yellow")
        screen.say("into the file and applies it. The ledger keeps that, too.", "yellow")
        folder.loosen_gate()
        await journey.apply()
        await journey.must_promote()
    await _rehearse(journey, screen, wanted, reviewer, doors)
    screen.title("Canary: one customer in a hundred meets it")
    return await journey.watch()


def _ended(ended: dict[str, object]) -> str:
    words = {"promoted": "is in production", "rolled_back": "is rolled back", "futile": "was given up as futile"}
    return f"{short(str(ended['release']))} {words.get(str(ended['how']), str(ended['how']))}"


async def _close(journey: Journey, screen: Screen, customers: Customers, began: float) -> None:
    screen.doing("")
    status = await journey.look()
    ledger = await journey.run("ledger_verify")
    tally = customers.tally
    screen.title("What happened")
    for ended in status["ended"]:
        at = datetime.fromtimestamp(ended["at"] / SECOND, UTC)
        screen.say(f"{at:%a %d %H:%M}  {short(ended['release'])}: {ended['how'].replace('_', ' ')}")
    screen.say(f"{short(status['live'])} serves everybody.")
    screen.say(
        f"{tally.customers:,} simulated customers asked {tally.requests:,} questions ({tally.streamed:,} streamed) in "
        f"{tally.returns:,} returns and as many first visits as there are customers; {tally.handovers:,} asked for a "
        f"person, {tally.conversions:,} bought; {sum(tally.failures.values())} requests failed."
    )
    for fault, times in tally.failures.most_common(3):
        screen.say(f"{times} x {fault}", "red")
    screen.say(f"Ledger: {ledger['entries']} entries, unbroken, head {ledger['head'][:16]}.")
    late = tally.latest / 60 / SECOND
    screen.say(
        f"{time.monotonic() - began:.0f} s in all. The latest customer came {late:.0f} minutes of the time-lapse late."
    )


async def _keep(screen: Screen, doors: Serving, processes: Processes) -> None:
    screen.say(f"Still serving: gateway {doors.gateway}/v1, console {doors.control}. Ctrl-C ends it.", "bold")
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(1)
            processes.check()
