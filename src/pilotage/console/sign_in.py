"""The door: signing in with a key, by the link that was printed or with the organisation's provider, and out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pilotage.console.door import body_of, own_site
from pilotage.console.oidc import ProviderPages
from pilotage.console.visitors import SESSION_HOURS, TooMany

if TYPE_CHECKING:
    from starlette.requests import Request

    from pilotage.console.pages import Pages
    from pilotage.console.visitors import Visitors

FORM_LIMIT = 4096


class DoorPages:
    def __init__(self, page: Pages, visitors: Visitors) -> None:
        self._page, self._visitors = page, visitors

    def routes(self) -> list[Route]:
        return [
            Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/enter", self.enter),
            *ProviderPages(self, self._visitors).routes(),
        ]

    async def enter(self, request: Request) -> Response:
        """Let in whoever has the link that was printed; it works once, so a look ahead (HEAD) does not use it."""
        actor = self._visitors.by_link(request.query_params.get("token", "")) if request.method != "HEAD" else None
        if actor is None:
            return await self.show("This link was used already. ", 401)
        return self.signed_in(request, self._visitors.session(actor))

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return await self.show("")
        own_site(request)
        fields = parse_qs((await body_of(request, FORM_LIMIT)).decode("utf-8", "replace"))
        secret = fields.get("key", [""])[0].strip()
        address = request.client.host if request.client else ""
        try:
            actor = await run_in_threadpool(self._visitors.by_secret, secret, address) if secret else None
        except TooMany as many:
            return await self.show(f"Too many bad keys came from this address; wait {many.seconds} seconds. ", 429)
        if actor is None:
            return await self.show("This key is not good, or not any more. ", 401)
        return self.signed_in(request, self._visitors.session(actor))

    async def sign_out(self, request: Request) -> Response:
        own_site(request)
        await run_in_threadpool(self._visitors.end, request.cookies.get(self._visitors.cookie, ""))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(self._visitors.cookie, httponly=True, samesite="strict")
        return answer

    async def show(self, says: str, status: int = 200) -> Response:
        provider = await run_in_threadpool(self._visitors.provider.offered)
        return self._page.show("sign_in.html", status, says=says, provider=provider)

    def signed_in(self, request: Request, session: str, *, arrived: bool = False) -> Response:
        """Open the board with a session. Who `arrived` from another site goes on from a page of ours: strict cookies ask for that."""
        answer = self._page.show("arrived.html") if arrived else RedirectResponse("/", 303)
        answer.set_cookie(
            self._visitors.cookie,
            session,
            max_age=SESSION_HOURS * 3600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer
