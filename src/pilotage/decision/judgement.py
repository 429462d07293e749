"""What to do with a running rollout, given what its statistics say. Nothing here computes one of them.

The order is what keeps users safe: harm first (also while paused, also on late or lost data), then a split that is not
as it was set; only what is neither paused nor blind may be given up as futile or go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.decision.demands import above_budget, blindness, numbers, unproven, waits
from pilotage.decision.gate import best, door_of
from pilotage.decision.parity import unequal
from pilotage.decision.sample_ratio import broken_split
from pilotage.decision.verdict import guardrails, judged
from pilotage.decision.wording import currency_of, difference_text, list_text, share_text, units_text, variant_of
from pilotage.status import Action, Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pilotage.decision.findings import Findings
    from pilotage.decision.observation import Observation
    from pilotage.records import Approval, Evidence
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus, UseCaseStatus


class Case(NamedTuple):
    """Everything that one judgement reads."""

    spec: UseCase
    status: UseCaseStatus
    rollout: RolloutStatus
    findings: Findings
    observation: Observation
    approvals: Sequence[Approval]
    evidence: Sequence[Evidence]
    now: int


class Judgement(NamedTuple):
    """What to do and why; with which candidate where it is about one alone, and how that one ends."""

    action: Action
    reason: str
    release: str = ""
    how: str = ""


def judge(case: Case) -> Decision:
    """Return what is done now with a rollout under way, and why, in words with numbers.

    `detail` holds the readings by candidate, the candidate that is dropped or promoted (`release`), how a dropped one
    ends (`how`), and with a pause the splits that are pardoned once somebody lets them go on (`splits`).
    """
    found = _harmed(case) or _paused(case) or _held(case) or _futile(case) or _onward(case)
    rollout, findings = case.rollout, case.findings
    detail: dict[str, Any] = {
        "rollout": rollout.id,
        "step": rollout.step,
        "share": rollout.share,
        "readings": msgspec.to_builtins(findings.readings),
    }
    if case.spec.fairness.segments:
        detail["parity"] = msgspec.to_builtins(findings.parity)
    if found.release:
        detail["release"] = found.release
    if found.how:
        detail["how"] = found.how
    if found.action is Action.PAUSE:
        detail["splits"] = {mismatch.release: mismatch.log_e for mismatch in findings.broken}
    return Decision(action=found.action, reason=found.reason, at=case.now, detail=detail)


def _harmed(case: Case) -> Judgement | None:
    found = _those(case, lambda reading: reading.harmed)
    if not found:
        return None
    said = {release: [*_shown(case, release, names), _harm(case.spec, names)] for release, names in found.items()}
    return _ended(case, said, Action.ROLL_BACK, f"Rolled back from {_at(case)}")


def _paused(case: Case) -> Judgement | None:
    if case.status.paused:
        return None
    broken = broken_split(case.spec, case.rollout, case.findings)
    return Judgement(Action.PAUSE, f"Paused at {_at(case)}: {broken}") if broken else None


def _held(case: Case) -> Judgement | None:
    if case.status.paused:
        return _hold(case, [f"paused; `pilotage resume {case.spec.name}` lets it go on"])
    blind = blindness(case.spec, case.observation, case.findings)
    return _hold(case, blind) if blind else None


def _futile(case: Case) -> Judgement | None:
    found = _those(case, lambda reading: reading.futile)
    if not found:
        return None
    missed = "shown to miss the smallest effect that matters"
    said = {release: [*_shown(case, release, names), missed] for release, names in found.items()}
    return _ended(case, said, Action.FUTILE, f"Given up at {_at(case)}")


def _onward(case: Case) -> Judgement:
    spec, rollout, known = case.spec, case.rollout, case.findings
    proves = "prove" in spec.rollout.steps[rollout.step].demands
    few = {
        release: [
            *numbers(spec, rollout, _readings(case, release), heard=known.heard),
            *unequal(spec, known.parity.get(release, {})),
        ]
        for release in rollout.remaining
    }
    open_yet = {
        release: unproven(spec, _readings(case, release), now=case.now, expected=known.expected.get(release))
        if proves
        else []
        for release in rollout.remaining
    }
    common = waits(spec, case.status, rollout, approvals=case.approvals, now=case.now)
    if rollout.step < len(rollout.shares) - 1:
        budget = above_budget(spec, rollout, known)
        common += [budget] if budget else []
        if not common and not any(few.values()) and not all(open_yet.values()):
            further = share_text(rollout.shares[rollout.step + 1])
            met = _met(case, [release for release, missing in open_yet.items() if not missing])
            return Judgement(Action.ADVANCE, f"Advanced from {_at(case)} to {further}: {met}.")
    elif not common:
        ready = [release for release in rollout.remaining if not few[release] and not open_yet[release]]
        if ready:
            return _at_the_door(case, ready)
    said = {}
    for release in rollout.remaining:
        proved = [name for name, reading in _readings(case, release).items() if reading.proved]
        said[release] = [*_shown(case, release, proved), *few[release], *open_yet[release]]
    return _hold(case, [*_named(case, said), *common])


def _at_the_door(case: Case, ready: Sequence[str]) -> Judgement:
    """Promote the best of those that the ramp demands nothing more of, if the gate into production lets it through."""
    spec, status, known = case.spec, case.status, case.findings.readings
    doors = {
        release: door_of(
            spec,
            status,
            release,
            evidence=case.evidence,
            approvals=case.approvals,
            now=case.now,
            readings=known,
            rules=case.observation.rules,
        )
        for release in ready
    }
    chosen = best(spec, status, [release for release, door in doors.items() if door.open], known)
    if not chosen:
        nearest = min(doors.values(), key=lambda door: len(door.closed_by))
        return Judgement(
            Action.HOLD, f"Held at {_at(case)}: {' '.join(criterion.says for criterion in nearest.closed_by)}"
        )
    others = [variant_of(release) for release in case.rollout.remaining if release != chosen]
    who = f" {variant_of(chosen)}" if case.rollout.rivals else ""
    over = f"; {list_text(others)} not chosen" if others else ""
    return Judgement(Action.PROMOTE, f"Promoted{who} from {_at(case)}: {_met(case, [chosen])}{over}.", chosen)


def _ended(case: Case, said: Mapping[str, list[str]], action: Action, whole: str) -> Judgement:
    """End the rollout where this is said of every candidate that is left; else drop the first of which it is."""
    if len(said) == len(case.rollout.remaining):
        return Judgement(action, f"{whole}: {'; '.join(_named(case, said))}.")
    release = next(iter(said))
    left = [variant_of(other) for other in case.rollout.remaining if other != release]
    goes_on = f"{list_text(left)} {'goes' if len(left) == 1 else 'go'} on"
    reason = f"Dropped {variant_of(release)} at {_at(case)}: {', '.join(said[release])}; {goes_on}."
    how = "rolled_back" if action is Action.ROLL_BACK else "futile"
    return Judgement(Action.DROP, reason, release, how)


def _hold(case: Case, why: Sequence[str]) -> Judgement:
    return Judgement(Action.HOLD, f"Held at {_at(case)}: {'; '.join(why)}.")


def _met(case: Case, releases: Sequence[str]) -> str:
    """Say what these candidates have shown of what the step demands."""
    proves = "prove" in case.spec.rollout.steps[case.rollout.step].demands
    said, units = {}, []
    for release in releases:
        readings = _readings(case, release)
        units += [reading.units for reading in readings.values()]
        said[release] = _shown(
            case, release, [name for name, reading in readings.items() if reading.proved or not proves]
        )
    shown = "every guardrail is shown to be no worse and every goal better" if proves else "no guardrail shows harm"
    return f"{'; '.join([shown, *_named(case, said)])}; at {units_text(min(units, default=0), case.spec)} or more"


def _named(case: Case, said: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what is said of each candidate, with its name where the rollout began with several."""
    if not case.rollout.rivals:
        return [words for parts in said.values() for words in parts]
    return [f"{variant_of(release)}: {', '.join(parts)}" for release, parts in said.items() if parts]


def _those(case: Case, so: Callable[[Reading], bool]) -> dict[str, list[str]]:
    """Return the metrics of which this is so, by candidate; candidates without any are left out."""
    found = {
        release: [name for name, reading in _readings(case, release).items() if so(reading)]
        for release in case.rollout.remaining
    }
    return {release: names for release, names in found.items() if names}


def _shown(case: Case, release: str, names: Sequence[str]) -> list[str]:
    """Say what these metrics show of a candidate, in figures."""
    metrics, currency, readings = judged(case.spec), currency_of(case.spec), _readings(case, release)
    return [difference_text(name, metrics[name], readings[name], currency) for name in names]


def _harm(spec: UseCase, names: Sequence[str]) -> str:
    zero = any(guardrails(spec)[name].rollback_at == "zero" for name in names)
    return f"shown worse {'in' if zero else 'than the margin of'} {list_text(list(names))}"


def _readings(case: Case, release: str) -> Mapping[str, Reading]:
    return case.findings.readings.get(release, {})


def _at(case: Case) -> str:
    return share_text(case.rollout.share)
