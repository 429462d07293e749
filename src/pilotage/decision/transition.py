"""The rollout's state machine: `decide` says what to do next, `follow` does it to the status. Both are pure.

Same inputs, same decision, so any decision can be made again from the ledger and the recorded batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.findings import findings
from pilotage.decision.judgement import Case, judge
from pilotage.decision.wording import share_text
from pilotage.errors import Refused
from pilotage.status import (
    Action,
    Allocated,
    Decision,
    Ended,
    Phase,
    Reading,
    RolloutStatus,
    Stage,
    UseCaseStatus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.decision.observation import Observation
    from pilotage.decision.statistics import Statistics
    from pilotage.records import Approval, Evidence
    from pilotage.spec.use_case import UseCase

UNDER_WAY = (Phase.RUNNING, Phase.PAUSED)
ENDINGS = {
    Action.ROLL_BACK: (Phase.ROLLED_BACK, "rolled_back"),
    Action.FUTILE: (Phase.FUTILE, "futile"),
}
NOT_CHOSEN = "not_chosen"
"""How candidates end beside which another one was promoted."""


def decide(  # noqa: PLR0917 (what a decision is made on, in the order in which it is told)
    spec: UseCase,
    status: UseCaseStatus,
    statistics: Statistics,
    observation: Observation,
    approvals: Sequence[Approval],
    now: int,
    *,
    evidence: Sequence[Evidence] = (),
) -> Decision:
    """Return what the controller does now with a running rollout, and why, in words with numbers.

    `approvals` and `evidence` are those of the candidates; `evidence` matters only where the file sets bounds of its own
    before production. `detail` holds the readings that it was made on, by candidate.
    """
    rollout = status.rollout
    if rollout is None or rollout.phase not in UNDER_WAY:
        return Decision(action=Action.HOLD, reason="No rollout is running.", at=now)
    if observation.rollout != rollout.id:
        reason = f"Held: what was observed belongs to rollout {observation.rollout}, not to {rollout.id}."
        return Decision(action=Action.HOLD, reason=reason, at=now)
    found = findings(statistics, spec, rollout, now)
    return judge(Case(spec, status, rollout, found, observation, approvals, evidence, now))


def worth_recording(decision: Decision) -> bool:
    """Return whether a decision changes anything."""
    return decision.action is not Action.HOLD


def follow(status: UseCaseStatus, decision: Decision) -> UseCaseStatus:
    """Return the status after a decision, one version on; raise Refused where the decision does not fit the state."""
    rollout = status.rollout if status.rollout is not None and status.rollout.phase in UNDER_WAY else None
    if decision.action in (Action.PAUSE, Action.RESUME):
        return _paused_or_resumed(status, rollout, decision)
    if rollout is None:
        raise Refused(f"{status.use_case} has no rollout that is running", hint="a rollout starts when canary begins")
    last = rollout.step == len(rollout.shares) - 1
    match decision.action:
        case Action.HOLD:
            return _next(status, decision, rollout)
        case Action.ADVANCE:
            _must(not status.paused, f"{status.use_case} is paused", "resume it first")
            _must(not last, f"{share_text(rollout.share)} is the last step", "after it comes production")
            rollout = msgspec.structs.replace(rollout, step=rollout.step + 1, step_since=decision.at)
            return _next(status, decision, allocated(rollout, decision.at))
        case Action.DROP:
            release, how = str(decision.detail.get("release", "")), str(decision.detail.get("how", "rolled_back"))
            _must(release in rollout.remaining, f"{release or 'nothing'} is no candidate of this rollout any more")
            _must(len(rollout.remaining) > 1, f"{release} is the last candidate", "roll the rollout back")
            rollout = msgspec.structs.replace(rollout, out={**rollout.out, release: how})
            after = _next(status, decision, allocated(rollout, decision.at))
            return _ended(after, decision, {release: how})
        case Action.PROMOTE:
            _must(not status.paused, f"{status.use_case} is paused", "resume it first")
            _must(last, f"step {rollout.step + 1} is not the last of {len(rollout.shares)}", "advance first")
            return _promoted(status, rollout, decision)
        case Action.ROLL_BACK | Action.FUTILE:
            phase, how = ENDINGS[decision.action]
            rollout = msgspec.structs.replace(rollout, phase=phase)
            after = _next(status, decision, allocated(rollout, decision.at), paused=False)
            return _ended(after, decision, dict.fromkeys(rollout.remaining, how))


def allocated(rollout: RolloutStatus, at: int) -> RolloutStatus:
    """Return the rollout with the split that its state now asks for: the next of its allocations, in force from `at`."""
    generation = rollout.allocations[-1].generation + 1 if rollout.allocations else rollout.generation
    split = Allocated(
        generation=generation, step=rollout.step, share=rollout.share, at=at, out=tuple(sorted(rollout.out))
    )
    return msgspec.structs.replace(rollout, generation=generation, allocations=(*rollout.allocations, split))


def resting_stage(status: UseCaseStatus) -> Stage:
    """Return the stage of a use case without a candidate: production once a release was promoted into it."""
    promoted = any(ended.release == status.live and ended.how == "promoted" for ended in status.ended)
    return Stage.PRODUCTION if promoted else Stage.CONCEPT


def _next(
    status: UseCaseStatus, decision: Decision, rollout: RolloutStatus | None, *, paused: bool | None = None
) -> UseCaseStatus:
    if rollout is not None:
        rollout = msgspec.structs.replace(rollout, readings=_told(rollout, decision), last=decision)
    return msgspec.structs.replace(
        status,
        version=status.version + 1,
        rollout=rollout if rollout is not None else status.rollout,
        paused=status.paused if paused is None else paused,
    )


def _told(rollout: RolloutStatus, decision: Decision) -> Mapping[str, Reading]:
    """Return the readings that the status shows: of whom was promoted, else of the first that is still in it."""
    known = msgspec.convert(decision.detail.get("readings", {}), dict[str, dict[str, Reading]])
    promoted = decision.detail.get("release") if decision.action is Action.PROMOTE else None
    return known.get(promoted or next(iter(rollout.remaining), rollout.candidate), rollout.readings)


def _paused_or_resumed(status: UseCaseStatus, rollout: RolloutStatus | None, decision: Decision) -> UseCaseStatus:
    """Return the status paused or running again, with what is known of the splits pardoned."""
    pauses = decision.action is Action.PAUSE
    if pauses:
        _must(not status.paused, f"{status.use_case} is paused already")
        _must(bool(status.candidate), f"{status.use_case} has no candidate on its way", "there is nothing to pause")
    else:
        _must(status.paused, f"{status.use_case} is not paused", "pause comes first")
    if rollout is not None:
        pardoned = {**rollout.pardoned, **decision.detail.get("splits", {})}
        phase = Phase.PAUSED if pauses else Phase.RUNNING
        rollout = msgspec.structs.replace(rollout, phase=phase, pardoned=pardoned)
    return _next(status, decision, rollout, paused=pauses)


def _promoted(status: UseCaseStatus, rollout: RolloutStatus, decision: Decision) -> UseCaseStatus:
    release = str(decision.detail.get("release", "")) or status.candidate
    _must(release in rollout.remaining, f"{release} is no candidate of this rollout any more")
    others = dict.fromkeys((other for other in rollout.remaining if other != release), NOT_CHOSEN)
    rollout = msgspec.structs.replace(rollout, phase=Phase.PROMOTED, out={**rollout.out, **others})
    after = _next(status, decision, allocated(rollout, decision.at))
    after = msgspec.structs.replace(after, previous=status.live, live=release, live_since=decision.at)
    return _ended(after, decision, {release: "promoted", **others})


def _ended(status: UseCaseStatus, decision: Decision, how: Mapping[str, str]) -> UseCaseStatus:
    """Return the status after these releases' ways have ended; whoever is left goes on."""
    ended = tuple(
        Ended(release=release, how=one, at=decision.at, reason=decision.reason) for release, one in how.items()
    )
    left = [release for release in status.candidates if release not in how]
    after = msgspec.structs.replace(
        status,
        candidate=left[0] if left else "",
        rivals=tuple(left[1:]),
        ended=(*status.ended, *ended),
    )
    if left:
        return after
    return msgspec.structs.replace(after, stage=resting_stage(after), stage_since=decision.at)


def _must(holds: bool, fault: str, hint: str = "") -> None:
    if not holds:
        raise Refused(fault, hint=hint)
