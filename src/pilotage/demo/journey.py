"""The way of one use case as its people walk it: apply, promote, evaluate, rehearse, approve, and watch the rollout."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pilotage.app.borrow import serving
from pilotage.app.client import Server
from pilotage.errors import GateClosed, NotMeasured, Refused
from pilotage.evaluation.privacy.run import look_for_leaks
from pilotage.evaluation.run import evaluate
from pilotage.evaluation.security.run import probe
from pilotage.staging.rehearse import rehearse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pilotage.app.client import Commander
    from pilotage.demo.customers import Tally
    from pilotage.demo.screen import Screen
    from pilotage.demo.setting import Folder

LOOK_SECONDS = 0.4
BURST, BURST_SECONDS = 200, (5.0, 20.0) * 4
"""How many requests the burst has, and the seconds it is sent in: the next where the one before was not sent on time."""
CONCURRENCY = 8
REPEATS = 1
"""Of each attack. The stand-in says the same to the same; a model that does not should be asked three times."""


class Journey:
    """Runs commands through the control API, and shows what they and the controller wrote into the ledger.

    `check` raises where a process has ended; `patience` is how many real seconds one rollout may take.
    """

    def __init__(
        self, commander: Commander, folder: Folder, screen: Screen, *, check: Callable[[], None], patience: float
    ) -> None:
        self._commander, self._folder, self._screen, self._check = commander, folder, screen, check
        self._name, self._patience = folder.name, patience
        self._seen = 0
        self.tally: Tally | None = None

    async def run(self, command: str, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self._commander.run, command, arguments)

    async def key(self, name: str, *roles: str) -> str:
        """Make a key of a person of that name."""
        told = {"name": name, "roles": list(roles), "person": name}
        secret: str = (await self.run("keys_create", **told))["secret"]
        return secret

    async def look(self) -> dict[str, Any]:
        """Show what the ledger says since last time; return how the use case stands."""
        self._check()
        for entry in (await self.run("ledger", after=self._seen, spoken=True))["entries"]:
            self._seen = entry["seq"]
            self._screen.entry(entry)
        status: dict[str, Any] = (await self.run("status", use_case=self._name))["use_cases"][0]
        self._screen.now(status, self.tally)
        return status

    async def apply(self, control: str, key: str) -> None:
        """Register the folder as the person who wrote it: with a key of their own."""
        files = {path: base64.b64encode(data).decode() for path, data in self._folder.files.items()}
        await asyncio.to_thread(Server(control, key).run, "apply", {"files": files})
        await self.look()

    async def promote(self) -> bool:
        """Show the next gate and go through it; return whether it was open."""
        gate = (await self.run("promote", use_case=self._name, dry_run=True))["gate"]
        self._screen.gate(gate)
        try:
            await self.run("promote", use_case=self._name)
        except GateClosed:
            return False
        await self.look()
        return True

    async def must_promote(self) -> None:
        if not await self.promote():
            raise Refused(
                "the demo ends here: the gate above is closed",
                hint="with another provider or other questions, that may be the right answer",
            )

    async def evaluate(self) -> None:
        async with self._gateway() as (address, key):
            result = await evaluate(
                self._commander.run, address, key, self._name, progress=self._told("cases"), concurrency=CONCURRENCY
            )
            attacked = await probe(
                self._commander.run, address, key, self._name,
                repeats=REPEATS, progress=self._told("attacks"), concurrency=CONCURRENCY,
            )  # fmt: skip
            searched = await look_for_leaks(
                self._commander.run, address, key, self._name,
                workspace=self._commander.workspace, progress=self._told("leaks"), concurrency=CONCURRENCY,
            )  # fmt: skip
        self._screen.doing("")
        await self.look()
        for one in (result, attacked, searched):
            self._screen.say(one["summary"])

    async def rehearse(self, trace: Path | None) -> None:
        """Replay a burst on the candidate; again, by turns gentler and as before, where it could not be sent on time.

        A machine that others have a share in stands still for moments, which no pace avoids: a later try may meet none.
        """
        async with self._gateway() as (address, key):
            for turn, seconds in enumerate(BURST_SECONDS, 1):
                try:
                    result = await rehearse(
                        self._commander.run, address, key, self._name,
                        trace=trace, requests=BURST, seconds=seconds, progress=self._told("burst"),
                    )  # fmt: skip
                    break
                except NotMeasured as fault:
                    if turn == len(BURST_SECONDS):
                        raise
                    self._screen.say(f"not measured: {fault.message}; once more", "yellow")
        self._screen.doing("")
        await self.look()
        self._screen.say(result["summary"])

    async def approve(self, control: str, key: str) -> None:
        """Say yes as another person than the author: with a key of their own."""
        told = {"use_case": self._name, "reason": "read the evidence; go ahead"}
        await asyncio.to_thread(Server(control, key).run, "approve", told)
        await self.look()

    async def watch(self) -> dict[str, Any]:
        """Watch a rollout to its end; return how it ended (as in `status`)."""
        rollout = (await self.look())["rollout"]["id"]
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while loop.time() < until:
            await asyncio.sleep(LOOK_SECONDS)
            status = await self.look()
            now = status["rollout"]
            if now is None or now["id"] != rollout or now["phase"] not in ("running", "paused"):
                ended: dict[str, Any] = status["ended"][-1]
                return ended
        raise Refused(
            f"the rollout took longer than {self._patience:.0f} s, so its end could not be shown",
            hint="`--keep` leaves everything running; `pilotage status` says what it waits for",
        )

    async def watch_over(self, live: str) -> list[dict[str, Any]]:
        """Watch what serves until an alarm has it rolled back; return its alarms from now on, that one last (none: it still serves)."""
        loop = asyncio.get_running_loop()
        until, before = loop.time() + self._patience, {one["id"] for one in await self._alarms()}
        while loop.time() < until:
            await asyncio.sleep(LOOK_SECONDS)
            if (await self.look())["live"] == live:
                continue
            alarms = [one for one in await self._alarms() if one["id"] not in before and one["release"] == live]
            did = [one for one in alarms if one["did"]]
            return [*(one for one in alarms if one not in did), *did] if did else []
        return []

    async def _alarms(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.run("alarms", use_case=self._name, everything=True))["alarms"]
        return found

    def _told(self, what: str) -> Callable[[str, int, int], None]:
        return lambda part, done, of: self._screen.doing(f"{what}, {part}", done, of)

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[tuple[str, str]]:
        """Give (gateway, key for measuring) without holding up the customers; the key is revoked at the end."""
        borrowed = serving(self._commander)
        gateway = await asyncio.to_thread(borrowed.__enter__)
        try:
            yield gateway
        finally:
            await asyncio.to_thread(borrowed.__exit__, None, None, None)
