"""What a rollout demands: of each step before the next, and of the whole before production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.criterion import CriterionResult
from pilotage.decision.verdict import Verdict, guardrails, of_goal, of_guardrail, proof_demanded
from pilotage.decision.wording import amount_text, currency_of, difference_text, list_text, share_text, units_text
from pilotage.spec.metric import Guardrail
from pilotage.spec.quantity import duration_text
from pilotage.stats import looks
from pilotage.status import MILLION, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.decision.observation import Observation
    from pilotage.records import Approval
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus, UseCaseStatus


def shares_of(spec: UseCase) -> tuple[int, ...]:
    """Return the ramp's shares in millionths."""
    return tuple(round(step.share * MILLION / 100) for step in spec.rollout.steps)


def step_stage(rollout: RolloutStatus) -> str:
    """Return what an approval names as its stage when it lets this rollout leave its present step."""
    return f"{rollout.id}/step-{rollout.step + 1}"


def step_approved(status: UseCaseStatus, rollout: RolloutStatus, approvals: Sequence[Approval]) -> bool:
    wanted = (status.candidate, status.charter, step_stage(rollout))
    return any((approval.release, approval.charter, approval.stage) == wanted for approval in approvals)


def awaits_approval(spec: UseCase, status: UseCaseStatus, approvals: Sequence[Approval]) -> bool:
    """Return whether the rollout's present step may only be left with somebody's yes, which nobody has given."""
    rollout = status.rollout
    if rollout is None or rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
        return False
    return "approve" in spec.rollout.steps[rollout.step].demands and not step_approved(status, rollout, approvals)


def unmet(
    spec: UseCase,
    status: UseCaseStatus,
    rollout: RolloutStatus,
    observation: Observation,
    *,
    approvals: Sequence[Approval],
    now: int,
) -> list[str]:
    """Return what still keeps the rollout at its present step, each in words; empty where it may be left."""
    found = [*_numbers(spec, rollout, observation), *_waits(spec, status, rollout, approvals=approvals, now=now)]
    if "prove" in spec.rollout.steps[rollout.step].demands:
        found += unproven(spec, rollout)
    return found


def blindness(spec: UseCase, observation: Observation) -> list[str]:
    """Return why these counts show nothing but harm, each reason in words; empty where they are timely and whole."""
    found = []
    if observation.lag > spec.rollout.blind_after:
        limit = spec.rollout.blind_after / 1_000_000
        found.append(
            f"what is counted is {observation.lag / 1_000_000:.0f} s old, above the {limit:g} s that are trusted"
        )
    if observation.lost:
        found.append(f"{observation.lost:,} records could not be written, so the counts are not whole")
    return found


def _numbers(spec: UseCase, rollout: RolloutStatus, observation: Observation) -> list[str]:
    """Every guardrail has enough units at this step and was looked at while it lasted."""
    found = []
    few: dict[int, list[str]] = {}
    for name in guardrails(spec):
        strata = observation.metrics.get(name, ())
        here = sum(stratum.candidate.matured for stratum in strata if stratum.step == rollout.step)
        if not strata:
            found.append(f"{name} could not be read")
        elif name in observation.unheard:
            found.append(f"nothing was ever reported about {name}, so its silence proves nothing")
        elif here < spec.rollout.minimum_units:
            few.setdefault(here, []).append(name)
        elif not _looked_at(rollout, name):
            total = sum(stratum.candidate.matured for stratum in strata)
            found.append(
                f"{name} has not been looked at since this step began ({_next_look(spec, rollout, name, total)})"
            )
    for here, names in few.items():
        have = "has" if len(names) == 1 else "have"
        needed = f"of the {spec.rollout.minimum_units:,} that this step needs"
        found.append(f"{list_text(names)} {have} {units_text(here, spec)} {needed}")
    return found


def _looked_at(rollout: RolloutStatus, name: str) -> bool:
    """Return whether a planned look at this metric was taken during the present step."""
    reading = rollout.readings.get(name)
    return reading is not None and reading.step == rollout.step


def _waits(
    spec: UseCase, status: UseCaseStatus, rollout: RolloutStatus, *, approvals: Sequence[Approval], now: int
) -> list[str]:
    found = []
    step = spec.rollout.steps[rollout.step]
    left = rollout.step_since + step.hold - now
    if left > 0:
        found.append(f"this step lasts at least {duration_text(step.hold)}, of which {_rough(left)} are left")
    if "approve" in step.demands and not step_approved(status, rollout, approvals):
        found.append(f"somebody must say yes to leaving this step (`pilotage approve {spec.name}`)")
    return found


def unproven(spec: UseCase, rollout: RolloutStatus) -> list[str]:
    """Return each guardrail not yet shown to be no worse, and each goal not yet shown better, in words."""
    metrics: dict[str, Goal | Guardrail] = {**guardrails(spec), **spec.goals}
    return [
        _not_yet(spec, rollout, name, metric)
        for name, metric in metrics.items()
        if (reading := rollout.readings.get(name)) is None or not reading.proved
    ]


