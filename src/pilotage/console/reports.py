"""The pages of reports: what is known of one release, and its answers beside another's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from pilotage.report.page import pairs, part
from pilotage.report.svg import STYLE

if TYPE_CHECKING:
    from starlette.requests import Request

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

ONLY = {
    "": "all cases, failures first",
    "worse": "worse than the other",
    "wrong": "wrong",
    "better": "better than the other",
    "differs": "another answer",
}
SHOWN = 20


class ReportPages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/use-cases/{name}/reports", self.report),
            Route("/use-cases/{name}/reports/answers", self.answers),
            Route("/static/chart.css", self.style),
        ]

    async def report(self, request: Request) -> Response:
        return await self._page.answer(request, self._report)

    async def answers(self, request: Request) -> Response:
        return await self._page.answer(request, self._answers)

    async def style(self, _: Request) -> Response:
        return Response(STYLE, media_type="text/css")

    def _report(self, actor: Actor, request: Request) -> Response:
        name, variant = request.path_params["name"], request.query_params.get("variant", "")[:200]
        facts = self._page.run(actor, "report", {"use_case": name, "variant": variant})
        return self._page.show(
            "report.html",
            name=name,
            facts=facts,
            part=part(facts),
            others=self._variants(actor, name),
            query=urlencode({"variant": variant}) if variant else "",
        )

    def _answers(self, actor: Actor, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        only, after = query.get("only", ""), query.get("after", "")
        only = only if only in ONLY else ""
        at = int(after) if after.isdecimal() and len(after) < 7 else 0
        variant = query.get("variant", "")[:200]
        asks = {"use_case": name, "variant": variant, "only": only, "after": at, "most": SHOWN}
        facts = self._page.run(actor, "side_by_side", asks)
        kept = {key: value for key, value in (("variant", variant), ("only", only)) if value}
        return self._page.show(
            "answers.html",
            name=name,
            facts=facts,
            part=pairs(facts),
            only=only,
            choices=ONLY,
            variant=variant,
            older=urlencode({**kept, "after": facts["next"]}) if facts["next"] is not None else "",
        )

    def _variants(self, actor: Actor, name: str) -> list[str]:
        """Return the variants of which there is a report: those on their way, what serves, and what was measured before."""
        found = self._page.run(actor, "status", {"use_case": name})["use_cases"][0]
        measured = [fact["release"] for fact in self._page.run(actor, "evidence", {"use_case": name})["evidence"]]
        on_its_way = [release for release in (found["candidate"], *found["rivals"], found["live"]) if release]
        known = [*on_its_way, *reversed(measured)]
        return list(dict.fromkeys(release.partition("/")[2].partition("@")[0] for release in known))
