"""The pages of inferences: the search, one in full, and what was found as a file."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse
from starlette.routing import Route

from pilotage.access import Role
from pilotage.console import exported
from pilotage.console.inference_filters import OUTCOMES, SOURCES, asked
from pilotage.console.inference_rows import money, outcome_of, row_of, shortened, timing

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

SHOWN = 50


class InferencePages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/use-cases/{name}/inferences", self.search),
            Route("/use-cases/{name}/inferences.{form:str}", self.export),
            Route("/use-cases/{name}/inferences/{id}", self.one, methods=["GET", "POST"]),
        ]

    async def search(self, request: Request) -> Response:
        return await self._page.answer(request, self._search)

    async def one(self, request: Request) -> Response:
        fields = await self._page.form(request) if request.method == "POST" else {}
        return await self._page.answer(request, lambda actor, request: self._one(actor, request, fields))

    async def export(self, request: Request) -> Response:
        return await self._page.answer(request, self._export)

    def _search(self, actor: Actor, request: Request) -> Response:
        name = request.path_params["name"]
        form = asked(request.query_params)
        found = self._page.run(actor, "inferences", {"use_case": name, "most": SHOWN, **form.arguments})
        words = form.arguments.get("words", "")
        return self._page.show(
            "inferences.html",
            name=name,
            form=form,
            found=found,
            known=found["known"],
            rows=[row_of(one, words) for one in found["inferences"]],
            outcomes=OUTCOMES,
            sources=SOURCES,
            reads=actor.allows(Role.ADMIN, name),
            most=exported.MOST,
            most_texts=exported.TEXTS,
        )

    def _one(self, actor: Actor, request: Request, fields: dict[str, str]) -> Response:
        name, inference = request.path_params["name"], request.path_params["id"]
        reads = actor.allows(Role.ADMIN, name)
        asks: dict[str, Any] = {"use_case": name, "inference": inference, "texts": reads}
        if fields:
            asks |= {"reveal": True, "note": fields.get("note", "")}
        one = self._page.run(actor, "inference", asks)
        outcome, bad = outcome_of(one)
        turns, cut = shortened([*one["turns"], {"role": "answer", "text": one.get("reply", "")}])
        return self._page.show(
            "inference.html",
            name=name,
            one=one,
            turns=turns,
            cut=cut,
            said=one["feedback"][:SHOWN],
            outcome=outcome,
            bad=bad,
            money=money,
            timing=timing(one["finished"]) if one["finished"] else [],
            reads=reads,
            revealed=bool(fields),
        )

    def _export(self, actor: Actor, request: Request) -> Response:
        name, form = request.path_params["name"], request.path_params["form"]
        if form not in exported.FORMS:
            return self._page.failed(
                404, f"inferences are written as {' or '.join(exported.FORMS)}, not as {form[:20]}"
            )
        wanted = {"use_case": name, **asked(request.query_params).arguments}
        parts = exported.lines(
            form,
            lambda arguments: self._page.run(actor, "inferences", arguments),
            wanted,
            texts=request.query_params.get("texts") == "on",
        )
        # The first part now: a refusal is an answer of its own, and not a file that breaks off.
        ready = chain([next(parts)], parts)
        disposition = f'attachment; filename="{name}-inferences.{form}"'
        return StreamingResponse(ready, media_type=exported.FORMS[form], headers={"content-disposition": disposition})
