"""What a rollout demands of each step before the next, in words that say what is missing and when it may come."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pilotage.decision.approval import step_approved
from pilotage.decision.verdict import guardrails, level_today
from pilotage.decision.wording import about_text, amount_text, currency_of, list_text, time_text, units_text
from pilotage.spec.metric import Guardrail
from pilotage.spec.quantity import duration_text
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pilotage.decision.findings import Findings
    from pilotage.decision.observation import Observation
    from pilotage.records import Approval
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus, UseCaseStatus

LATE_UNITS, LATE_PART = 20, 0.01
"""So many units read too late to count, and above this part of all, are no accident any more."""


def shares_of(spec: UseCase) -> tuple[int, ...]:
    """Return the ramp's shares in millionths."""
    return tuple(round(step.share * MILLION / 100) for step in spec.rollout.steps)


def blindness(spec: UseCase, observation: Observation, findings: Findings) -> list[str]:
    """Return why these figures show nothing but harm, each reason in words; empty where they are timely and whole."""
    found = []
    if observation.lag > spec.rollout.blind_after:
        limit = spec.rollout.blind_after / 1_000_000
        found.append(
            f"what is counted is {observation.lag / 1_000_000:.0f} s old, above the {limit:g} s that are trusted"
        )
    if observation.lost:
        found.append(f"{observation.lost:,} records could not be written, so the counts are not whole")
    if findings.late > LATE_UNITS and findings.late > LATE_PART * findings.units:
        found.append(
            f"{findings.late:,} of {findings.units:,} {spec.unit}s were read after their turn and could not be counted, "
            f"above the {LATE_PART:.0%} that are taken for accidents; see why events come late, then roll back and begin "
            "again, or wait until fewer are"
        )
    return found


def numbers(
    spec: UseCase, rollout: RolloutStatus, readings: Mapping[str, Reading], heard: Collection[str] | None = None
) -> list[str]:
    """Return what is missing for every guardrail to have enough of this step's own units.

    `heard` names the metrics about which feedback has come at all (None: that is not known).
    """
    found = []
    few: dict[int, list[str]] = {}
    for name, guardrail in guardrails(spec).items():
        reading = readings.get(name)
        if reading is None and not rollout.baseline and level_today(guardrail) is None:
            found.append(f"{name} has no baseline to be compared with; write guardrails.{name}.today")
        elif reading is None and guardrail.source == "feedback" and heard is not None and name not in heard:
            found.append(f"nothing was ever reported about {name}, so its silence proves nothing")
        else:
            # What was read at an earlier step says nothing of this one's units.
            here = reading.here if reading is not None and reading.step == rollout.step else 0
            if here < spec.rollout.minimum_units:
                few.setdefault(here, []).append(name)
    for here, names in few.items():
        have = "has" if len(names) == 1 else "have"
        needed = f"of the {spec.rollout.minimum_units:,} that this step needs"
        found.append(f"{list_text(names)} {have} {units_text(here, spec)} {needed}")
    return found


def waits(
    spec: UseCase, status: UseCaseStatus, rollout: RolloutStatus, *, approvals: Sequence[Approval], now: int
) -> list[str]:
    """Return what only time or somebody's yes can bring."""
    found = []
    step = spec.rollout.steps[rollout.step]
    until = rollout.step_since + step.hold
    if until > now:
        found.append(f"this step lasts at least {duration_text(step.hold)}, until {time_text(until, now)}")
    whole = rollout.started + spec.rollout.minimum_duration
    if rollout.step == len(rollout.shares) - 1 and whole > now:
        least = duration_text(spec.rollout.minimum_duration)
        found.append(f"a rollout takes at least {least} (minimum_duration), until {time_text(whole, now)}")
    if "approve" in step.demands and not step_approved(status, rollout, approvals, now):
        found.append(f"somebody must say yes to leaving this step (`pilotage approve {spec.name}`)")
    return found


def unproven(
    spec: UseCase, readings: Mapping[str, Reading], *, now: int = 0, expected: Mapping[str, int] | None = None
) -> list[str]:
    """Return each guardrail not yet shown to be no worse, and each goal not yet shown better, in words.

    `expected` says by metric when its proof may come (microseconds), for what is known of that `now`.
    """
    metrics: dict[str, Goal | Guardrail] = {**guardrails(spec), **spec.goals}
    return [
        not_yet(spec, name, metric, reading, now=now, at=(expected or {}).get(name))
        for name, metric in metrics.items()
        if (reading := readings.get(name)) is None or not reading.proved
    ]


def not_yet(
    spec: UseCase, name: str, metric: Goal | Guardrail, reading: Reading | None, *, now: int = 0, at: int | None = None
) -> str:
    """Say `resolved not yet shown to be better (needs about 900 more candidate users, tomorrow 14:00 UTC)`."""
    if isinstance(metric, Guardrail):
        amount = amount_text(metric.margin or 0.0, metric, currency_of(spec))
        wanted = f"not yet shown to be no worse than {amount}"
    else:
        wanted = "not yet shown to be better"
    if reading is None:
        return f"{name} {wanted} (no {spec.unit} has an outcome yet)"
    if not reading.needed:
        return f"{name} {wanted} ({units_text(reading.units, spec)} so far; out of reach as things stand)"
    when = "" if at is None else f", {time_text(max(at, now), now)}"
    return f"{name} {wanted} (needs about {about_text(reading.needed)} more candidate {spec.unit}s{when})"


def above_budget(spec: UseCase, rollout: RolloutStatus, findings: Findings) -> str:
    """Return why the next step would put more units at risk than the file allows, or an empty string.

    Those who have met a candidate, and `minimum_units` more, times the most by which it may be worse in a binary
    guardrail: once that is shown to be no worse, the margin is all that it may be, and that was agreed to.
    """
    budget, more = spec.rollout.risk_budget, spec.rollout.minimum_units
    if budget is None:
        return ""
    for name, guardrail in guardrails(spec).items():
        if guardrail.kind != "binary":
            continue
        at_risk, harmed = 0, 0.0
        for release in rollout.remaining:
            reading = findings.readings.get(release, {}).get(name)
            if reading is None or not reading.proved:
                units = findings.exposed.get(release, 0) + more
                at_risk, harmed = at_risk + units, harmed + units * _worst(guardrail, reading)
        if harmed > budget:
            bound = amount_text(harmed / at_risk, guardrail, currency_of(spec))
            right = amount_text(budget / at_risk, guardrail, currency_of(spec))
            return (
                f"{name} may still be worse by up to {bound}, so of {at_risk:,} candidate {spec.unit}s (the next step's "
                f"first {more:,} among them) {math.ceil(harmed):,} may come to harm, above risk_budget = {budget:,}; "
                f"{right} would be right, and more outcomes narrow it"
            )
    return ""


def _worst(guardrail: Guardrail, reading: Reading | None) -> float:
    if reading is None:
        return 1.0
    return min(max(reading.high if guardrail.direction == "down" else -reading.low, 0.0), 1.0)
