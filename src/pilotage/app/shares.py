"""A worker's shares of what its use cases may spend: taken from the store beside the requests, and given back."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from pilotage.errors import PilotageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.gateway.limits import Limits
    from pilotage.spec.route import Route
    from pilotage.store.base import Handed, Store

RENEW_SECONDS = 0.2

log = logging.getLogger(__name__)


class Shares:
    """Renews each share every 200 ms, and at once where one runs low. With the store away, what is there is spent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._low = asyncio.Event()
        self._turn = asyncio.Lock()
        self._reachable = True
        self.limits: Limits | None = None

    def renew_soon(self) -> None:
        self._low.set()

    async def follow(self, routes: Mapping[str, Route]) -> None:
        """Take over what is limited now, with a share of it before anybody asks."""
        if self.limits is not None:
            self.limits.follow(routes)
            await self.renew()

    async def keep(self) -> None:
        """Renew until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._low.wait(), RENEW_SECONDS)
            self._low.clear()
            await self.renew()

    async def renew(self) -> None:
        # One at a time: each asks by what the last one brought.
        async with self._turn:
            if self.limits is None:
                return
            asked = [
                (allowance, name, purse, *purse.wanted(allowance.cap)) for allowance, name, purse in self.limits.due()
            ]
            moving = [one for one in asked if one[3]]
            if not moving:
                return
            for _, _, purse, wanted, _ in moving:
                if wanted < 0:
                    purse.returned(-wanted)
            handed = await self._moved(
                [(a.account, name, a.cap, wanted, least) for a, name, _, wanted, least in moving]
            )
            for (allowance, name, purse, _, _), got in zip(moving, handed, strict=False):
                if got is not None:
                    purse.renewed(got.given, got.taken, allowance.cap)
                    self.limits.renewed(allowance, name, purse)

    async def close(self) -> None:
        """Give back what was not spent."""
        async with self._turn:
            moves = []
            for allowance in self.limits.allowances if self.limits is not None else ():
                for name, purse in allowance.all():
                    if (free := purse.free) > 0:
                        purse.returned(free)
                        moves.append((allowance.account, name, allowance.cap, -free, 0))
            if moves:
                await self._moved(moves)

    async def _moved(self, moves: list[tuple[str, str, int, int, int]]) -> list[Handed | None]:
        """Take and give back, all or nothing; with the store out of reach, say so once."""
        try:
            handed = await asyncio.to_thread(self._move, moves)
        except (PilotageError, OSError) as fault:
            if self._reachable:
                log.error("shares of budgets cannot be renewed: %s", fault)  # noqa: TRY400
            self._reachable = False
            return []
        self._reachable = True
        return handed

    def _move(self, moves: list[tuple[str, str, int, int, int]]) -> list[Handed | None]:
        handed: list[Handed | None] = []
        with self._store.write() as tx:
            for account, name, cap, wanted, least in moves:
                if wanted > 0:
                    handed.append(tx.allowances.take(account, name, cap, wanted, least))
                else:
                    tx.allowances.give_back(account, name, -wanted)
                    handed.append(None)
        return handed
