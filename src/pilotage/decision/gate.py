"""Gates: what stands before each stage, judged on evidence, on the rollout and on approvals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.decision.approval import approvals_wanted, approvers, waivers
from pilotage.decision.charter import charter_criteria
from pilotage.decision.criterion import CriterionResult, Gate
from pilotage.decision.measured import grounds, lasts, measured_criteria, measured_line, newest
from pilotage.decision.proof import rollout_criteria
from pilotage.decision.risk import risk_criteria
from pilotage.decision.rules import NO_RULES, Rules
from pilotage.decision.ruling import policy_criteria, production_criteria
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import time_text, variant_of
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pilotage.decision.parity import Parity
    from pilotage.records import Approval, Evidence
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, UseCaseStatus

    Readings = Mapping[str, Mapping[str, Reading]]
    Parities = Mapping[str, Mapping[str, Mapping[str, Parity]]]


class Basis(NamedTuple):
    """What a gate is judged on, beside the use case and where it stands."""

    evidence: Sequence[Evidence]
    approvals: Sequence[Approval]
    rules: Rules
    now: int


def next_stage(stage: Stage) -> Stage:
    """Return the stage after this one; a live use case's next candidate starts the road again at poc."""
    if stage not in ROAD or stage is Stage.PRODUCTION:
        return Stage.POC
    return ROAD[ROAD.index(stage) + 1]


def gate(
    spec: UseCase,
    status: UseCaseStatus,
    stage: Stage,
    *,
    evidence: Sequence[Evidence],
    approvals: Sequence[Approval],
    now: int,
    readings: Readings | None = None,
    parity: Parities | None = None,
    rules: Rules = NO_RULES,
) -> Gate:
    """Judge the gate before `stage` for everything that is on its way. Absent evidence never opens it.

    Where there are several candidates, each must pass, and its lines bear its name. Only into production goes one alone:
    the gate is then that of the best for which it is open, else of the one that lacks least. `readings` are by candidate
    and metric, `parity` by candidate, group and metric; without them, those of the newest recorded decision count. `rules` are the organisation's.
    """
    if stage is not Stage.PRODUCTION:
        basis = Basis(evidence, approvals, rules, now)
        charter = charter_criteria(spec, rules.require) if stage is Stage.POC else []
        lines = _waived(status, stage, status.candidate, charter, basis)
        for release in status.candidates:
            measured = _evidenced(spec, status, stage, release, basis)
            lines += _of(status, release, _waived(status, stage, release, measured, basis))
        return _closing(spec, status, stage, lines, basis)
    doors = {
        release: door_of(
            spec,
            status,
            release,
            evidence=evidence,
            approvals=approvals,
            now=now,
            readings=readings,
            parity=parity,
            rules=rules,
        )
        for release in status.candidates
    }
    release = best(spec, status, [one for one, door in doors.items() if door.open], readings)
    if not release:
        release = min(doors, key=lambda one: len(doors[one].closed_by))
    return doors[release]


def door_of(
    spec: UseCase,
    status: UseCaseStatus,
    release: str,
    *,
    evidence: Sequence[Evidence],
    approvals: Sequence[Approval],
    now: int,
    readings: Readings | None = None,
    parity: Parities | None = None,
    rules: Rules = NO_RULES,
) -> Gate:
    """Judge the gate into production for one of the candidates."""
    known = _readings(status, readings).get(release, {})
    even = (parity or {}).get(release)
    lines = rollout_criteria(spec, status, release, known, approvals=approvals, now=now, parity=even)
    basis = Basis(evidence, approvals, rules, now)
    measured = _evidenced(spec, status, Stage.PRODUCTION, release, basis)
    lines += _waived(status, Stage.PRODUCTION, release, measured, basis)
    named = [*_of(status, release, lines), *production_criteria(spec, rules)]
    door = _closing(spec, status, Stage.PRODUCTION, named, basis)
    return msgspec.structs.replace(door, release=release)


def best(spec: UseCase, status: UseCaseStatus, releases: Sequence[str], readings: Readings | None = None) -> str:
    """Return the release whose first goal is the best, an earlier one where it is no better; empty for none."""
    known = _readings(status, readings)
    goal, found, top = next(iter(spec.goals.items()), None), "", -math.inf
    for release in releases:
        reading = known.get(release, {}).get(goal[0]) if goal else None
        value = 0.0 if reading is None or goal is None else reading.value * (1 if goal[1].direction == "up" else -1)
        if not found or value > top:
            found, top = release, value
    return found


