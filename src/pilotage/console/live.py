"""What goes through the gateway right now, moving as it happens: server-sent events, each the page's own middle part."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Route

from pilotage.console.door import visitor
from pilotage.decision.wording import variant_of
from pilotage.report.line import Line, line_chart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.pages import Pages
    from pilotage.console.visitors import Visitors

SECONDS = 2.0
LISTENERS = 50
"""At one time; whoever comes on top of them reloads by hand."""
MOST = 20
"""Use cases that are shown together, those with the most requests."""


class Going(Protocol):
    """What went through lately."""

    def shown(self, use_case: str, now: int) -> dict[str, Any]: ...


class LivePages:
    def __init__(self, page: Pages, visitors: Visitors, pulse: Going, ending: Callable[[], bool]) -> None:
        self._page, self._visitors, self._pulse, self._ending = page, visitors, pulse, ending
        self._listeners = 0

    def routes(self) -> list[Route]:
        return [
            Route("/live", self.live),
            Route("/live/events", self.events),
            Route("/use-cases/{name}/live", self.live),
            Route("/use-cases/{name}/live/events", self.events),
        ]

    async def live(self, request: Request) -> Response:
        return await self._page.answer(request, self._live)

    async def events(self, request: Request) -> Response:
        actor = await run_in_threadpool(visitor, request, self._visitors)
        if actor is None:
            raise HTTPException(401, "nobody is signed in")
        if self._full():
            raise HTTPException(503, f"{LISTENERS} pages listen already; reload this one by hand")
        # What may not be seen is refused before anything is streamed.
        await run_in_threadpool(self._facts, actor, request)
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=headers)

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        # Others may have come while this one was looked at; it ends at once, and its browser is told when it asks again.
        if self._full():
            return
        self._listeners += 1
        try:
            while not self._ending():
                # Each time anew: a session that ended, or a key that was revoked, hears nothing more.
                actor = await run_in_threadpool(visitor, request, self._visitors)
                if actor is None:
                    return
                facts = await run_in_threadpool(self._facts, actor, request)
                part = self._page.text("live_part.html", **facts)
                yield "".join(f"data: {line}\n" for line in part.splitlines()) + "\n"
                for _ in range(int(SECONDS / 0.2)):
                    if self._ending():
                        return
                    await asyncio.sleep(0.2)
        finally:
            self._listeners -= 1

    def _priced(self, actor: Actor, one: dict[str, Any]) -> dict[str, Any]:
        (known,) = self._page.run(actor, "names", {"use_case": one["use_case"]})["use_cases"]
        return {**one, "currency": known["currency"]}

    def _full(self) -> bool:
        return self._listeners >= LISTENERS

    def _live(self, actor: Actor, request: Request) -> Response:
        return self._page.show("live.html", **self._facts(actor, request))

    def _facts(self, actor: Actor, request: Request) -> dict[str, Any]:
        name = request.path_params.get("name", "")
        now = self._page.now()
        seen = [one["use_case"] for one in self._page.run(actor, "names", {"use_case": name})["use_cases"]]
        found = [{"use_case": one, **self._pulse.shown(one, now)} for one in seen]
        found = [one for one in found if one["releases"] or name]
        found.sort(key=lambda one: -sum(release["requests"] for release in one["releases"]))
        return {
            "name": name,
            "quiet": not any(one["releases"] for one in found),
            "more": max(0, len(found) - MOST),
            "shown": [{**one, "pictures": pictures(one)} for one in map(partial(self._priced, actor), found[:MOST])],
        }


def pictures(one: Mapping[str, Any]) -> list[str]:
    """Return a use case's lines over time: requests and failures a second, the time within which 95 % were answered, money an hour."""
    span = one["bucket_seconds"] / 60
    count = max((len(release["a_second"]) for release in one["releases"]), default=0)
    if count < 2:
        return []
    times = [(at - count + 1) * span for at in range(count)]
    flow = [_line(release["release"], times, release["a_second"]) for release in one["releases"]]
    failed = [
        _line(f"{release['release']} failed", times, release["failed"])
        for release in one["releases"]
        if release["errors"]
    ]
    slow = [
        _line(release["release"], times, release["slow"])
        for release in one["releases"]
        if sum(value is not None for value in release["slow"]) > 1
    ]
    found = [line_chart(f"{one['use_case']}: requests a second", [*flow, *failed], across="minutes ago").inline]
    if slow:
        chart = line_chart(f"{one['use_case']}: 95 % answered within, ms", slow, across="minutes ago")
        found.append(chart.inline)
    spent = [_line(release["release"], times, release["an_hour"]) for release in one["releases"] if release["cost"]]
    if spent:
        chart = line_chart(f"{one['use_case']}: {one['currency']} an hour", spent, across="minutes ago")
        found.append(chart.inline)
    return found


def _line(name: str, times: Sequence[float], values: Sequence[float | None]) -> Line:
    points = tuple((at, value) for at, value in zip(times, values, strict=True) if value is not None)
    return Line(variant_of(name) if "@" in name else name or "nobody answered", points)
