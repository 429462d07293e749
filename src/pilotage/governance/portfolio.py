"""The roll-up: what each objective gets from its use cases and what it costs; and the inventory of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.policy import kept_at_most
from pilotage.decision.risk import untreated
from pilotage.decision.wording import currency_of, difference_text
from pilotage.governance import standing
from pilotage.governance.context import moment
from pilotage.governance.organisation import organisation_of, providers_asked, rules_of
from pilotage.governance.overview import READERS
from pilotage.governance.staleness import card_stands
from pilotage.spec.period import period
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.spec.metric import Goal
    from pilotage.spec.organisation import Organisation
    from pilotage.status import Reading
    from pilotage.store.base.transaction import Transaction


class Portfolio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


def portfolio(context: Context, actor: Actor, _: Portfolio) -> dict[str, Any]:
    """Return every use case that the actor may see, and by objective what they reach and spend in this month (UTC).

    A use case that serves two objectives counts for both with all it costs, for nobody can say which part was for which.
    """
    with context.store.read() as tx:
        now = moment(context, tx)
        organisation = organisation_of(tx)
        names = [name for name in tx.use_cases.names() if any(actor.allows(role, name) for role in READERS)]
        listed = [_listed(tx, organisation, standing.standing(tx, name), now) for name in names]
    month = period("month", now)
    spent = _spent(context, month.begin, month.end)
    for one in listed:
        one["spent"] = None if spent is None else spent.get(one["use_case"], 0) / MILLION
    return {
        "organisation": organisation.name if organisation else "",
        "month": month.name,
        "objectives": [_objective(organisation, name, listed) for name in organisation.objectives]
        if organisation
        else [],
        "use_cases": listed,
    }


def _spent(context: Context, since: int, until: int) -> Mapping[str, int] | None:
    if context.holdings is None:
        return None
    with context.holdings() as holdings:
        return holdings.spent(since, until)


def _objective(organisation: Organisation, name: str, listed: list[dict[str, Any]]) -> dict[str, Any]:
    objective = organisation.objectives[name]
    serving = [one for one in listed if any(goal["objective"] == name for goal in one["goals"])]
    spent: dict[str, float] = {}
    for one in serving:
        spent[one["currency"]] = round(spent.get(one["currency"], 0.0) + (one["spent"] or 0.0), 6)
    unknown = any(one["spent"] is None for one in serving)
    return {
        "objective": name,
        "says": objective.says,
        "owner": objective.owner,
        "a_month": objective.a_month,
        "currency": organisation.currency,
        "spent": None if unknown else spent,
        "above": objective.a_month is not None and spent.get(organisation.currency, 0.0) > objective.a_month,
        "use_cases": [one["use_case"] for one in serving],
        "gets": [
            {"use_case": one["use_case"], "goal": goal["goal"], "says": goal["says"], "proved": goal["shown"]["proved"]}
            for one in serving
            for goal in one["goals"]
            if goal["objective"] == name and goal["shown"] is not None
        ],
    }


def _listed(tx: Transaction, organisation: Organisation | None, stands: Standing, now: int) -> dict[str, Any]:
    spec, status = stands.spec, stands.status
    rules = rules_of(tx, stands.registered, spec)
    releases = [release for release in map(tx.releases.get, stands.registered.releases.values()) if release is not None]
    kept, days = kept_at_most(organisation, spec.data)
    readings = status.rollout.readings if status.rollout is not None else {}
    return {
        "use_case": spec.name,
        "owner": spec.owner,
        "on_call": None if rules.on_call is None else list(rules.on_call),
        "objective": spec.objective,
        "purpose": spec.purpose,
        "affected": list(spec.affected),
        "tier": spec.tier,
        "reasons": spec.assessment.reasons if spec.assessment else "",
        "unanswered": spec.assessment.unanswered if spec.assessment else None,
        "data": {"classes": list(spec.data.handled), "retention": kept, "retain_for": days},
        "providers": providers_asked(organisation, releases),
        "risks": {
            "listed": len(spec.risks),
            "untreated": untreated(spec, rules),
            "highest": max((risk.level for risk in spec.risks.values()), default=0),
        },
        "breaches": list(rules.breaches),
        "stage": "retired" if status.retired else str(status.stage),
        "live": status.live,
        "currency": spec.budget.currency if spec.budget else "EUR",
        "a_month": spec.budget.a_month if spec.budget else None,
        "goals": [_goal(name, goal, readings, currency_of(spec)) for name, goal in spec.goals.items()],
        "card": card_stands(tx, stands, now),
    }


def _goal(name: str, goal: Goal, readings: Mapping[str, Reading], currency: str) -> dict[str, Any]:
    """Return where a goal stands; `shown` is the difference that the newest rollout showed, with its interval, `says` in words."""
    reading = readings.get(name)
    shown = None
    if reading is not None:
        shown = {"value": reading.value, "low": reading.low, "high": reading.high, "units": reading.units}
        shown["proved"] = reading.proved
    return {
        "goal": name,
        "objective": goal.objective,
        "today": goal.today,
        "target": goal.target,
        "shown": shown,
        "says": "" if reading is None else difference_text(name, goal, reading, currency),
    }
