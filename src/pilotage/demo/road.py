"""`pilotage demo`, the main job: one use case goes from concept to production while you watch, and a bad one does not.

Everything is a process of its own and real: the stand-in provider (or a real one), the gateway's workers, the control
process, the judge. Only the customers are simulated, and time: one scaled clock that every process reads.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from functools import partial
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
from pilotage.demo.screen import Screen
from pilotage.demo.setting import Folder, Provider
from pilotage.demo.story import Story
from pilotage.errors import WrongCall
from pilotage.staging.trace import read_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

A_DAY = 3000
"""New customers a day, as the example's file says."""
PACE, PACE_OF_A_PROVIDER = 130.0, 10.0
"""Customers a real second on average: with the stand-in, and with a provider that somebody pays for."""
LONGEST_ROLLOUT = 20_000
"""Customers: about twice as many as a good candidate needs. Without an end by then, the demo says so."""
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
    if workspace is not None and workspace.exists() and any(workspace.iterdir()):
        raise WrongCall(f"{workspace} is not empty", hint="the demo begins a workspace of its own: name a new folder")
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
        worsen = None
        if wanted.provider.base_url:
            folder.use(wanted.provider)
        else:
            stand_in = processes.start(
                "stand-in provider",
                ["pilotage.demo.stand_in", "--knowledge", str(folder.path / "knowledge"), "--port", "0", "--announce"],
            )
            worsen = partial(stand_in.signal, signal.SIGUSR1)
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
        journey = Journey(commander, folder, screen, check=processes.check, patience=LONGEST_ROLLOUT / pace)
        async with AsyncExitStack() as others:
            shop_key = await journey.key("shop", "infer", "feedback")
            judge = await others.enter_async_context(JudgeProcess([folder.live_file]))
            shop = await others.enter_async_context(Shop(doors.gateway, shop_key, folder.name))
            customers = Customers(
                shop, judge, clock, use_case=folder.name, questions=folder.live, arrivals=arrivals, seed=SEED
            )
            story = Story(journey, screen, folder, customers, trace=wanted.trace, control=doors.control, worsen=worsen)
            as_expected = await story.tell(wanted.customers)
            await story.sum_up(began)
        if wanted.keep:
            await _keep(screen, doors, processes, workspace)
        return 0 if as_expected else 1


def _clock(rate: float) -> ScaledClock:
    """Return a time-lapse that begins on a morning of last week."""
    now = SystemClock().now()
    return ScaledClock(now, now - now % DAY - 7 * DAY + 5 * HOUR, rate)


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


async def _keep(screen: Screen, doors: Serving, processes: Processes, workspace: Path) -> None:
    screen.say(f"Still serving: gateway {doors.gateway}/v1, console {doors.control}. Ctrl-C ends it.", "bold")
    screen.say(f"Commands find it by `--workspace {workspace}`, such as `pilotage status --workspace ...`.")
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(1)
            processes.check()
