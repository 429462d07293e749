"""The ledger as a timeline, one entry in full, and whether it is unbroken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.routing import Route

from pilotage.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

SHOWN = 100


class LedgerPages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/ledger", self.ledger),
            Route("/ledger/{seq:int}", self.entry),
            Route("/ledger/verify", self.verify, methods=["POST"]),
        ]

    async def ledger(self, request: Request) -> Response:
        return await self._page.answer(request, self._ledger)

    async def entry(self, request: Request) -> Response:
        return await self._page.answer(request, self._entry)

    async def verify(self, request: Request) -> Response:
        await self._page.form(request)
        return await self._page.answer(request, self._verify)

    def _ledger(self, actor: Actor, request: Request, verified: Mapping[str, Any] | None = None) -> Response:
        before, use_case = request.query_params.get("before", ""), request.query_params.get("use_case", "")[:100]
        last = int(before) if before.isdecimal() and len(before) < 15 else 0
        entries = self._page.entries(actor, SHOWN, use_case, before=last)
        return self._page.show("ledger.html", entries=entries, use_case=use_case, verified=verified, shown=SHOWN)

    def _entry(self, actor: Actor, request: Request) -> Response:
        seq = request.path_params["seq"]
        entries = self._page.entries(actor, 1, before=seq + 1) if 0 < seq < 1 << 53 else []
        if not entries or entries[0]["seq"] != seq:
            raise NotFound(f"there is no entry {seq} that you may see", hint="the ledger lists them, the newest first")
        full = json.dumps(entries[0]["detail"], indent=2, ensure_ascii=False)
        return self._page.show("entry.html", entry=entries[0], full=full)

    def _verify(self, actor: Actor, request: Request) -> Response:
        return self._ledger(actor, request, self._page.run(actor, "ledger_verify", {}))
