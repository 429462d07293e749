"""The rollout's state machine: `decide` says what to do next, `follow` does it to the status. Both are pure.

Same inputs, same decision, so any decision can be made again from the ledger. The order is what keeps users safe:
harm first (also while paused, also on late counts), then a broken split; only what is neither paused nor blind may be
given up as futile or advance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.demands import blindness, unmet
from pilotage.decision.gate import gate
from pilotage.decision.reading import look
from pilotage.decision.sample_ratio import broken_split, look_at_split
from pilotage.decision.verdict import judged
from pilotage.decision.wording import currency_of, difference_text, list_text, share_text, units_text
from pilotage.errors import Refused
from pilotage.status import Action, Decision, Ended, Phase, Reading, RolloutStatus, Stage, UseCaseStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.decision.criterion import Gate
    from pilotage.decision.observation import Observation
    from pilotage.records import Approval, Evidence
    from pilotage.spec.use_case import UseCase

UNDER_WAY = (Phase.RUNNING, Phase.PAUSED)
Judgement = tuple[Action, str]
"""What to do, and why."""
ENDINGS = {
    Action.ROLL_BACK: (Phase.ROLLED_BACK, "rolled_back"),
    Action.FUTILE: (Phase.FUTILE, "futile"),
}


def decide(
    spec: UseCase,
    status: UseCaseStatus,
    observation: Observation,
    approvals: Sequence[Approval],
    now: int,
    *,
    evidence: Sequence[Evidence] = (),
) -> Decision:
    """Return what the controller does now with a running rollout, and why, in words with numbers.

    `approvals` and `evidence` are those of the candidate; `evidence` matters only where the file sets bounds of its own
    before production. `detail` holds the readings and counts of looks that `follow` writes into the status.
    """
    rollout = status.rollout
    if rollout is None or rollout.phase not in UNDER_WAY:
        return Decision(action=Action.HOLD, reason="No rollout is running.", at=now)
    if observation.rollout != rollout.id:
        reason = f"Held: what was observed belongs to rollout {observation.rollout}, not to {rollout.id}."
        return Decision(action=Action.HOLD, reason=reason, at=now)
    blind = blindness(spec, observation)
    # Counts that are late or not whole may show harm, and nothing else: they spend no look for anything better.
    taken = {
        name: reading for name, reading in look(spec, rollout, observation, now).items() if reading.harmed or not blind
    }
    split = look_at_split(rollout, observation)
    rollout = msgspec.structs.replace(
        rollout,
        readings={**rollout.readings, **taken},
        looks={**rollout.looks, **{name: reading.look + 1 for name, reading in taken.items()}, **split},
    )
    status = msgspec.structs.replace(status, rollout=rollout)
    action, reason = (
        _stopped(spec, status, rollout, observation, looked=bool(split))
        or _ended_or_held(spec, status, rollout, blind)
        or _waiting(spec, rollout, unmet(spec, status, rollout, observation, approvals=approvals, now=now))
        or _onward(spec, rollout, gate(spec, status, Stage.PRODUCTION, evidence=evidence, approvals=approvals, now=now))
    )
    return Decision(action=action, reason=reason, at=now, detail=_detail(rollout, taken, split))


def _stopped(
    spec: UseCase, status: UseCaseStatus, rollout: RolloutStatus, observation: Observation, *, looked: bool
) -> Judgement | None:
    """What stops a rollout whatever else is true: harm, then a split that is not the one that was set."""
    at = share_text(rollout.share)
    if harmed := [name for name, reading in rollout.readings.items() if reading.harmed]:
        return Action.ROLL_BACK, f"Rolled back from {at}: {_seen(spec, rollout, harmed)}: {_harm(spec, harmed)}."
    if looked and not status.paused and (broken := broken_split(rollout, observation)):
        return Action.PAUSE, f"Paused at {at}: {broken}"
    return None


def _ended_or_held(spec: UseCase, status: UseCaseStatus, rollout: RolloutStatus, blind: list[str]) -> Judgement | None:
    at = share_text(rollout.share)
    if status.paused:
        return Action.HOLD, f"Held at {at}: paused; `pilotage resume {spec.name}` lets it go on."
    if blind:
        return Action.HOLD, f"Held at {at}: {'; '.join(blind)}."
    if futile := [name for name, reading in rollout.readings.items() if reading.futile]:
        missed = "shown to miss the smallest effect that matters"
        return Action.FUTILE, f"Given up at {at}: {_seen(spec, rollout, futile)}: {missed}."
    return None


def _waiting(spec: UseCase, rollout: RolloutStatus, waits: list[str]) -> Judgement | None:
    if not waits:
        return None
    proved = [name for name, reading in rollout.readings.items() if reading.proved]
    seen = [_seen(spec, rollout, proved)] if proved else []
    return Action.HOLD, f"Held at {share_text(rollout.share)}: {'; '.join([*seen, *waits])}."


def _onward(spec: UseCase, rollout: RolloutStatus, door: Gate) -> Judgement:
    at = share_text(rollout.share)
    if rollout.step < len(rollout.shares) - 1:
        further = share_text(rollout.shares[rollout.step + 1])
        return Action.ADVANCE, f"Advanced from {at} to {further}: {_met(spec, rollout)}."
    if not door.open:
        return Action.HOLD, f"Held at {at}: {' '.join(criterion.says for criterion in door.closed_by)}"
    return Action.PROMOTE, f"Promoted from {at}: {_met(spec, rollout)}."


def worth_recording(decision: Decision) -> bool:
    """Return whether a decision changes the status: it acts, or it took a planned look and held."""
    return decision.action is not Action.HOLD or bool(decision.detail.get("looks"))


def follow(status: UseCaseStatus, decision: Decision) -> UseCaseStatus:
    """Return the status after a decision, one version on; raise Refused where the decision does not fit the state."""
    rollout = status.rollout if status.rollout is not None and status.rollout.phase in UNDER_WAY else None
    match decision.action:
        case Action.PAUSE:
            _must(not status.paused, f"{status.use_case} is paused already")
            _must(bool(status.candidate), f"{status.use_case} has no candidate on its way", "there is nothing to pause")
            return _next(status, decision, rollout, Phase.PAUSED, paused=True)
        case Action.RESUME:
            _must(status.paused, f"{status.use_case} is not paused", "pause comes first")
            return _next(status, decision, rollout, Phase.RUNNING, paused=False)
    if rollout is None:
        raise Refused(f"{status.use_case} has no rollout that is running", hint="a rollout starts when canary begins")
    match decision.action:
        case Action.HOLD:
            return _next(status, decision, rollout, rollout.phase)
        case Action.ADVANCE:
            _must(not status.paused, f"{status.use_case} is paused", "resume it first")
            last = rollout.step == len(rollout.shares) - 1
            _must(not last, f"{share_text(rollout.share)} is the last step", "after it comes production")
            rollout = msgspec.structs.replace(rollout, step=rollout.step + 1, step_since=decision.at)
            return _next(status, decision, _allocated(rollout), rollout.phase)
        case Action.PROMOTE:
            _must(not status.paused, f"{status.use_case} is paused", "resume it first")
            last = rollout.step == len(rollout.shares) - 1
            _must(last, f"step {rollout.step + 1} is not the last of {len(rollout.shares)}", "advance first")
            return _promoted(_next(status, decision, _allocated(rollout), Phase.PROMOTED), decision)
        case Action.ROLL_BACK | Action.FUTILE:
            phase, how = ENDINGS[decision.action]
            after = _next(status, decision, _allocated(rollout), phase, paused=False)
            return _without_candidate(after, how, decision)


def resting_stage(status: UseCaseStatus) -> Stage:
    """Return the stage of a use case without a candidate: production once a release was promoted into it."""
    promoted = any(ended.release == status.live and ended.how == "promoted" for ended in status.ended)
    return Stage.PRODUCTION if promoted else Stage.CONCEPT


def _next(
    status: UseCaseStatus,
    decision: Decision,
    rollout: RolloutStatus | None,
    phase: Phase,
    *,
    paused: bool | None = None,
) -> UseCaseStatus:
    if rollout is not None:
        readings = msgspec.convert(decision.detail.get("readings", {}), dict[str, Reading])
        rollout = msgspec.structs.replace(
            rollout,
            phase=phase,
            readings={**rollout.readings, **readings},
            looks={**rollout.looks, **decision.detail.get("looks", {})},
            last=decision,
        )
    return msgspec.structs.replace(
        status,
        version=status.version + 1,
        rollout=rollout if rollout is not None else status.rollout,
        paused=status.paused if paused is None else paused,
    )


def _allocated(rollout: RolloutStatus) -> RolloutStatus:
    """Count one more allocation: exposure records say under which one a unit was assigned."""
    return msgspec.structs.replace(rollout, generation=rollout.generation + 1)


def _promoted(status: UseCaseStatus, decision: Decision) -> UseCaseStatus:
    ended = Ended(release=status.candidate, how="promoted", at=decision.at, reason=decision.reason)
    return msgspec.structs.replace(
        status,
        previous=status.live,
        live=status.candidate,
        candidate="",
        stage=Stage.PRODUCTION,
        stage_since=decision.at,
        ended=(*status.ended, ended),
    )


def _without_candidate(status: UseCaseStatus, how: str, decision: Decision) -> UseCaseStatus:
    ended = Ended(release=status.candidate, how=how, at=decision.at, reason=decision.reason)
    return msgspec.structs.replace(
        status, candidate="", stage=resting_stage(status), stage_since=decision.at, ended=(*status.ended, ended)
    )


def _must(holds: bool, fault: str, hint: str = "") -> None:
    if not holds:
        raise Refused(fault, hint=hint)


def _seen(spec: UseCase, rollout: RolloutStatus, names: list[str]) -> str:
    metrics, currency = judged(spec), currency_of(spec)
    return "; ".join(
        difference_text(name, metrics[name], rollout.readings[name], currency) for name in names if name in metrics
    )


def _harm(spec: UseCase, names: list[str]) -> str:
    margins = {name: guardrail for name, guardrail in judged(spec).items() if name in names}
    return f"shown worse than the margin of {list_text(list(margins))}"


def _met(spec: UseCase, rollout: RolloutStatus) -> str:
    """Say what the readings of this step showed."""
    step = spec.rollout.steps[rollout.step]
    names = [name for name, reading in rollout.readings.items() if "prove" not in step.demands or reading.proved]
    units = min((reading.units for reading in rollout.readings.values()), default=0)
    shown = (
        "no guardrail shows harm"
        if "prove" not in step.demands
        else "every guardrail is shown to be no worse and every goal better"
    )
    return f"{shown}; {_seen(spec, rollout, names)}; at {units_text(units, spec)} or more"


def _detail(rollout: RolloutStatus, taken: dict[str, Reading], split: dict[str, int]) -> dict[str, Any]:
    looks = {**{name: rollout.looks[name] for name in taken}, **split}
    detail: dict[str, Any] = {"rollout": rollout.id, "step": rollout.step, "share": rollout.share}
    if looks:
        detail["looks"] = looks
        detail["readings"] = msgspec.to_builtins(taken)
    return detail
