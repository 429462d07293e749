"""The control process's door: API and pages behind one set of rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from pilotage.console.api import Api
from pilotage.console.door import failed, refused
from pilotage.console.pages import Pages
from pilotage.errors import PilotageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pilotage.console.health import Health
    from pilotage.console.live import Going
    from pilotage.console.visitors import Visitors
    from pilotage.governance.commands import Context
    from pilotage.store.base.recorded import Events

STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_RULES = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: browsers then hide the origin of our own forms too, by which others' forms are told apart.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def create(
    context: Context,
    visitors: Visitors,
    events: Events,
    *,
    health: Callable[[], Health],
    gateway: str,
    pulse: Going,
    ending: Callable[[], bool],
) -> ASGIApp:
    """Return the ASGI application. `gateway` is its base URL, for clients that ask; `health` is asked each time.

    `pulse` is what goes through right now; streams of it end when the server is `ending`.
    """
    api = Api(context, visitors, events, health=health, gateway=gateway)
    pages = Pages(context, visitors, health=health, pulse=pulse, ending=ending)

    async def on_refusal(_: Request, fault: Exception) -> Response:
        assert isinstance(fault, PilotageError)
        return refused(fault)

    async def on_failure(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        if request.url.path.startswith(("/api/", "/healthz")):
            return failed(fault)
        return pages.failed(fault.status_code, fault.detail)

    async def on_fault(request: Request, _: Exception) -> Response:
        # The server logs the traceback; whoever asked learns only that it is not their fault.
        return await on_failure(request, HTTPException(500, "Pilotage failed here; its log says why"))

    site = Starlette(
        routes=[*api.routes(), *pages.routes(), Mount("/static", StaticFiles(directory=STATIC))],
        exception_handlers={PilotageError: on_refusal, HTTPException: on_failure, 500: on_fault},
    )
    return _with_rules(site)


def _with_rules(site: ASGIApp) -> ASGIApp:
    """Send the same rules for browsers with every answer: nothing but our own files, in nobody's frame, kept nowhere."""

    async def ruled(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_RULES]}
            await send(message)

        await site(scope, receive, sending)

    return ruled
