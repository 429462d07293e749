"""The risk register: which line treats which risk, and which risks stand untreated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.criterion import CriterionResult
from pilotage.decision.verdict import Verdict, guardrails

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pilotage.decision.rules import Rules
    from pilotage.spec.use_case import UseCase

BY_TIER = ("quality", "quality_difference", "cost", "security", "privacy", "bias")
"""Measures that a tier, or a budget, brings to the gate into staging without the file's word."""
REHEARSED = ("replay_errors", "replay_latency")


def treatments(spec: UseCase, rules: Rules | None = None) -> set[str]:
    """Return everything that a risk may name as what treats it."""
    found = {f"guardrails.{name}" for name in guardrails(spec)} | {f"goals.{name}" for name in spec.goals}
    for stage in ("poc", "staging", "canary", "production"):
        measures: Collection[str] = {*getattr(spec.gates, stage), *(rules.bounds.get(stage, ()) if rules else ())}
        found |= {f"gates.{stage}.{measure}" for measure in measures}
    found |= {f"gates.canary.{measure}" for measure in REHEARSED}
    tiered = {"minimal": BY_TIER[:3], "limited": BY_TIER[:5], "high": BY_TIER}[spec.tier]
    return found | {f"gates.staging.{measure}" for measure in tiered}


def unresolved(spec: UseCase, rules: Rules | None = None) -> Iterator[tuple[str, int, str]]:
    """Yield (risk, index, what is wrong) for every treatment that is not there."""
    known = treatments(spec, rules)
    for name, risk in spec.risks.items():
        for index, treatment in enumerate(risk.treated_by):
            if treatment not in known and not treatment.startswith("gates."):
                says = f"risks.{name}.treated_by names '{treatment[:80]}', which this file does not have"
                yield name, index, f"{says}; it takes guardrails.NAME, goals.NAME or gates.STAGE.MEASURE"


def untreated(spec: UseCase, rules: Rules) -> list[str]:
    """Return the risks above what may stand, of which no line of the file or of the organisation's treats one."""
    known = treatments(spec, rules)
    appetite = min(spec.risk_appetite, rules.risk_appetite)
    return [name for name, risk in spec.risks.items() if risk.level > appetite and known.isdisjoint(risk.treated_by)]


def risk_criteria(spec: UseCase, rules: Rules) -> list[CriterionResult]:
    """Return the line on the risk register; none where the file has no register."""
    if not spec.risks:
        return []
    left = untreated(spec, rules)
    appetite = min(spec.risk_appetite, rules.risk_appetite)
    if not left:
        says = f"Each of {len(spec.risks)} risks is treated, or within the appetite of {appetite}."
        return [CriterionResult(name="risks", verdict=Verdict.PASS, says=says)]
    told = "; ".join(f"{name} ({spec.risks[name].level}): {spec.risks[name].says.rstrip('.')}" for name in left)
    says = f"Above the appetite of {appetite}, and treated by nothing: {told}."
    opens_with = f"Write treated_by under [risks.{left[0]}]: the guardrail or the gate's measure that treats it."
    return [CriterionResult(name="risks", verdict=Verdict.FAIL, says=says, opens_with=opens_with)]
