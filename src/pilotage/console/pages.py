"""What all pages of the console share: who looks, templates, forms, refusals."""

from __future__ import annotations

import hmac
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pilotage.console.acting import ActingPages
from pilotage.console.board import BoardPages
from pilotage.console.cases import CasePages
from pilotage.console.door import body_of, own_site, visitor
from pilotage.console.inferences import InferencePages
from pilotage.console.ledger import LedgerPages
from pilotage.console.live import Going, LivePages
from pilotage.console.reports import ReportPages
from pilotage.console.rollout import RolloutPages
from pilotage.console.rows import why
from pilotage.console.sign_in import DoorPages
from pilotage.console.use_case import UseCasePages
from pilotage.errors import PilotageError
from pilotage.governance.commands import run
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.routing import Route

    from pilotage.access import Actor
    from pilotage.console.health import Health
    from pilotage.console.visitors import Visitors
    from pilotage.governance.commands import Context

CASE_LIMIT = 256 << 10


def _when(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}" if microseconds else "never"


def _percent(millionths: int) -> str:
    return f"{millionths * 100 / MILLION:g} %"


def _variant(reference: str) -> str:
    """Return a release without its use case's name."""
    return reference.partition("/")[2] or reference


class Looking(NamedTuple):
    """Who looks at a page, and the token that their forms must carry."""

    actor: Actor
    csrf: str


_looking: ContextVar[Looking | None] = ContextVar("looking", default=None)


class Pages:
    """HTML over the same commands as everything else. It works without scripts; one keeps it live."""

    def __init__(
        self,
        context: Context,
        visitors: Visitors,
        *,
        health: Callable[[], Health],
        pulse: Going,
        ending: Callable[[], bool],
    ) -> None:
        self._context, self._visitors, self._health = context, visitors, health
        self._pulse, self._ending = pulse, ending
        self._templates = Environment(
            loader=PackageLoader("pilotage.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(when=_when, percent=_percent, variant=_variant, why=why)

    def routes(self) -> list[Route]:
        return [
            *DoorPages(self, self._visitors).routes(),
            *BoardPages(self).routes(),
            *UseCasePages(self).routes(),
            *LivePages(self, self._visitors, self._pulse, self._ending).routes(),
            *RolloutPages(self).routes(),
            *ActingPages(self).routes(),
            *LedgerPages(self).routes(),
            *InferencePages(self).routes(),
            *CasePages(self).routes(),
            *ReportPages(self).routes(),
        ]

    async def form(self, request: Request) -> dict[str, str]:
        """Return the fields of a form that this site sent."""
        own_site(request)
        session = request.cookies.get(self._visitors.cookie, "")
        fields = parse_qs((await body_of(request, CASE_LIMIT)).decode("utf-8", "replace"), keep_blank_values=True)
        found = {name: values[-1] for name, values in fields.items()}
        if not hmac.compare_digest(found.pop("csrf", "").encode(), self._visitors.csrf(session).encode()):
            raise HTTPException(403, "this form is not of your session; open the page again and send it from there")
        return found

    def failed(self, status: int, message: str, hint: str = "") -> Response:
        return self.show("refused.html", status, title=message, hint=hint)

    async def answer(self, request: Request, page: Callable[[Actor, Request], Response]) -> Response:
        actor = await run_in_threadpool(visitor, request, self._visitors)
        if actor is None:
            return RedirectResponse("/sign-in", 303)
        session = request.cookies.get(self._visitors.cookie, "")
        _looking.set(Looking(actor, self._visitors.csrf(session)))
        try:
            return await run_in_threadpool(page, actor, request)
        except PilotageError as fault:
            return self.failed(fault.http_status, fault.message, fault.hint)

    def entries(self, actor: Actor, count: int, use_case: str = "", *, before: int = 0) -> list[dict[str, Any]]:
        """Return the newest entries of the ledger that the actor may see, newest first."""
        names = [use_case] if use_case else list(actor.use_cases) or [""]
        asked = {"newest": count, "before": before, "spoken": True}
        found = [entry for name in names for entry in self.run(actor, "ledger", {**asked, "use_case": name})["entries"]]
        return sorted(found, key=lambda entry: -int(entry["seq"]))[:count]

    def run(self, actor: Actor, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return run(self._context, actor, name, arguments)

    def now(self) -> int:
        return self._context.clock.now()

    def show(self, template: str, status: int = 200, **facts: Any) -> Response:
        return HTMLResponse(self.text(template, **facts), status)

    def text(self, template: str, **facts: Any) -> str:
        return self._templates.get_template(template).render(
            health=self._health(), looking=_looking.get(), now=self._context.clock.now(), quote=quote, **facts
        )
