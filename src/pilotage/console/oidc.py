"""Signing in with the organisation's identity provider: to it, and back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pilotage.console.provider import BEGUN_SECONDS
from pilotage.errors import Denied
from pilotage.governance.sign_in import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from pilotage.console.sign_in import DoorPages
    from pilotage.console.visitors import Visitors

AGAIN = "That did not work; begin again, and if it stays so, the server's log says why. "
log = logging.getLogger(__name__)


class ProviderPages:
    def __init__(self, door: DoorPages, visitors: Visitors) -> None:
        self._door, self._visitors = door, visitors

    def routes(self) -> list[Route]:
        return [Route("/sign-in/provider", self.begin), Route("/sign-in/return", self.back)]

    @property
    def _cookie(self) -> str:
        return f"{self._visitors.cookie}-door"

    async def begin(self, request: Request) -> Response:
        """Send somebody to the provider. By a link and not a form: the policy lets forms lead nowhere but here."""
        try:
            begun = await run_in_threadpool(self._visitors.provider.begin)
        except Refusal as refusal:
            return await self._refused(refusal)
        answer = RedirectResponse(begun.address, 303)
        # Lax: the provider's page is another site, and what leads back from there must bring it.
        answer.set_cookie(
            self._cookie,
            begun.cookie,
            max_age=BEGUN_SECONDS,
            path="/sign-in",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    async def back(self, request: Request) -> Response:
        cookie = request.cookies.get(self._cookie, "")
        try:
            claims = await run_in_threadpool(self._visitors.provider.finish, {**request.query_params}, cookie)
            await run_in_threadpool(self._visitors.provider.actor, claims)
        except Refusal as refusal:
            return await self._refused(refusal)
        except Denied as denied:
            return await self._door.show(f"{denied.message}; {denied.hint}. ", 403)
        answer = self._door.signed_in(request, self._visitors.session_of(claims), arrived=True)
        answer.delete_cookie(self._cookie, path="/sign-in", httponly=True, samesite="lax")
        return answer

    async def _refused(self, refusal: Refusal) -> Response:
        log.warning("a sign-in at the console failed: %s", refusal)
        return await self._door.show(AGAIN, 401)