def _readings(status: UseCaseStatus, readings: Readings | None) -> Readings:
    if readings is not None:
        return readings
    rollout = status.rollout
    return {rollout.remaining[0]: rollout.readings} if rollout is not None and rollout.remaining else {}


def _of(status: UseCaseStatus, release: str, lines: Sequence[CriterionResult]) -> Iterator[CriterionResult]:
    """Yield a candidate's lines, with its name where there are several."""
    variant = variant_of(release)
    for line in lines:
        named = msgspec.structs.replace(line, name=f"{variant}: {line.name}", says=f"{variant}: {line.says}")
        yield named if status.rivals else line


def _evidenced(spec: UseCase, status: UseCaseStatus, stage: Stage, release: str, basis: Basis) -> list[CriterionResult]:
    variant = variant_of(release) if status.rivals else ""
    since = basis.now - lasts(spec, basis.rules)
    return [
        measured_line(
            spec,
            stage,
            measure,
            criterion,
            newest(basis.evidence, status, measure, release, since=since),
            variant=variant,
        )
        for measure, criterion in measured_criteria(spec, status, stage, basis.rules).items()
    ]


def _waived(
    status: UseCaseStatus, stage: Stage, release: str, lines: Sequence[CriterionResult], basis: Basis
) -> list[CriterionResult]:
    """Return a candidate's lines, those that somebody waived as such; one on other evidence than it was given on is not."""
    rules, now = basis.rules, basis.now
    given = waivers(status, stage.value, release, basis.approvals, now)
    found = []
    for line in lines:
        waiver = given.get(line.name)
        holds = waiver is not None and waiver.evidence == (line.evidence or "") and rules.may_waive(stage, line.name)
        if waiver is None or not holds or line.verdict is Verdict.PASS:
            found.append(line)
            continue
        who, until = waiver.person or waiver.actor, time_text(waiver.expires, now)
        says = f"{line.says} Waived by {who} until {until}: {waiver.reason}"
        found.append(msgspec.structs.replace(line, verdict=Verdict.WAIVED, says=says, opens_with=""))
    return found


def _closing(spec: UseCase, status: UseCaseStatus, stage: Stage, lines: list[CriterionResult], basis: Basis) -> Gate:
    """Return the gate with what stands before every stage: risks, the organisation's rules, people's yes."""
    rules, now = basis.rules, basis.now
    said = {line.name for line in lines if line.verdict is not Verdict.PASS}
    more = [line for line in risk_criteria(spec, rules) if line.name not in said]
    more += policy_criteria(rules)
    if approvals_wanted(spec, stage, rules):
        bound = grounds(spec, status, stage, basis.evidence, rules=rules, now=now)
        given = approvers(status, stage.value, basis.approvals, now=now, grounds=bound)
        more.append(_approved(spec, status, stage, given, rules))
    names = {line.name for line in more}
    return Gate(stage=stage, criteria=(*(line for line in lines if line.name not in names), *more))


def _approved(spec: UseCase, status: UseCaseStatus, stage: Stage, who: set[str], rules: Rules) -> CriterionResult:
    wanted = approvals_wanted(spec, stage, rules)
    given = len(who)
    people = "person" if wanted == 1 else "people"
    what = "these releases" if status.rivals else "this release"
    says = f"{given} of {wanted} {people} approved {what} for {stage}."
    absent = {one: names for one, names in rules.approvers.get(stage.value, {}).items() if who.isdisjoint(names)}
    if given >= wanted and not absent:
        return CriterionResult(name="approvals", verdict=Verdict.PASS, says=says, value=given)
    asked = "; ".join(f"{one} ({', '.join(names) or 'nobody'})" for one, names in absent.items())
    if asked:
        says += f" Not among them yet: {asked}."
    more = max(wanted - given, len(absent))
    opens_with = f"{more} more must run `pilotage approve {spec.name}`; the release's author cannot."
    return CriterionResult(name="approvals", verdict=Verdict.MISSING, says=says, opens_with=opens_with, value=given)
