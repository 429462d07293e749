"""What the demo tells, scene by scene."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotage.clock import MINUTE, SECOND
from pilotage.demo.screen import short
from pilotage.evaluation.client import tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pilotage.demo.customers import Customers
    from pilotage.demo.journey import Journey
    from pilotage.demo.screen import Screen
    from pilotage.demo.setting import Folder

STOPPED = ("rolled_back", "futile")
"""How a bad candidate may end: harm is shown, or that the goal is missed; which comes first is the customers' doing."""
_ENDINGS = {"promoted": "is in production", "rolled_back": "is rolled back", "futile": "was given up as futile"}


class Story:
    """A good candidate goes all the way; then a bad one goes as far as the gates and the rollout let it."""

    def __init__(
        self,
        journey: Journey,
        screen: Screen,
        folder: Folder,
        customers: Customers,
        *,
        trace: Path | None,
        control: str,
        worsen: Callable[[], None] | None,
    ) -> None:
        self._journey, self._screen, self._folder, self._customers = journey, screen, folder, customers
        self._trace, self._control, self._worsen = trace, control, worsen

    async def tell(self, at_least: int) -> bool:
        """Tell it, and go on until so many customers have come; return whether both candidates ended as they should."""
        journey, title = self._journey, self._screen.title
        self._author = await journey.key("author", "operate")
        self._reviewer = await journey.key("reviewer", "approve")
        title("Concept: the folder is registered, and what exists today, a search over the articles, serves at once")
        await journey.apply(self._control, self._author)
        await journey.must_promote()
        title("Proof of concept: candidate and baseline answer the team's own cases, through the gateway")
        await journey.evaluate()
        await journey.must_promote()
        await self._stage()
        title("Canary: customers come, first one in a hundred meets the candidate")
        stop = asyncio.Event()
        journey.tally = self._customers.tally
        async with tasks() as group:
            coming = group.create_task(self._customers.run(stop))
            try:
                first = await journey.watch()
                title(f"The candidate: {_ended(first)}")
                second = await self._bad_one()
                title(f"The bold candidate: {_ended(second)}")
                third = await self._silent_one()
                while self._customers.tally.customers < at_least and not coming.done():
                    self._screen.doing(f"the rest of the {at_least:,} customers come")
                    await asyncio.sleep(0.5)
                    await journey.look()
            finally:
                stop.set()
        if first["how"] != "promoted" or second["how"] not in STOPPED or not third:
            says = "This is not how it should end: the good candidate promoted, the bold one stopped, the swapped model noticed."
            self._screen.say(says, "red")
            return False
        return True

    async def sum_up(self, began: float) -> None:
        screen, tally = self._screen, self._customers.tally
        screen.doing("")
        status = await self._journey.look()
        ledger = await self._journey.run("ledger_verify")
        screen.finish()
        screen.title("What happened")
        for ended in status["ended"]:
            screen.say(f"{_moment(ended['at'])}  {short(ended['release'])}: {ended['how'].replace('_', ' ')}")
        screen.say(f"{short(status['live'])} serves everybody.")
        screen.say(
            f"{tally.customers:,} simulated customers sent {tally.requests:,} real requests ({tally.streamed:,} streamed; "
            f"{tally.returns:,} came back with another question); {tally.handovers:,} asked for a person, "
            f"{tally.conversions:,} bought; {sum(tally.failures.values())} requests failed."
        )
        for fault, times in tally.failures.most_common(3):
            screen.say(f"{times} x {fault}", "red")
        screen.say(f"Ledger: {ledger['entries']} entries, unbroken; its head is {ledger['head'][:16]}.")
        screen.say(
            f"{time.monotonic() - began:.0f} s in all. The most belated customer came {tally.latest / MINUTE:.0f} minutes "
            "of the time-lapse late."
        )

    async def _stage(self) -> None:
        self._screen.title("Staging: a burst of arrivals is replayed on the candidate; then somebody else says yes")
        await self._journey.rehearse(self._trace)
        await self._journey.approve(self._control, self._reviewer)
        await self._journey.must_promote()

    async def _silent_one(self) -> bool:
        """Let the provider swap the model that serves; return whether that was noticed and rolled back."""
        journey, screen, tally = self._journey, self._screen, self._customers.tally
        if self._worsen is None:
            return True
        before = await journey.look()
        screen.title("Later: nobody changes anything, and the provider puts a worse model behind the same name")
        asked, began, at = tally.requests, time.monotonic(), screen.time()
        self._worsen()
        alarms = await journey.watch_over(before["live"])
        if not alarms:
            return False
        first, last = min(alarms, key=lambda one: int(one["at"])), alarms[-1]
        screen.say(
            f"Worse since {_moment(at)}. First alarm {_after(at, first['at'])} later ({first['what']}), "
            f"rolled back {_after(at, last['changed'])} later, for {last['what']} (an outcome counts once it is final); "
            f"{time.monotonic() - began:.0f} s and {tally.requests - asked:,} questions in truth.",
            "bold",
        )
        return True

    async def _bad_one(self) -> dict[str, Any]:
        journey, screen = self._journey, self._screen
        screen.title("A later idea: the file now names assistant-bold, which reads carelessly and writes freely")
        self._folder.nominate_bold()
        await journey.apply(self._control, self._author)
        await journey.must_promote()
        await journey.evaluate()
        if not await journey.promote():
            screen.say(
                "This is where a bad candidate ends: its evaluation shows it, and the gate stays closed.", "bold"
            )
            screen.say(
                "To show the second net as well, the demo does what somebody in a hurry would: it writes", "yellow"
            )
            screen.say("    quality_difference = { at_least = -1.0 }   under [gates.staging]", "yellow")
            screen.say("into the file and applies it. The ledger keeps that, too.", "yellow")
            self._folder.loosen_gate()
            await journey.apply(self._control, self._author)
            await journey.must_promote()
        await self._stage()
        screen.title("Canary: one customer in a hundred meets the bold candidate")
        return await journey.watch()


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / SECOND, UTC):%a %d %H:%M}"


def _after(at: int, then: int) -> str:
    hours, minutes = divmod((then - at) // MINUTE, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes} minutes"


def _ended(ended: dict[str, Any]) -> str:
    return f"{short(ended['release'])} {_ENDINGS.get(ended['how'], ended['how'])}"
