"""The control API: every command, and the facts that people and programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilotage import __version__
from pilotage.access import Role
from pilotage.console.door import bearer, body_of
from pilotage.console.openapi import document
from pilotage.console.rows import newest
from pilotage.errors import WrongCall
from pilotage.governance.commands import COMMANDS, run
from pilotage.governance.context import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pilotage.access import Actor
    from pilotage.console.health import Health
    from pilotage.console.visitors import Visitors
    from pilotage.governance.commands import Context
    from pilotage.store.base.recorded import Events

BODY_LIMIT = 16 << 20
FOLDER_LIMIT = 140 << 20
"""A use case's folder in base64: the 100 MB that one may have, and a third."""


class Api:
    """Endpoints over one workspace. Commands block, so they run in threads."""

    def __init__(
        self, context: Context, visitors: Visitors, events: Events, *, health: Callable[[], Health], gateway: str
    ) -> None:
        self._context, self._visitors, self._events = context, visitors, events
        self._health, self._gateway = health, gateway

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.healthz),
            Route("/api/v1/openapi.json", self.openapi),
            Route("/api/v1/commands/{name}", self.command, methods=["POST"]),
            Route("/api/v1/server", self.server),
            Route("/api/v1/status", self.status),
            Route("/api/v1/use-cases/{name}", self.use_case),
            Route("/api/v1/analysis/{name}", self.analysis),
            Route("/api/v1/ledger", self.ledger),
            Route("/api/v1/events", self.events),
        ]

    async def healthz(self, _: Request) -> Response:
        """Say whether the control process does its work. Without a key, so without names or messages."""
        health = self._health()
        body = {
            "status": health.status,
            "last_tick": health.at,
            "lag": health.lag,
            "faults": len(health.faults),
            "lost": health.lost,
            "losing": health.losing,
            "dropped": health.dropped,
        }
        return JSONResponse(body, 503 if health.faults else 200)

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(document())

    async def command(self, request: Request) -> Response:
        actor = await bearer(request, self._visitors)
        name = request.path_params["name"]
        if name not in COMMANDS:
            raise HTTPException(404, f"there is no command {name!r}; there are: {', '.join(COMMANDS)}")
        arguments = _object(await body_of(request, FOLDER_LIMIT if name == "apply" else BODY_LIMIT))
        result = await self._run(actor, name, arguments)
        if name == "status":
            result["controller"] = msgspec.to_builtins(self._health())
        return JSONResponse({"result": result})

    async def server(self, request: Request) -> Response:
        await bearer(request, self._visitors)
        return JSONResponse({"version": __version__, "gateway": self._gateway})

    async def status(self, request: Request) -> Response:
        result = await self._run(await bearer(request, self._visitors), "status", {})
        return JSONResponse({**result, "controller": msgspec.to_builtins(self._health())})

    async def use_case(self, request: Request) -> Response:
        actor = await bearer(request, self._visitors)
        result = await self._run(actor, "status", {"use_case": request.path_params["name"]})
        return JSONResponse(result["use_cases"][0])

    async def analysis(self, request: Request) -> Response:
        actor = await bearer(request, self._visitors)
        return JSONResponse(await self._run(actor, "analysis", {"use_case": request.path_params["name"]}))

    async def ledger(self, request: Request) -> Response:
        actor = await bearer(request, self._visitors)
        arguments: dict[str, Any] = {name: _whole(request, name, 0) for name in ("after", "newest")}
        arguments["use_case"] = request.query_params.get("use_case", "")
        return JSONResponse(await self._run(actor, "ledger", arguments))

    async def events(self, request: Request) -> Response:
        actor = await bearer(request, self._visitors)
        use_case = request.query_params.get("use_case", "")
        require(actor, (Role.OPERATE,), use_case)
        rows = await run_in_threadpool(
            newest,
            self._events,
            request.query_params.get("table", "inferences"),
            limit=_whole(request, "limit", 20),
            use_case=use_case,
        )
        return JSONResponse({"events": rows})

    async def _run(self, actor: Actor, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return await run_in_threadpool(run, self._context, actor, name, arguments)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError) as fault:
        raise WrongCall(f"the body is not JSON: {fault}", hint="send the command's arguments as one object") from None
    if not isinstance(value, dict):
        raise HTTPException(422, "the body is not an object; send the command's arguments as one")
    return value


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > 15:
        raise WrongCall(f"{name} is {text[:40]!r}", hint="it is a whole number")
    return int(text)