def _not_yet(spec: UseCase, rollout: RolloutStatus, name: str, metric: Goal | Guardrail) -> str:
    currency = currency_of(spec)
    reading = rollout.readings.get(name)
    if isinstance(metric, Guardrail):
        wanted = f"not yet shown to be within {amount_text(metric.margin or 0.0, metric, currency)}"
    else:
        wanted = "not yet shown to be better"
    units = reading.units if reading else 0
    return f"{name} {wanted} ({units_text(units, spec)}; {_next_look(spec, rollout, name, units)})"


def _next_look(spec: UseCase, rollout: RolloutStatus, name: str, units: int) -> str:
    coming = looks.size(rollout.looks.get(name, 0))
    if units >= coming:
        return f"the other side has too few {spec.unit}s for a look"
    return f"the next look is at {coming:,}"


def _rough(microseconds: int) -> str:
    """Say a time left in its two largest units."""
    seconds = -(-microseconds // 1_000_000)
    for name, size, lower in (("d", 86_400, "h"), ("h", 3_600, "m"), ("m", 60, "s")):
        if seconds >= size:
            rest = seconds % size // {"h": 3_600, "m": 60, "s": 1}[lower]
            return f"{seconds // size} {name} {rest} {lower}" if rest else f"{seconds // size} {name}"
    return f"{seconds} s"


def rollout_criteria(
    spec: UseCase, status: UseCaseStatus, approvals: Sequence[Approval], now: int
) -> list[CriterionResult]:
    """Return the gate into production's own lines: the ramp's end, and each guardrail and goal."""
    rollout = status.rollout
    if rollout is None or rollout.candidate != status.candidate or rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
        says = "No rollout of this release is running."
        opens_with = f"`pilotage promote {spec.name}` from staging starts one."
        return [CriterionResult(name="rollout", verdict=Verdict.MISSING, says=says, opens_with=opens_with)]
    found = [_ramp(spec, status, rollout, approvals, now)]
    demanded = proof_demanded(spec)
    for name, guardrail in guardrails(spec).items():
        verdict = of_guardrail(rollout.readings.get(name), demanded=demanded)
        found.append(_metric(spec, rollout, name, guardrail, verdict))
    for name, goal in spec.goals.items():
        verdict = of_goal(rollout.readings.get(name), demanded=demanded)
        found.append(_metric(spec, rollout, name, goal, verdict))
    return found


def _ramp(
    spec: UseCase, status: UseCaseStatus, rollout: RolloutStatus, approvals: Sequence[Approval], now: int
) -> CriterionResult:
    last = len(rollout.shares) - 1
    says = f"The candidate is at step {rollout.step + 1} of {last + 1} ({share_text(rollout.share)} of {spec.unit}s)."
    waits = _waits(spec, status, rollout, approvals=approvals, now=now)
    unseen = [name for name in guardrails(spec) if not _looked_at(rollout, name)]
    if unseen:
        waits.append(f"{list_text(unseen)} must be looked at during this step")
    if status.paused:
        waits.insert(0, f"it is paused (`pilotage resume {spec.name}`)")
    if rollout.step == last and not waits:
        return CriterionResult(name="rollout", verdict=Verdict.PASS, says=says)
    opens_with = "; ".join(waits) if waits else "The controller takes each step when its demands are met."
    return CriterionResult(name="rollout", verdict=Verdict.INCONCLUSIVE, says=says, opens_with=opens_with)


def _metric(
    spec: UseCase, rollout: RolloutStatus, name: str, metric: Goal | Guardrail, verdict: Verdict
) -> CriterionResult:
    reading: Reading | None = rollout.readings.get(name)
    currency = currency_of(spec)
    if verdict is Verdict.WAIVED:
        says = f"{name} is a goal, and no step of the ramp demands proof of it."
        return CriterionResult(name=name, verdict=verdict, says=says)
    if reading is None:
        says = f"{name} has not been looked at yet."
        opens_with = f"It is first looked at when {units_text(looks.FIRST, spec)} have an outcome."
        return CriterionResult(name=name, verdict=verdict, says=says, opens_with=opens_with)
    says = f"{difference_text(name, metric, reading, currency)} at {units_text(reading.units, spec)}."
    opens_with = ""
    if verdict is Verdict.INCONCLUSIVE:
        opens_with = f"{_not_yet(spec, rollout, name, metric)}."
    elif verdict is Verdict.FAIL:
        opens_with = f"Roll back, change the candidate and `pilotage apply` it: this one is shown to miss on {name}."
    return CriterionResult(
        name=name,
        verdict=verdict,
        says=says,
        opens_with=opens_with,
        value=reading.value,
        low=reading.low,
        high=reading.high,
        n=reading.units,
    )
