"""The pages of proposed cases: one made of an inference, and those that wait to be taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pilotage.decision.traits import asked_as_case
from pilotage.errors import PilotageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from pilotage.access import Actor
    from pilotage.console.pages import Pages


SHOWN = 50
LONGEST = 2_000
"""Characters of a proposed case on the page of all."""
FIELDS = ("question", "required", "forbidden", "exact", "scenario", "kind", "group", "note")


class CasePages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/use-cases/{name}/inferences/{id}/case", self.make, methods=["GET", "POST"]),
            Route("/use-cases/{name}/cases", self.waiting, methods=["GET", "POST"]),
            Route("/use-cases/{name}/cases.jsonl", self.file),
        ]

    async def make(self, request: Request) -> Response:
        fields = await self._page.form(request) if request.method == "POST" else None
        return await self._page.answer(request, lambda actor, request: self._make(actor, request, fields))

    async def waiting(self, request: Request) -> Response:
        fields = await self._page.form(request) if request.method == "POST" else None
        return await self._page.answer(request, lambda actor, request: self._waiting(actor, request, fields))

    async def file(self, request: Request) -> Response:
        return await self._page.answer(request, self._file)

    def _make(self, actor: Actor, request: Request, fields: Mapping[str, str] | None) -> Response:
        name, inference = request.path_params["name"], request.path_params["id"]
        one = self._page.run(actor, "inference", {"use_case": name, "inference": inference, "texts": True})
        shows = asked_as_case(one["turns"])
        says = ""
        if fields is not None:
            case = case_of(shows, fields)
            arguments = {"use_case": name, "inference": inference, "case": case, "note": fields.get("note", "")}
            try:
                self._page.run(actor, "case_propose", arguments)
            except PilotageError as fault:
                # What was typed stays in the form.
                says = f"{fault.message}. {fault.hint}".rstrip(". ")
            else:
                return RedirectResponse(f"{request.url.path.rpartition('/inferences/')[0]}/cases", 303)
        filled = {**dict.fromkeys(FIELDS, ""), **(fields if fields is not None else {"question": question_of(shows)})}
        return self._page.show(
            "case.html", 422 if says else 200, name=name, one=one, before=earlier_of(shows), filled=filled, says=says
        )

    def _waiting(self, actor: Actor, request: Request, fields: Mapping[str, str] | None) -> Response:
        name = request.path_params["name"]
        if fields is not None:
            if drop := fields.get("drop"):
                self._page.run(actor, "case_drop", {"use_case": name, "case": drop})
            elif taken := fields.get("taken", "").split():
                self._page.run(actor, "cases_taken", {"use_case": name, "cases": taken})
            return RedirectResponse(request.url.path, 303)
        found = self._page.run(actor, "cases", {"use_case": name})["cases"]
        shown = [{**one, "line": shown_of(one["case"])} for one in found[:SHOWN]]
        return self._page.show("cases.html", name=name, cases=shown, waiting=[one["id"] for one in found])

    def _file(self, actor: Actor, request: Request) -> Response:
        name = request.path_params["name"]
        found = self._page.run(actor, "cases", {"use_case": name})["cases"]
        text = "".join(f"{line_of(one['case'])}\n" for one in found)
        disposition = f'attachment; filename="{name}-production.jsonl"'
        return Response(text, media_type="application/x-ndjson", headers={"content-disposition": disposition})


def case_of(shows: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the case that a form describes; `shows` is what was asked, whose last question the form may have changed."""
    case: dict[str, Any] = {"kind": "production"}
    question = fields.get("question", "").strip()
    if earlier := earlier_of(shows):
        case["messages"] = [*earlier, {"role": "user", "content": question}]
    else:
        case["text"] = question
    required = [[one.strip() for one in line.split("|") if one.strip()] for line in _lines(fields, "required")]
    expected: dict[str, Any] = {
        "required": [group for group in required if group],
        "forbidden": _lines(fields, "forbidden"),
        **{name: fields.get(name, "").strip() for name in ("exact", "scenario", "group", "kind")},
    }
    return case | {name: value for name, value in expected.items() if value}


def earlier_of(shows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the turns before the last question."""
    return list(shows.get("messages", ())[:-1])


def question_of(shows: Mapping[str, Any]) -> str:
    messages = shows.get("messages", ())
    return str(messages[-1]["content"] if messages else shows.get("text", ""))


def shown_of(case: Mapping[str, Any]) -> str:
    """Return a case's line for a page; the file has all of it."""
    line = line_of(case)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} … and {len(line) - LONGEST:,} characters more"


def line_of(case: Mapping[str, Any]) -> str:
    return json.dumps(case, ensure_ascii=False)


def _lines(fields: Mapping[str, str], name: str) -> list[str]:
    return [line.strip() for line in fields.get(name, "").splitlines() if line.strip()]
