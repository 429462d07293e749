"""What people move: a candidate from stage to stage, a live release back, a use case into retirement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.demands import shares_of
from pilotage.decision.transition import UNDER_WAY, allocated, resting_stage
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
        rivals=status.rivals,
        baseline=status.live,
        shares=shares_of(spec),
        started=now,
        step_since=now,
    )
    return msgspec.structs.replace(after, rollout=allocated(ramp, now))


def registered(spec: UseCase, live: str, candidate: str, *, rivals: tuple[str, ...] = (), now: int) -> UseCaseStatus:
    """Return the first status: what exists today serves at once, the candidates wait in concept."""
    named = [release for release in (candidate, *rivals) if release and release != live]
    return UseCaseStatus(
        use_case=spec.name,
        charter=spec.charter,
        version=1,
        live=live,
        live_since=now if live else 0,
        candidate=named[0] if named else "",
        rivals=tuple(named[1:]),
        stage_since=now,
    )


def on_their_way(status: UseCaseStatus, named: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the releases that the file names are candidates now, given those that it named before.

    A file that names the same goes on with who is left. Where it names others, what failed before stays ended all the
    same: it takes a change to that release to try it again.
    """
    if named == before:
        return tuple(release for release in named if release in status.candidates)
    failed = {ended.release for ended in status.ended if ended.how in ("rolled_back", "futile")}
    return tuple(release for release in named if release in status.candidates or release not in {*before} & failed)


def reregistered(
    status: UseCaseStatus, *, charter: str, candidates: tuple[str, ...], status_quo: str, now: int
) -> UseCaseStatus:
    """Return the status after the folder changed: `candidates` are those on their way now, the first of them first.

    With a release that was not among them before, all start in concept, for the gates take them together. So do all
    whose charter changed, for their evidence is void.
    """
    if rolling_out(status) and (charter != status.charter or candidates != status.candidates):
        raise Conflict(
            f"{status.use_case} has a rollout under way, which would no longer be what its file says",
            hint=f"let it finish, or `pilotage rollback {status.use_case}` first; nothing was registered",
        )
    after = msgspec.structs.replace(status, version=status.version + 1, charter=charter, live=status.live or status_quo)
    if after.live != status.live:
        after = msgspec.structs.replace(after, live_since=now)
    named = tuple(release for release in candidates if release != after.live)
    how = "replaced" if named else "withdrawn"
    gone = tuple(
        Ended(release=release, how=how, at=now, reason="the folder was applied again")
        for release in status.candidates
        if release not in named
    )
    after = msgspec.structs.replace(
        after, candidate=named[0] if named else "", rivals=named[1:], ended=(*status.ended, *gone)
    )
    if not named:
        return after if not gone else msgspec.structs.replace(after, stage=resting_stage(after), stage_since=now)
    if charter == status.charter and set(named) <= set(status.candidates):
        return after
    return msgspec.structs.replace(after, stage=Stage.CONCEPT, stage_since=now)


def live_rolled_back(status: UseCaseStatus, *, reason: str, actor: str, now: int) -> UseCaseStatus:
    """Return the status with the release that was live before serving again."""
    if not status.previous:
        raise Refused(
            f"{status.use_case} has no earlier release to go back to",
            hint="apply a folder that names a candidate, or retire the use case",
        )
    ended = Ended(release=status.live, how="rolled_back", at=now, reason=reason)
    rollout = status.rollout
    if rollout is not None and rollout.phase is Phase.PROMOTED and status.live in rollout.remaining:
        last = Decision(action=Action.ROLL_BACK, reason=reason, at=now, actor=actor)
        rollout = msgspec.structs.replace(rollout, phase=Phase.ROLLED_BACK, last=last)
    after = msgspec.structs.replace(
        status,
        version=status.version + 1,
        live=status.previous,
        live_since=now,
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
        for release in (status.live, *status.candidates)
        if release
    )
    return msgspec.structs.replace(
        status,
        version=status.version + 1,
        live="",
        candidate="",
        rivals=(),
        previous="",
        stage=Stage.RETIRED,
        stage_since=now,
        paused=False,
        retired=True,
        ended=(*status.ended, *gone),
    )
