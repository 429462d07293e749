"""The console's pages: the board, one use case, the ledger, and the door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pilotage.console.cases import CasePages
from pilotage.console.door import body_of, own_site, visitor
from pilotage.console.inferences import InferencePages
from pilotage.console.reports import ReportPages
from pilotage.console.rows import why
from pilotage.console.visitors import COOKIE, SESSION_HOURS
from pilotage.errors import PilotageError
from pilotage.governance.commands import run
from pilotage.status import MILLION, ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pilotage.access import Actor
    from pilotage.console.health import Health
    from pilotage.console.visitors import Visitors
    from pilotage.governance.commands import Context

FORM_LIMIT = 4096
CASE_LIMIT = 256 << 10
SHOWN = 100
DECISIONS = 12
_QUESTIONS = {
    Stage.CONCEPT: "Is it worth doing?",
    Stage.POC: "Can it work?",
    Stage.STAGING: "Does it survive real conditions?",
    Stage.CANARY: "Does it help real users?",
    Stage.PRODUCTION: "Is it still good?",
    Stage.RETIRED: "",
}


def _when(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}" if microseconds else "never"


def _percent(millionths: int) -> str:
    return f"{millionths * 100 / MILLION:g} %"


def _variant(reference: str) -> str:
    """Return a release without its use case's name."""
    return reference.partition("/")[2] or reference


class Pages:
    """HTML over the same commands as everything else. It works without scripts; one keeps it live."""

    def __init__(self, context: Context, visitors: Visitors, *, health: Callable[[], Health]) -> None:
        self._context, self._visitors, self._health = context, visitors, health
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
            Route("/", self.board),
            Route("/use-cases/{name}", self.use_case),
            Route("/ledger", self.ledger),
            Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            *InferencePages(self).routes(),
            *CasePages(self).routes(),
            *ReportPages(self).routes(),
        ]

    async def board(self, request: Request) -> Response:
        link = request.query_params.get("token", "")
        if link and request.method != "HEAD":
            actor = self._visitors.by_link(link)
            return self._signed_in(request, actor) if actor else self._door("This link was used already. ", 401)
        return await self.answer(request, self._board)

    async def use_case(self, request: Request) -> Response:
        return await self.answer(request, self._use_case)

    async def ledger(self, request: Request) -> Response:
        return await self.answer(request, self._ledger)

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return self._door("")
        own_site(request)
        fields = parse_qs((await body_of(request, FORM_LIMIT)).decode("utf-8", "replace"))
        secret = fields.get("key", [""])[0].strip()
        actor = await run_in_threadpool(self._visitors.by_secret, secret) if secret else None
        if actor is None:
            return self._door("This key is not good, or not any more. ", 401)
        return self._signed_in(request, actor)

    async def form(self, request: Request) -> dict[str, str]:
        """Return the fields of a form that this site sent."""
        own_site(request)
        fields = parse_qs((await body_of(request, CASE_LIMIT)).decode("utf-8", "replace"), keep_blank_values=True)
        return {name: values[-1] for name, values in fields.items()}

    async def sign_out(self, request: Request) -> Response:
        own_site(request)
        await run_in_threadpool(self._visitors.end, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    def failed(self, status: int, message: str, hint: str = "") -> Response:
        return self.show("refused.html", status, title=message, hint=hint)

    async def answer(self, request: Request, page: Callable[[Actor, Request], Response]) -> Response:
        actor = await run_in_threadpool(visitor, request, self._visitors)
        if actor is None:
            return RedirectResponse("/sign-in", 303)
        try:
            return await run_in_threadpool(page, actor, request)
        except PilotageError as fault:
            return self.failed(fault.http_status, fault.message, fault.hint)

    def _board(self, actor: Actor, _: Request) -> Response:
        use_cases = self.run(actor, "status", {})["use_cases"]
        stages = [
            {
                "name": stage,
                "question": _QUESTIONS[stage],
                "use_cases": [one for one in use_cases if (Stage.RETIRED if one["retired"] else one["stage"]) == stage],
            }
            for stage in (*ROAD, Stage.RETIRED)
        ]
        stages = [stage for stage in stages if stage["use_cases"] or stage["name"] is not Stage.RETIRED]
        return self.show("board.html", stages=stages, use_cases=use_cases, decisions=self._entries(actor, DECISIONS))

    def _use_case(self, actor: Actor, request: Request) -> Response:
        name = request.path_params["name"]
        found = self.run(actor, "status", {"use_case": name})["use_cases"][0]
        evidence = self.run(actor, "evidence", {"use_case": name})["evidence"]
        return self.show(
            "use_case.html", use_case=found, evidence=evidence[-SHOWN:], decisions=self._entries(actor, SHOWN, name)
        )

    def _ledger(self, actor: Actor, request: Request) -> Response:
        before = request.query_params.get("before", "")
        last = int(before) - 1 if before.isdecimal() and 0 < len(before) < 15 else None
        if last is None:
            entries = self._entries(actor, SHOWN)
        else:
            after = max(0, last - SHOWN)
            found = self.run(actor, "ledger", {"after": after, "spoken": True})["entries"]
            entries = [entry for entry in found if entry["seq"] <= last][::-1]
        return self.show("ledger.html", entries=entries)

    def _entries(self, actor: Actor, count: int, use_case: str = "") -> list[dict[str, Any]]:
        """Return the ledger's newest entries that the actor may see, newest first."""
        names = [use_case] if use_case else list(actor.use_cases) or [""]
        found = [
            entry
            for name in names
            for entry in self.run(actor, "ledger", {"newest": count, "use_case": name, "spoken": True})["entries"]
        ]
        return sorted(found, key=lambda entry: -int(entry["seq"]))[:count]

    def run(self, actor: Actor, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return run(self._context, actor, name, arguments)

    def show(self, template: str, status: int = 200, **facts: Any) -> Response:
        text = self._templates.get_template(template).render(health=self._health(), quote=quote, **facts)
        return HTMLResponse(text, status)

    def _door(self, says: str, status: int = 200) -> Response:
        return self.show("sign_in.html", status, says=says)

    def _signed_in(self, request: Request, actor: Actor) -> Response:
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            self._visitors.session(actor),
            max_age=SESSION_HOURS * 3600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer
