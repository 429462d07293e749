"""Verdicts: what one measure says about one demand. Absent or doubtful data is never a pass."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pilotage.spec.metric import Guardrail

if TYPE_CHECKING:
    from pilotage.records import Evidence
    from pilotage.spec.gates import Criterion
    from pilotage.spec.metric import Goal, Metric
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading

ERRORS = Guardrail(direction="down", source="errors", margin=0.02, today=0.0)
FALLBACKS = Guardrail(direction="down", source="fallbacks", margin=0.05, today=0.0)
SEEN_BY_THE_GATEWAY = ("errors", "fallbacks", "slow", "filtered")


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"
    WAIVED = "waived"


def guardrails(spec: UseCase) -> dict[str, Guardrail]:
    """Return the declared guardrails, and those on errors and fallbacks where none with that source is declared.

    A candidate that fails on everything must not hide behind the fallback's good answers, whatever the file says.
    """
    found = dict(spec.guardrails)
    sources = {guardrail.source for guardrail in found.values()}
    for name, built_in in (("errors", ERRORS), ("fallbacks", FALLBACKS)):
        if built_in.source not in sources:
            found[f"gateway-{name}" if name in spec.metrics else name] = built_in
    return found


def judged(spec: UseCase) -> dict[str, Goal | Guardrail]:
    """Return every metric that a rollout is judged on: what an observation must hold."""
    return {**guardrails(spec), **spec.goals}


def proof_demanded(spec: UseCase) -> bool:
    """Return whether any step of the ramp demands proof; without one, goals decide nothing."""
    return any("prove" in step.demands for step in spec.rollout.steps)


def level_today(metric: Metric) -> float | None:
    """Return what a candidate is compared with where nothing serves today.

    What the gateway itself sees cannot have gone wrong before there was one, so its level today is 0 unless declared.
    """
    if metric.today is None and metric.source in SEEN_BY_THE_GATEWAY:
        return 0.0
    return metric.today


def of_guardrail(reading: Reading | None, *, demanded: bool) -> Verdict:
    """Judge a guardrail: shown no worse than its margin where proof is demanded, not shown harmful elsewhere."""
    if reading is None:
        return Verdict.MISSING
    if reading.harmed:
        return Verdict.FAIL
    return Verdict.PASS if reading.proved or not demanded else Verdict.INCONCLUSIVE


def of_goal(reading: Reading | None, *, demanded: bool) -> Verdict:
    """Judge a goal: shown better. Shown to miss the smallest effect that matters, it fails."""
    if not demanded:
        return Verdict.WAIVED
    if reading is None:
        return Verdict.MISSING
    if reading.proved:
        return Verdict.PASS
    return Verdict.FAIL if reading.futile else Verdict.INCONCLUSIVE


def of_evidence(criterion: Criterion, evidence: Evidence | None) -> Verdict:
    """Judge evidence by its whole interval: inside the bound passes, outside fails, across it is inconclusive."""
    if evidence is None:
        return Verdict.MISSING
    low, high = evidence.low, evidence.high
    if not low <= high:  # also true of NaN, which says that nothing was measured
        return Verdict.INCONCLUSIVE
    if criterion.at_least is not None:
        return _inside(low >= criterion.at_least, high < criterion.at_least)
    if criterion.at_most is not None:
        return _inside(high <= criterion.at_most, low > criterion.at_most)
    return Verdict.INCONCLUSIVE


def _inside(inside: bool, outside: bool) -> Verdict:
    if inside:
        return Verdict.PASS
    return Verdict.FAIL if outside else Verdict.INCONCLUSIVE
