"""Acting: what a person may do to a use case, each with a page that says what will come of it before it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pilotage.access import Role
from pilotage.decision.wording import variant_of
from pilotage.errors import PilotageError
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from pilotage.access import Actor
    from pilotage.console.pages import Pages

Facts = dict[str, Any]
LONGEST_REASON = 2_000


class Act(NamedTuple):
    """One thing to do: its command, who may, what it is called, and what comes of it (empty: there is nothing to be done)."""

    command: str
    role: Role
    title: str
    consequence: Callable[[Facts], str]
    needs_reason: bool = False


class ActingPages:
    def __init__(self, page: Pages) -> None:
        self._page = page

    def routes(self) -> list[Route]:
        return [
            Route("/use-cases/{name}/act/{act}", self.act, methods=["GET", "POST"]),
            Route("/use-cases/{name}/alarms/{alarm}", self.alarm, methods=["GET", "POST"]),
        ]

    async def act(self, request: Request) -> Response:
        if request.path_params["act"] not in ACTS:
            raise HTTPException(404, "there is nothing like that to be done")
        fields = await self._page.form(request) if request.method == "POST" else None
        return await self._page.answer(request, lambda actor, request: self._act(actor, request, fields))

    async def alarm(self, request: Request) -> Response:
        fields = await self._page.form(request) if request.method == "POST" else None
        return await self._page.answer(request, lambda actor, request: self._alarm(actor, request, fields))

    def _act(self, actor: Actor, request: Request, fields: Mapping[str, str] | None) -> Response:
        name, key = request.path_params["name"], request.path_params["act"]
        act = ACTS[key]
        facts = self._page.run(actor, "status", {"use_case": name})["use_cases"][0]
        says, reason = "", (fields or {}).get("reason", "").strip()
        if fields is not None:
            if fields.get("version") != str(facts["version"]):
                # Somebody, or the controller, was quicker: what was confirmed is not what would be done.
                says = "It has moved on since this page was shown. Read what would come of it now."
            elif act.needs_reason and not reason:
                says = "Write why: others will read it."
            else:
                try:
                    self._page.run(actor, act.command, {"use_case": name, "reason": reason})
                except PilotageError as fault:
                    says = ". ".join(part.rstrip(".") for part in (fault.message, fault.hint) if part)
                else:
                    return RedirectResponse(f"/use-cases/{quote(name, safe='')}", 303)
        gate = facts["gate"] if key in ("promote", "approve") else None
        return self._page.show(
            "act.html",
            409 if says else 200,
            name=name,
            act=act,
            key=key,
            says=says,
            reason=reason,
            gate=gate,
            consequence=act.consequence(facts),
            version=facts["version"],
            may=actor.allows(act.role, name),
        )

    def _alarm(self, actor: Actor, request: Request, fields: Mapping[str, str] | None) -> Response:
        name, alarm = request.path_params["name"], request.path_params["alarm"]
        says, note = "", (fields or {}).get("reason", "").strip()
        if fields is not None:
            command = "alarm_resolve" if fields.get("do") == "resolve" else "alarm_acknowledge"
            try:
                self._page.run(actor, command, {"use_case": name, "alarm": alarm, "note": note})
            except PilotageError as fault:
                says = ". ".join(part.rstrip(".") for part in (fault.message, fault.hint) if part)
            else:
                return RedirectResponse(f"/use-cases/{quote(name, safe='')}", 303)
        found = self._page.run(actor, "alarms", {"use_case": name, "everything": True})["alarms"]
        one = next((one for one in found if one["id"] == alarm), None)
        if one is None:
            raise HTTPException(404, f"{name} has no such alarm")
        return self._page.show(
            "alarm.html", 409 if says else 200, name=name, one=one, says=says, reason=note,
            may=actor.allows(Role.OPERATE, name),
        )  # fmt: skip


def offered(actor: Actor, facts: Facts) -> list[dict[str, Any]]:
    """Return what there is to be done to a use case now, with what it takes."""
    return [
        {"key": key, "title": act.title, "role": str(act.role), "may": actor.allows(act.role, facts["use_case"])}
        for key, act in ACTS.items()
        if act.consequence(facts)
    ]


def _promote(facts: Facts) -> str:
    gate = facts["gate"]
    if facts["retired"] or gate is None:
        return ""
    on_their_way = ", ".join(variant_of(release) for release in (facts["candidate"], *facts["rivals"]))
    if not gate["open"]:
        return f"The gate into {gate['stage']} is closed: {on_their_way} cannot go on until every line below is met."
    if gate["stage"] == "canary":
        return f"The rollout begins: a first few {facts['unit']}s get {on_their_way}, and more as it proves itself on their outcomes."
    if gate["stage"] == "production":
        return f"Every {facts['unit']} gets {on_their_way} from now on; {variant_of(facts['live']) if facts['live'] else 'nothing'} is kept to go back to."
    return f"{on_their_way} goes from {facts['stage']} into {gate['stage']}. What users get does not change."


def _rolling(facts: Facts) -> bool:
    return facts["rollout"] is not None and facts["rollout"]["phase"] in ("running", "paused")


def _pause(facts: Facts) -> str:
    if facts["retired"] or facts["paused"] or not facts["candidate"]:
        return ""
    if not _rolling(facts):
        return "Nothing on its way goes on until somebody resumes it. What users get does not change."
    share = f"{facts['rollout']['share'] * 100 / MILLION:g} %"
    return f"The rollout stays at {share}: nothing advances until somebody resumes it. Where harm is shown it is still rolled back."


def _resume(facts: Facts) -> str:
    if facts["retired"] or not facts["paused"]:
        return ""
    return "What is on its way goes on from where it is, as its outcomes allow."


def _rollback(facts: Facts) -> str:
    if facts["retired"]:
        return ""
    if _rolling(facts):
        rollout = facts["rollout"]
        back = variant_of(rollout["baseline"]) if rollout["baseline"] else "nothing"
        out = ", ".join(variant_of(release) for release in (rollout["candidate"], *rollout["rivals"]))
        return f"Within a second every {facts['unit']} gets {back}. The rollout ends, and {out} comes back only as a changed release."
    if facts["previous"]:
        return f"Within a second {variant_of(facts['previous'])} serves every {facts['unit']} again, in place of {variant_of(facts['live'])}."
    return ""


def _approve(facts: Facts) -> str:
    if facts["retired"] or facts["gate"] is None:
        return ""
    on_their_way = ", ".join(variant_of(release) for release in (facts["candidate"], *facts["rivals"]))
    rollout = facts["rollout"]
    if rollout is not None and rollout["awaits_yes"]:
        step = f"step {rollout['step'] + 1} of {len(rollout['shares'])} ({rollout['share'] * 100 / MILLION:g} %)"
        return f"You say yes to {on_their_way} leaving {step} as soon as the step's other demands are met. Your yes counts for this step alone."
    return (
        f"You say yes to {on_their_way} going into {facts['gate']['stage']}, on the evidence that there is now. Your yes, with your"
        " name and reason, stands in the ledger; another release, charter or measurement needs another one."
    )


ACTS = {
    "promote": Act("promote", Role.OPERATE, "Promote", _promote),
    "approve": Act("approve", Role.APPROVE, "Approve", _approve, needs_reason=True),
    "pause": Act("pause", Role.OPERATE, "Pause", _pause, needs_reason=True),
    "resume": Act("resume", Role.OPERATE, "Resume", _resume),
    "rollback": Act("rollback", Role.OPERATE, "Roll back", _rollback, needs_reason=True),
}
