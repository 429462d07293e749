"""What metrics, gates and the rollout ask of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.coherence.finding import table_of
from pilotage.spec.fault import meant, shown
from pilotage.spec.measures import slip
from pilotage.spec.metric import LEFT_OUT
from pilotage.spec.rollout import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.spec.coherence.finding import Finding

_SOURCES = ("errors", "fallbacks", "slow", "filtered", "cost")
_ROLES = ("goals", "guardrails", "signals")


def of_metrics(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield metrics that are named twice or could never be judged, and bounds and margins on nothing."""
    yield from _metrics(tables)
    yield from _unprovable(tables)
    yield from _margins(tables)
    yield from _criteria(tables)
    yield from _shadow(tables, variants)


def _metrics(tables: Mapping[str, Any]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for role in _ROLES:
        for name, metric in table_of(tables, role).items():
            if name in seen:
                says = f"the metric '{name}' is already one of the {seen[name]}; metric names are unique over {', '.join(_ROLES)}"
                yield (role, name), says
            seen.setdefault(name, role)
            source = metric.get("source", "feedback") if isinstance(metric, dict) else name
            if name in _SOURCES and source != name:
                says = f"'{name}' is what the gateway itself measures; set source = '{name}', or choose another name"
                yield (role, name), says
            if name == "approvals":
                yield (role, name), "'approvals' is a line of every gate already; choose another name"


def _unprovable(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Find metrics on which a candidate could never be judged as the ramp demands."""
    for role in ("goals", "guardrails"):
        for name, metric in table_of(tables, role).items():
            if isinstance(metric, dict) and metric.get("silence") == LEFT_OUT:
                says = "leaves out who never answered, so response rates could mislead"
                yield (role, name, "silence"), f"{role}.{name}.silence = '{LEFT_OUT}' {says}; only a signal may do that"
    if isinstance(tables.get("candidate"), str) and _proof_demanded(tables):
        for name, goal in table_of(tables, "goals").items():
            if isinstance(goal, dict) and "minimum_effect" not in goal:
                says = f"goals.{name} has no minimum_effect, and a step of the rollout demands 'prove'"
                right = "write the smallest difference that matters, such as minimum_effect = 0.02, or make it a signal"
                yield ("goals", name), f"{says}; {right}"


def _proof_demanded(tables: Mapping[str, Any]) -> bool:
    steps = table_of(tables, "rollout").get("steps")
    if not isinstance(steps, list):
        return any("prove" in step.demands for step in Rollout().steps)
    demands = [step.get("demands") for step in steps if isinstance(step, dict)]
    return any("prove" in demand for demand in demands if isinstance(demand, list))


def _criteria(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Find bounds on a measure that nobody will ever record: such a gate could never open."""
    for stage, bounds in table_of(tables, "gates").items():
        for name in bounds if isinstance(bounds, dict) else ():
            if near := slip(str(name)):
                says = f"gates.{stage}.{name} is no measure that is recorded"
                yield ("gates", stage, name), f"{says}; did you mean '{near}'?"


def _margins(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield margins of fairness that are about no goal and no guardrail."""
    known = {*table_of(tables, "goals"), *table_of(tables, "guardrails"), "errors", "fallbacks"}
    for name in table_of(table_of(tables, "fairness"), "margins"):
        if name not in known:
            says = f"fairness.margins names {shown(name)}, which is no goal and no guardrail{meant(name, known)}"
            yield ("fairness", "margins", name), says


def _shadow(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    """What shadow traffic costs can be capped only where there is a cap, and a price of each who gets copies."""
    staging = table_of(tables, "staging")
    if not staging.get("shadow"):
        return
    if "shadow_a_day" not in staging:
        says = "shadow copies requests, which costs money, and nothing caps it"
        yield ("staging", "shadow"), f"{says}; write the most that a day may cost, such as shadow_a_day = 2.0"
    for name in _candidates(tables):
        variant = variants.get(name)
        if isinstance(variant, dict) and variant.get("upstream") != "search" and "price" not in variant:
            says = f"variants.{name} gets shadow traffic and has no price, so what that costs cannot be capped"
            yield ("variants", name), f"{says}; write price = {{ input = 0.5, output = 1.5 }} (0 where it is free)"


def _candidates(tables: Mapping[str, Any]) -> Iterator[str]:
    rivals = tables.get("rivals")
    for name in (tables.get("candidate"), *(rivals if isinstance(rivals, list) else ())):
        if isinstance(name, str):
            yield name
