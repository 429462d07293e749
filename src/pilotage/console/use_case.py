"""One use case: what was agreed, where it stands, what holds it, what it costs; and one piece of evidence in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from pilotage.access import Role
from pilotage.console.acting import offered
from pilotage.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

DECISIONS = 12
EVIDENCE = 60
_LONGEST = 4_000


class UseCasePages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/use-cases/{name}", self.use_case, name="use_case"),
            Route("/use-cases/{name}/evidence/{id}", self.evidence),
        ]

    async def use_case(self, request: Request) -> Response:
        return await self._page.answer(request, self._use_case)

    async def evidence(self, request: Request) -> Response:
        return await self._page.answer(request, self._evidence)

    def _use_case(self, actor: Actor, request: Request) -> Response:
        name = request.path_params["name"]
        facts = self._page.run(actor, "status", {"use_case": name})["use_cases"][0]
        evidence = self._page.run(actor, "evidence", {"use_case": name})["evidence"]
        return self._page.show(
            "use_case.html",
            name=name,
            use_case=facts,
            charter=self._page.run(actor, "charter", {"use_case": name}),
            offered=offered(actor, facts),
            operates=actor.allows(Role.OPERATE, name),
            releases=releases_of(facts),
            known={one["id"]: one for one in evidence},
            evidence=evidence[: -EVIDENCE - 1 : -1],
            more=max(0, len(evidence) - EVIDENCE),
            days=(facts["money"] or {}).get("days", [])[-14:],
            decisions=self._page.entries(actor, DECISIONS, name),
        )

    def _evidence(self, actor: Actor, request: Request) -> Response:
        name, wanted = request.path_params["name"], request.path_params["id"]
        evidence = self._page.run(actor, "evidence", {"use_case": name})["evidence"]
        one = next((one for one in evidence if one["id"] == wanted), None)
        if one is None:
            raise NotFound(f"{name} has no such evidence", hint="the use case's page lists what it has")
        return self._page.show("evidence.html", name=name, one=one, detail=plain(one["detail"]))


def releases_of(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every release that is on its way, serves, or has ended, the newest first, and how it ended."""
    found: list[dict[str, Any]] = [
        {"release": release, "how": f"on its way, in {facts['stage']}", "at": 0, "reason": ""}
        for release in (facts["candidate"], *facts["rivals"])
        if release
    ]
    for ended in reversed(facts["ended"]):
        how = ended["how"].replace("_", " ")
        if ended["release"] == facts["live"] and not any(one["release"] == ended["release"] for one in found):
            how = f"{how}; serves now"
        found.append({**ended, "how": how})
    if facts["live"] and not any(one["release"] == facts["live"] for one in found):
        found.append({"release": facts["live"], "how": "serves now", "at": facts["live_since"], "reason": ""})
    return found


def plain(value: object, depth: int = 0) -> list[tuple[int, str, str]]:
    """Return nested facts as lines of (depth, name, value), at most `_LONGEST` of them."""
    lines: list[tuple[int, str, str]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value, 1) if isinstance(value, list) else ()
    for name, inner in pairs:
        if isinstance(inner, dict | list):
            lines.append((depth, str(name), "" if inner else "none"))
            lines += plain(inner, min(depth + 1, 6))
        else:
            lines.append((depth, str(name), f"{inner:.6g}" if isinstance(inner, float) else str(inner)))
    return lines[:_LONGEST]
