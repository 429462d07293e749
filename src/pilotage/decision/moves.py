"""What people move: a candidate from stage to stage, a live release back, a use case into retirement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.demands import shares_of
from pilotage.decision.transition import UNDER_WAY, resting_stage
from pilotage.errors import Conflict, Refused
from pilotage.status import Action, Decision, Ended, Phase, RolloutStatus, Stage, UseCaseStatus

if TYPE_CHECKING:
    from pilotage.spec.use_case import UseCase


def rolling_out(status: UseCaseStatus) -> bool:
    return status.rollout is not None and status.rollout.phase in UNDER_WAY


def forward(spec: UseCase, status: UseCaseStatus, *, rollout: str, now: int) -> UseCaseStatus:
    """Return the status with the candidate one stage on; entering canary starts the rollout with this id.

    The gate is the caller's to judge. The step into production is not here: only a decision on a rollout takes it.
    """
    if not status.candidate:
        raise Refused(f"{status.use_case} has no candidate", hint="name one in usecase.toml and apply the folder")
    if status.paused:
        raise Refused(f"{status.use_case} is paused", hint=f"`pilotage resume {status.use_case}` first")
    road = {Stage.CONCEPT: Stage.POC, Stage.POC: Stage.STAGING, Stage.STAGING: Stage.CANARY}
    if status.stage not in road:
        raise Refused(f"{status.use_case} is in {status.stage}; no stage follows that is entered this way")
    after = msgspec.structs.replace(status, version=status.version + 1, stage=road[status.stage], stage_since=now)
    if after.stage is not Stage.CANARY:
        return after
    ramp = RolloutStatus(
        id=rollout,
        candidate=status.candidate,
        baseline=status.live,
        shares=shares_of(spec),
        started=now,
        step_since=now,
    )
    return msgspec.structs.replace(after, rollout=ramp)


def registered(spec: UseCase, live: str, candidate: str, *, now: int) -> UseCaseStatus:
    """Return the first status: what exists today serves at once, the candidate waits in concept."""
    return UseCaseStatus(
        use_case=spec.name,
        charter=spec.charter,
        version=1,
        live=live,
        candidate=candidate if candidate != live else "",
        stage_since=now,
    )


def reregistered(
    status: UseCaseStatus, *, charter: str, candidate: str | None, status_quo: str, now: int
) -> UseCaseStatus:
    """Return the status after the folder changed: `candidate` is None where the file still names the same release.

    Another release starts in concept, and so does any candidate whose charter changed, for its evidence is void.
    """
    if rolling_out(status) and (charter != status.charter or candidate is not None):
        raise Conflict(
            f"{status.use_case} has a rollout under way, which would no longer be what its file says",
            hint=f"let it finish, or `pilotage rollback {status.use_case}` first; nothing was registered",
        )
    after = msgspec.structs.replace(status, version=status.version + 1, charter=charter, live=status.live or status_quo)
    named = after.candidate if candidate is None else candidate
    if named == after.live:
        named = ""
    changed = named != after.candidate
    if changed and after.candidate:
        how = "replaced" if named else "withdrawn"
        ended = Ended(release=after.candidate, how=how, at=now, reason="the folder was applied again")
        after = msgspec.structs.replace(after, ended=(*after.ended, ended))
    if not changed and (charter == status.charter or not named):
        return after
    stage = Stage.CONCEPT if named else resting_stage(after)
    return msgspec.structs.replace(after, candidate=named, stage=stage, stage_since=now)


def live_rolled_back(status: UseCaseStatus, *, reason: str, actor: str, now: int) -> UseCaseStatus:
    """Return the status with the release that was live before serving again."""
    if not status.previous:
        raise Refused(
            f"{status.use_case} has no earlier release to go back to",
            hint="apply a folder that names a candidate, or retire the use case",
        )
    ended = Ended(release=status.live, how="rolled_back", at=now, reason=reason)
    rollout = status.rollout
    if rollout is not None and rollout.candidate == status.live:
        last = Decision(action=Action.ROLL_BACK, reason=reason, at=now, actor=actor)
        rollout = msgspec.structs.replace(rollout, phase=Phase.ROLLED_BACK, last=last)
    after = msgspec.structs.replace(
        status,
        version=status.version + 1,
        live=status.previous,
        previous="",
        rollout=rollout,
        ended=(*status.ended, ended),
    )
    if after.candidate:
        return after
    return msgspec.structs.replace(after, stage=resting_stage(after), stage_since=now)


def retired(status: UseCaseStatus, *, reason: str, now: int) -> UseCaseStatus:
    """Return the status of a use case that serves nothing any more."""
    if status.retired:
        raise Refused(f"{status.use_case} is retired already")
    if rolling_out(status):
        raise Conflict(
            f"{status.use_case} has a rollout under way", hint=f"`pilotage rollback {status.use_case}` first"
        )
    gone = tuple(
        Ended(release=release, how="retired", at=now, reason=reason)
        for release in (status.live, status.candidate)
        if release
    )
    return msgspec.structs.replace(
        status,
        version=status.version + 1,
        live="",
        candidate="",
        previous="",
        stage=Stage.RETIRED,
        stage_since=now,
        paused=False,
        retired=True,
        ended=(*status.ended, *gone),
    )
