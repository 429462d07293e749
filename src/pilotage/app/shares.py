"""A worker's shares of what may be spent: taken from the store beside the requests, and given back."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pilotage.errors import PilotageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pilotage.access import Key
    from pilotage.gateway.limits import Limits
    from pilotage.serving.purse import Allowance, Purse
    from pilotage.spec.route import Route
    from pilotage.store.base.handed_out import Handed
    from pilotage.store.base.transaction import Store

RENEW_SECONDS = 0.2
PAUSE_SECONDS = 0.02
"""Between two renewals, however low a share runs: the store is everybody's."""
TELL_SECONDS = 2.0
"""How old the store's word may be of what was spent."""

log = logging.getLogger(__name__)


class Move(NamedTuple):
    """What one share asks of the store; `wanted` is below zero for what goes back. A turn without news writes nothing."""

    account: str
    period: str
    cap: int
    wanted: int
    least: int
    spent: int
    telling: bool


class Shares:
    """Renews each share every 200 ms, and soon where one runs low. With the store away, what is there is spent."""

    def __init__(self, store: Store, holder: str) -> None:
        self._store = store
        self._holder = holder
        self._low = asyncio.Event()
        self._turn = asyncio.Lock()
        self._told = 0.0
        self._reachable = True
        self.limits: Limits | None = None

    def renew_soon(self) -> None:
        self._low.set()

    async def follow(self, routes: Mapping[str, Route], keys: Iterable[Key]) -> None:
        """Take over what is limited now, with a share of it before anybody asks."""
        if self.limits is not None:
            self.limits.follow(routes, keys)
            await self.renew()

    async def keep(self) -> None:
        """Renew until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._low.wait()
            self._low.clear()
            await self.renew()
            await asyncio.sleep(PAUSE_SECONDS)

    async def renew(self) -> None:
        # One at a time: each asks by what the last one brought.
        async with self._turn:
            if self.limits is None:
                return
            telling = time.monotonic() - self._told >= TELL_SECONDS
            asked: list[tuple[Allowance, Purse, Move]] = []
            for allowance, name, purse in self.limits.due():
                wanted, least = purse.wanted(allowance.cap)
                news = purse.spent != purse.told
                if wanted or (telling and news):
                    move = Move(allowance.account, name, allowance.cap, wanted, least, purse.spent, news)
                    asked.append((allowance, purse, move))
            if not asked:
                return
            for _, purse, move in asked:
                if move.wanted < 0:
                    purse.returned(-move.wanted)
            handed = await self._moved([move for _, _, move in asked])
            if handed:
                self._told = time.monotonic()
            for (allowance, purse, move), got in zip(asked, handed, strict=False):
                purse.told = move.spent
                if got is not None:
                    purse.renewed(got.given, got.taken, allowance.cap)

    async def close(self) -> bool:
        """Give back what was not spent; return whether the store knows."""
        async with self._turn:
            moves = []
            for allowance in self.limits.known if self.limits is not None else ():
                for name, purse in allowance.all():
                    free = max(0, purse.free)
                    purse.returned(free)
                    moves.append(Move(allowance.account, name, allowance.cap, -free, 0, purse.spent, telling=True))
            return not moves or bool(await self._moved(moves))

    async def _moved(self, moves: Sequence[Move]) -> list[Handed | None]:
        """Take and give back, all or nothing; with the store out of reach, say so once and return nothing."""
        try:
            handed = await asyncio.to_thread(self._move, moves)
        except (PilotageError, OSError) as fault:
            if self._reachable:
                log.error("shares of budgets cannot be renewed: %s", fault)  # noqa: TRY400
            self._reachable = False
            return []
        self._reachable = True
        return handed

    def _move(self, moves: Sequence[Move]) -> list[Handed | None]:
        handed: list[Handed | None] = []
        with self._store.write() as tx:
            for move in moves:
                where = (move.account, move.period, self._holder)
                got = None
                if move.wanted > 0:
                    got = tx.allowances.take(*where, cap=move.cap, wanted=move.wanted, least=move.least)
                elif move.wanted < 0:
                    tx.allowances.give_back(*where, -move.wanted)
                if move.telling:
                    tx.allowances.spent(*where, move.spent)
                handed.append(got)
        return handed
