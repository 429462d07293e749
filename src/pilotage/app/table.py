"""A worker's routing table, kept at what the store says."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import PilotageError
from pilotage.serving.routing import RoutingTable
from pilotage.spec.route import Route

if TYPE_CHECKING:
    from pilotage.access import Key
    from pilotage.app.shares import Shares
    from pilotage.app.sight import Sight
    from pilotage.app.upstreams import WorkerUpstreams
    from pilotage.gateway.door import Door
    from pilotage.store.base.registered import Serving
    from pilotage.store.base.transaction import Store

log = logging.getLogger(__name__)


class Table:
    """Keeps the door's routing table at what the store says, and at which rollouts are watched."""

    def __init__(self, store: Store, door: Door, upstreams: WorkerUpstreams, sight: Sight, shares: Shares) -> None:
        self._store = store
        self._door = door
        self._upstreams = upstreams
        self._sight = sight
        self._shares = shares
        self._change = -1
        self._routes: dict[str, Route] = {}
        self._keys: list[Key] = []
        self._reachable = True

    async def refresh(self) -> None:
        """Swap the table if the store, or what is watched, has changed."""
        await self._follow()
        table = self._door.table
        if table is not None and table.blind != (blind := await self._blind()):
            self._door.table = RoutingTable(self._routes, self._keys, blind)

    async def _follow(self) -> None:
        """Take over what changed in the store; with the store out of reach, say so once and keep the last table."""
        try:
            change = await asyncio.to_thread(self._store.change)
            if change != self._change:
                rows, keys = await asyncio.to_thread(self._read)
                await self._swap(rows, keys)
                self._change = change
        except (PilotageError, OSError) as fault:
            if self._reachable:
                log.error("the store is out of reach, the last table stays: %s", fault)  # noqa: TRY400
            self._reachable = False
            return
        if not self._reachable:
            log.info("the store is back")
        self._reachable = True

    def _read(self) -> tuple[list[Serving], list[Key]]:
        with self._store.read() as tx:
            return tx.serving.changed(0), tx.keys.all()

    async def _swap(self, rows: list[Serving], keys: list[Key]) -> None:
        routes = {}
        for row in rows:
            try:
                routes[row.use_case] = msgspec.json.decode(row.body, type=Route)
            except msgspec.MsgspecError as fault:
                log.error("%s: what serves cannot be read, the last route stays: %s", row.use_case, fault)  # noqa: TRY400
                if row.use_case in self._routes:
                    routes[row.use_case] = self._routes[row.use_case]
        releases = {reference: release for route in routes.values() for reference, release in route.releases.items()}
        await asyncio.to_thread(self._upstreams.index, list(releases.values()))
        await self._shares.follow(routes, keys)
        self._routes, self._keys = routes, keys
        self._door.table = RoutingTable(routes, keys, await self._blind())
        self._upstreams.retain(releases)

    async def _blind(self) -> frozenset[str]:
        return await asyncio.to_thread(self._sight.blind, list(self._routes.values()))
