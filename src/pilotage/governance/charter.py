"""What was agreed of a use case, as plain data for people: what it is for, where it goes, what it may cost, who says yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.wording import amount_text, currency_of
from pilotage.governance import standing
from pilotage.governance.context import Text
from pilotage.governance.organisation import rules_of
from pilotage.governance.watching import watch_of

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.spec.metric import Metric
    from pilotage.spec.use_case import UseCase


class Charter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text


def charter(context: Context, _: Actor, arguments: Charter) -> dict[str, Any]:
    """Return the charter; of every goal and guardrail `live` is what the release that serves has shown, where that is known."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        spec, status = stands.spec, stands.status
        rules = rules_of(tx, stands.registered, spec)
        watched = watch_of(tx, status, spec)
    shown = {one["stream"]: one for one in watched["streams"]} if watched else {}
    return {
        "use_case": spec.name,
        "purpose": spec.purpose,
        "affected": list(spec.affected),
        "does": list(spec.scope.does),
        "does_not": list(spec.scope.does_not),
        "goals": [
            {**metric_facts(name, goal, spec), **_live(goal, spec, shown.get(name))}
            for name, goal in spec.goals.items()
        ],
        "guardrails": [
            {**metric_facts(name, metric, spec), **_live(metric, spec, shown.get(name))}
            for name, metric in spec.guardrails.items()
        ],
        "traffic": spec.traffic.new_units_a_day if spec.traffic else None,
        "unit": spec.unit,
        "handled": list(spec.data.handled),
        "retention": spec.data.retention,
        "on_call": list(rules.on_call or ()),
    }


def metric_facts(name: str, metric: Metric, spec: UseCase) -> dict[str, Any]:
    """Return what a file says of a metric, as numbers and in words."""
    currency = currency_of(spec)
    values = {key: getattr(metric, key) for key in ("today", "target", "minimum_effect", "margin", "worth")}
    said = {
        key: "" if value is None else amount_text(value, metric, currency)
        for key, value in values.items()
        if key != "worth"
    }
    return {"name": name, "kind": metric.kind, "direction": metric.direction, **values, "text": said}


def _live(metric: Metric, spec: UseCase, shown: dict[str, Any] | None) -> dict[str, Any]:
    if shown is None or shown.get("shown") is None:
        return {"live": None, "live_text": "", "units": 0}
    return {
        "live": shown["shown"],
        "live_text": amount_text(shown["shown"], metric, currency_of(spec)),
        "units": shown["learned"],
    }
