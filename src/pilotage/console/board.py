"""The board: the portfolio by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.routing import Route

from pilotage.governance.board import MOST
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

A_STAGE = 12
"""Cards of each stage where all of them are shown."""
DECISIONS = 12
QUESTIONS = {
    Stage.CONCEPT: "Is it worth doing?",
    Stage.POC: "Can it work?",
    Stage.STAGING: "Does it survive real conditions?",
    Stage.CANARY: "Does it help real users?",
    Stage.PRODUCTION: "Is it still good?",
    Stage.RETIRED: "",
}


class BoardPages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [Route("/", self.board)]

    async def board(self, request: Request) -> Response:
        return await self._page.answer(request, self._board)

    def _board(self, actor: Actor, request: Request) -> Response:
        asked = asked_of(request.query_params)
        found = self._page.run(actor, "board", asked)
        return self._page.show(
            "board.html",
            board=found,
            asked=asked,
            stages=[
                {**one, "question": QUESTIONS[Stage(one["stage"])], **around(asked, one)}
                for one in found["stages"]
                if (one["use_cases"] or one["stage"] != Stage.RETIRED) and asked["stage"] in ("", one["stage"])
            ],
            names=[*ROAD, Stage.RETIRED],
            decisions=self._page.entries(actor, DECISIONS),
        )


def asked_of(query: Mapping[str, str]) -> dict[str, Any]:
    """Return what of the board is asked for; what makes no sense is left out."""
    stage, first = query.get("stage", ""), query.get("first", "")
    if stage not in set(Stage):
        stage = ""
    return {
        "stage": stage,
        "words": query.get("words", "").strip()[:100],
        "first": int(first) if stage and first.isdecimal() and len(first) < 7 else 0,
        "most": MOST if stage else A_STAGE,
    }


def around(asked: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, str]:
    """Return the links to a stage's cards before and after those that are shown; empty where there are none."""
    first, most = asked["first"], asked["most"]
    link = {"stage": one["stage"], "words": asked["words"]}
    after = first + most < one["use_cases"]
    return {
        "earlier": urlencode({**link, "first": max(0, first - most)}) if asked["stage"] and first else "",
        "later": urlencode({**link, "first": first + most if asked["stage"] else 0}) if after else "",
    }
