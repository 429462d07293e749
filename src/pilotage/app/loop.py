"""The control process's own work, turn after turn, for as long as it is the one that decides."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pilotage.clock import HOUR
from pilotage.console.health import Health
from pilotage.errors import PilotageError
from pilotage.governance import anchors
from pilotage.governance.budgets import tell
from pilotage.governance.mandate import RENEW_SECONDS
from pilotage.governance.retention import expire

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.app.checks import Checks
    from pilotage.app.seal import Seal
    from pilotage.counting.ingest import Ingest
    from pilotage.counting.losses import LossWatch
    from pilotage.counting.observe import Observer
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.monitor.drifts import Drifts
    from pilotage.monitor.money import Money
    from pilotage.monitor.notices import Notices
    from pilotage.monitor.retirements import Retirements
    from pilotage.monitor.watcher import Watcher
    from pilotage.rollout.controller import Controller
    from pilotage.store.losses import LossReader
    from pilotage.store.texts import Texts

TURN_SECONDS = 0.2
ANCHOR_SECONDS = 60.0
"""Between two anchors, if the ledger has grown meanwhile."""
WORK = (
    "mandate",
    "events",
    "losses",
    "rollouts",
    "watch",
    "alarms",
    "notices",
    "sealing",
    "drift",
    "money",
    "retirements",
    "checks",
    "anchors",
    "texts",
    "budgets",
)
"""What may fail beside the use cases."""

log = logging.getLogger(__name__)


class Losing(NamedTuple):
    """What the workers could not record, and how much of that came lately."""

    counts: LossReader
    watch: LossWatch


class Engine(NamedTuple):
    """What reads and decides. It goes on from what is stored, so a process that gets the mandate makes a new one."""

    ingest: Ingest
    controller: Controller
    watcher: Watcher
    drifts: Drifts
    money: Money
    retirements: Retirements
    observer: Observer


class Loop:
    """Ingest and the controller, turn after turn. What fails is kept in `health`, logged once, and tried again."""

    def __init__(
        self,
        context: Context,
        mandate: Mandate,
        begin: Callable[[], Engine],
        *,
        seal: Seal,
        losing: Losing,
        notices: Notices,
        texts: Texts,
        checks: Checks,
        settle: Callable[[], int],
    ) -> None:
        self._context, self._mandate, self._begin = context, mandate, begin
        self._seal, self._losing, self._texts = seal, losing, texts
        self._notices = notices
        self._settle, self._checks = settle, checks
        self._engine: Engine | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._expired: int | None = None
        self._anchored: float | None = None
        self.health = Health()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        await self._attempt("mandate", self._mandate.renew)
        renewing = asyncio.create_task(self._renew())
        while not self.stopping.is_set():
            began = time.monotonic()
            if self._mandate.held:
                await self._turn()
            else:
                await self._stand_by()
            await self._pause(max(0.01, TURN_SECONDS - (time.monotonic() - began)))
        await renewing
        for work in (self._upkeep, self._telling, self._looking):
            if work is not None:
                await work
        await self._checks.end()
        if self._engine is not None and self._mandate.held:
            await self._attempt("events", self._engine.ingest.turn)
            await self._attempt("sealing", self._engine.ingest.seal_due, everything=True)
            await self._anchor()
            await self._attempt("mandate", self._mandate.release)

    async def _renew(self) -> None:
        """Beside the turns, which a slow disk may hold up for longer than the lease lasts."""
        while not self.stopping.is_set():
            await self._pause(RENEW_SECONDS)
            await self._attempt("mandate", self._mandate.renew)

    async def _stand_by(self) -> None:
        """Another process decides. What was in memory here is out of date with its first write."""
        for work in (self._upkeep, self._telling, self._looking):
            if work is not None:
                await work
        self._engine, self._upkeep, self._telling, self._looking = None, None, None, None
        await self._attempt("sealing", self._seal.give_back)
        if not self.health.standing_by and "mandate" not in self.health.faults:
            log.info("another control process decides; this one stands by")
            self.health.standing_by = True
        for what in [what for what in self.health.faults if what != "mandate"]:
            del self.health.faults[what]

    async def _turn(self) -> None:
        if self._engine is None:
            self._engine = await self._attempt("events", self._begin)
            if self._engine is None:
                return
            if self.health.standing_by:
                log.info("no other control process decides any more; this one goes on")
        self.health.standing_by = False
        ingest, controller, watcher, _, _, _, observer = self._engine
        await self._attempt("events", ingest.turn)
        # After the events: what was lost before the last one that was counted is known when they are judged.
        await self._attempt("losses", self._losing.watch.turn)
        use_cases = await self._attempt("rollouts", controller.use_cases) or []
        for name in use_cases:
            if self._mandate.held:
                await self._attempt(name, controller.tick, name)
        due = await self._attempt("watch", watcher.due) or []
        for name in due:
            if self._mandate.held:
                await self._attempt(f"{name}/watch", watcher.tick, name)
        if self._mandate.held:
            await self._attempt("alarms", watcher.act)
        watched = [f"{name}/watch" for name in due]
        for gone in [what for what in self.health.faults if what not in (*use_cases, *watched, *WORK)]:
            del self.health.faults[gone]
        self.health.lag = ingest.lag
        self.health.unmatched = dict(observer.unmatched)
        self.health.lost, self.health.losing = self._losing.watch.total, self._losing.watch.lately
        self.health.dropped = self._losing.counts.last.texts
        if not self.health.faults:
            self.health.at = self._context.clock.now()
        self._beside(self._engine)

    def _beside(self, engine: Engine) -> None:
        """Begin again what no turn waits for, as soon as it has ended."""
        if self._upkeep is None or self._upkeep.done():
            self._upkeep = asyncio.create_task(self._keep_up(engine))
        if self._telling is None or self._telling.done():
            # By itself: a receiver that is slow to answer holds up nothing else.
            self._telling = asyncio.create_task(self._attempt("notices", self._notices.turn))
        if self._looking is None or self._looking.done():
            # So is a provider that turns questions into vectors.
            self._looking = asyncio.create_task(self._attempt("drift", engine.drifts.turn))

    async def _keep_up(self, engine: Engine) -> None:
        """What no tick waits for: seal what is due, and once an hour let texts expire."""
        await self._attempt("sealing", engine.ingest.seal_due)
        await self._attempt("money", engine.money.turn)
        await self._attempt("retirements", engine.retirements.turn)
        await self._checks.turn()
        await self._attempt("budgets", self._look_after_budgets)
        if self._anchored is None or time.monotonic() - self._anchored >= ANCHOR_SECONDS:
            await self._anchor()
        now = self._context.clock.now()
        if self._expired is not None and now - self._expired < HOUR:
            return
        gone = await self._attempt("texts", expire, self._context, self._texts)
        if gone is not None:
            self._expired = now
        if gone:
            log.info("%d files of texts have expired", gone)

    async def _anchor(self) -> None:
        if self._context.anchors:
            self._anchored = time.monotonic()
            await self._attempt("anchors", anchors.put, self._context.store, self._context.clock, self._context.anchors)

    def _look_after_budgets(self) -> None:
        settled = self._settle()
        if settled:
            log.info("the shares of %d workers that were killed are settled", settled)
        for said in tell(self._context):
            log.warning("%s", said)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _attempt(self, what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run one piece of work in a thread; a fault of one use case stops neither the others nor the API."""
        work = asyncio.create_task(asyncio.to_thread(function, *arguments, **named))
        await asyncio.wait({work})
        fault = work.exception()
        if fault is None:
            self.health.faults.pop(what, None)
            return work.result()
        says = fault.message if isinstance(fault, PilotageError) else f"{type(fault).__name__}: {fault}"
        if self.health.faults.get(what) != says:
            known = isinstance(fault, PilotageError)
            log.error("%s: %s", what, says, exc_info=None if known else fault)
        self.health.faults[what] = says
        return None
