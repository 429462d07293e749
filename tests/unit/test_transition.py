"""The rollout's state machine: what it decides on given readings, in which words, and what it never does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.clock import DAY, HOUR, MINUTE, SECOND
from pilotage.decision import moves
from pilotage.decision.approval import step_stage
from pilotage.decision.batch import BASELINE, Batch, Cell
from pilotage.decision.exposure import Mismatch
from pilotage.decision.findings import Findings, findings
from pilotage.decision.judgement import Case, judge
from pilotage.decision.observation import Observation
from pilotage.decision.statistics import after, begin
from pilotage.decision.transition import allocated, decide, follow, worth_recording
from pilotage.decision.verdict import judged
from pilotage.errors import Conflict, Refused
from pilotage.records import Approval
from pilotage.spec.use_case import UseCase
from pilotage.status import Action, Allocated, Decision, Phase, Reading, RolloutStatus, Stage, UseCaseStatus

NOW = 1_790_000_000 * SECOND
"""Mon 21 September 2026, 14:13:20 UTC."""
LIVE = "support/faq@000000000000"
A, B, C = "support/a@111111111111", "support/b@222222222222", "support/c@333333333333"


def use_case(*demands: list[str], shares: tuple[float, ...] = (5, 25, 50, 75), **more: Any) -> UseCase:
    rollout = {"steps": [{"share": shares[i], "demands": d} for i, d in enumerate(demands)], "minimum_units": 50}
    tables = {
        "name": "support",
        "owner": "Ada",
        "candidate": "a",
        "goals": {"resolved": {"today": 0.5, "target": 0.6, "minimum_effect": 0.02}},
        "guardrails": {"complaints": {"direction": "down", "margin": 0.05}},
        "variants": {name: {"upstream": "search"} for name in ("faq", "a", "b", "c")},
        **more,
        "rollout": {"minimum_duration": "0s", **rollout, **more.get("rollout", {})},
    }
    return UseCase.model_validate(tables)


def status_of(spec: UseCase, *, step: int = 0, live: str = LIVE, rivals: tuple[str, ...] = ()) -> UseCaseStatus:
    shares = tuple(round(s.share * 10_000) for s in spec.rollout.steps)
    rollout = RolloutStatus(
        id="r1", candidate=A, rivals=rivals, baseline=live, shares=shares, started=NOW, step_since=NOW, step=step
    )
    for index in range(step + 1):
        rollout = msgspec.structs.replace(rollout, step=index)
        rollout = msgspec.structs.replace(allocated(rollout, NOW), generation=index + 1)
    return UseCaseStatus(
        use_case="support",
        charter=spec.charter,
        version=4,
        live=live,
        candidate=A,
        rivals=rivals,
        stage=Stage.CANARY,
        rollout=rollout,
    )


def rolling(status: UseCaseStatus) -> RolloutStatus:
    assert status.rollout is not None
    return status.rollout


GOOD: dict[str, dict[str, Any]] = {
    "resolved": {"value": 0.031, "low": 0.004, "high": 0.058, "proved": True},
    "complaints": {"value": 0.0, "low": -0.02, "high": 0.02, "proved": True},
    "errors": {"proved": True},
    "fallbacks": {"proved": True},
}
SAFE = {name: {**fields, "proved": False, "needed": 900} for name, fields in GOOD.items()}
HARMED = {"errors": {"value": 0.5, "low": 0.3, "high": 0.7, "harmed": True}}
FUTILE = {"resolved": {"value": 0.001, "low": -0.005, "high": 0.007, "futile": True}}


def readings(known: dict[str, dict[str, Any]], *, step: int = 0) -> dict[str, Reading]:
    plain = {"units": 200, "against": 1800, "here": 200, "value": 0.0, "low": -0.01, "high": 0.01}
    return {name: Reading(at=NOW, step=step, **{**plain, **fields}) for name, fields in known.items()}


def shown(known: dict[str, dict[str, Any]] | None = None, *, step: int = 0, **more: Any) -> Findings:
    """What is found of one candidate, or with `readings` of several."""
    heard = ("complaints", "resolved")
    return Findings(**{"readings": {A: readings(known or {}, step=step)}, "heard": heard, **more})


def judged_on(
    spec: UseCase, status: UseCaseStatus, found: Findings, *approvals: Approval, now: int = NOW, **seen: Any
) -> Decision:
    observation = Observation(rollout="r1", at=now, **seen)
    return judge(Case(spec, status, rolling(status), found, observation, approvals, (), now))


def yes(status: UseCaseStatus, stage: str, actor: str = "key:b", **more: Any) -> Approval:
    fields = {"release": status.candidate, "charter": status.charter, **more}
    return Approval(
        id=actor + stage + fields["release"],
        use_case="support",
        stage=stage,
        actor=actor,
        role="approve",
        at=NOW,
        **fields,
    )


# One candidate.


def test_advances_a_safe_step_with_numbers() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    decision = judged_on(spec, status, shown(SAFE))
    assert decision.action is Action.ADVANCE
    assert decision.reason == (
        "Advanced from 5 % to 25 %: no guardrail shows harm; resolved +3.1 points (0.4 to 5.8); "
        "complaints +0 points (-2.0 to 2.0); errors +0 points (-1.0 to 1.0); fallbacks +0 points (-1.0 to 1.0); "
        "at 200 candidate users or more."
    )
    later = msgspec.structs.replace(decision, at=NOW + HOUR)
    rollout = rolling(follow(status, later))
    assert (rollout.step, rollout.generation, rollout.share, rollout.step_since) == (1, 2, 250_000, NOW + HOUR)
    assert rollout.allocations == (
        Allocated(generation=1, step=0, share=50_000, at=NOW),
        Allocated(generation=2, step=1, share=250_000, at=NOW + HOUR),
    )
    assert rollout.readings == shown(SAFE).readings[A]


def test_promotes_when_everything_is_proved() -> None:
    spec = use_case(["prove"])
    status = status_of(spec)
    decision = judged_on(spec, status, shown(GOOD))
    assert decision.action is Action.PROMOTE
    assert decision.reason.startswith(
        "Promoted from 5 %: every guardrail is shown to be no worse and every goal better; resolved +3.1 points"
    )
    result = follow(status, decision)
    assert (result.live, result.previous, result.candidate, result.stage) == (A, LIVE, "", Stage.PRODUCTION)
    assert rolling(result).phase is Phase.PROMOTED
    assert rolling(result).allocations[-1] == Allocated(generation=2, step=0, share=1_000_000, at=NOW)
    assert [(ended.release, ended.how) for ended in result.ended] == [(A, "promoted")]


def test_says_what_it_waits_for_and_until_when() -> None:
    spec = use_case(
        ["prove"], guardrails={"satisfaction": {"kind": "rating", "low": 1, "high": 5, "silence": 3, "margin": 0.1}}
    )
    known = {name: fields for name, fields in GOOD.items() if name != "complaints"}
    known["satisfaction"] = {"value": 0.02, "low": -0.2, "high": 0.2, "needed": 873}
    times = {A: {"satisfaction": NOW + 23 * HOUR + MINUTE}}
    decision = judged_on(spec, status_of(spec), shown(known, expected=times, heard=("satisfaction", "resolved")))
    assert decision.action is Action.HOLD
    assert decision.reason == (
        "Held at 5 %: resolved +3.1 points (0.4 to 5.8); errors +0 points (-1.0 to 1.0); "
        "fallbacks +0 points (-1.0 to 1.0); satisfaction not yet shown to be no worse than 0.1 "
        "(needs about 880 more candidate users, tomorrow 14:00 UTC)."
    )
    assert not worth_recording(decision)


@pytest.mark.parametrize(
    ("lasts", "says"),
    [
        (0, "today 14:20 UTC"),
        (3 * HOUR, "today 17:20 UTC"),
        (12 * HOUR, "tomorrow 03:00 UTC"),
        (4 * DAY, "Fri 15:00 UTC"),
        (6 * DAY + 12 * HOUR, "28 Sep"),
        (200 * DAY, "9 Apr 2027"),
    ],
)
def test_times_are_said_as_people_do(lasts: int, says: str) -> None:
    spec = use_case(["prove"])
    known = {**GOOD, "resolved": {"needed": 41_234}}
    decision = judged_on(spec, status_of(spec), shown(known, expected={A: {"resolved": NOW + lasts}}))
    assert decision.reason.endswith(
        f"resolved not yet shown to be better (needs about 42,000 more candidate users, {says})."
    )


def test_what_cannot_be_foretold_is_said() -> None:
    spec = use_case(["prove"])
    decision = judged_on(spec, status_of(spec), shown({**GOOD, "resolved": {}}))
    assert decision.reason.endswith("better (200 candidate users so far; out of reach as things stand).")


def test_rolls_back_harm_with_numbers() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    decision = judged_on(spec, status, shown({**GOOD, **HARMED}))
    assert decision.action is Action.ROLL_BACK
    assert decision.reason == (
        "Rolled back from 5 %: errors +50.0 points (30.0 to 70.0); shown worse than the margin of errors."
    )
    result = follow(status, decision)
    assert (result.candidate, result.live, result.stage) == ("", LIVE, Stage.CONCEPT)
    assert (rolling(result).phase, rolling(result).share) == (Phase.ROLLED_BACK, 0)
    assert rolling(result).allocations[-1] == Allocated(generation=2, step=0, share=0, at=NOW)
    assert rolling(result).readings["errors"].harmed
    assert result.ended[-1].how == "rolled_back"


def test_harm_against_no_difference_at_all_says_so() -> None:
    strict = {"complaints": {"direction": "down", "margin": 0.05, "rollback_at": "zero"}}
    spec = use_case(["safe"], guardrails=strict)
    decision = judged_on(spec, status_of(spec), shown({**GOOD, "complaints": {"harmed": True}}))
    assert decision.reason.endswith("shown worse in complaints.")


def test_gives_up_what_is_shown_to_miss_the_smallest_effect_that_matters() -> None:
    spec = use_case(["safe"], ["prove"])
    decision = judged_on(spec, status_of(spec), shown({**GOOD, **FUTILE}))
    assert decision.action is Action.FUTILE
    assert decision.reason == (
        "Given up at 5 %: resolved +0.1 points (-0.5 to 0.7); shown to miss the smallest effect that matters."
    )
    result = follow(status_of(spec), decision)
    assert (rolling(result).phase, result.ended[-1].how) == (Phase.FUTILE, "futile")


@pytest.mark.parametrize(
    ("found", "seen", "says"),
    [
        ({}, {"lag": 61 * SECOND}, "61 s old, above the 60 s"),
        ({}, {"lost": 3}, "3 records could not be written"),
        ({"late": 21, "units": 2000}, {}, "21 of 2,000 users were read after their turn"),
    ],
)
def test_blind_it_holds_and_sees_nothing_but_harm(found: dict[str, int], seen: dict[str, int], says: str) -> None:
    spec = use_case(["prove"])
    for known in (GOOD, {**GOOD, **FUTILE}):
        decision = judged_on(spec, status_of(spec), shown(known, **found), **seen)
        assert decision.action is Action.HOLD
        assert says in decision.reason
    assert judged_on(spec, status_of(spec), shown({**GOOD, **HARMED}, **found), **seen).action is Action.ROLL_BACK


@pytest.mark.parametrize(("late", "units"), [(20, 100), (21, 2101)])
def test_a_few_late_units_are_accidents(late: int, units: int) -> None:
    spec = use_case(["prove"])
    assert judged_on(spec, status_of(spec), shown(GOOD, late=late, units=units)).action is Action.PROMOTE


def test_too_few_units_of_this_step_hold() -> None:
    spec = use_case(["safe"], ["safe"], ["prove"])
    known = {**SAFE, "complaints": {"units": 900, "here": 49}}
    decision = judged_on(spec, status_of(spec, step=1), shown(known, step=1))
    assert decision.reason == "Held at 25 %: complaints has 49 candidate users of the 50 that this step needs."
    assert judged_on(spec, status_of(spec, step=1), shown(SAFE, step=1)).action is Action.ADVANCE
    # What was read at the step before says nothing of this one.
    stale = judged_on(spec, status_of(spec, step=1), shown(SAFE, step=0))
    assert (
        stale.reason
        == "Held at 25 %: complaints, errors and fallbacks have 0 candidate users of the 50 that this step needs."
    )


def test_a_guardrail_that_nobody_ever_told_anything_about_is_not_proved() -> None:
    spec = use_case(["safe"], ["prove"])
    known = {name: fields for name, fields in GOOD.items() if name != "complaints"}
    decision = judged_on(spec, status_of(spec), shown(known, heard=("resolved",)))
    assert decision.action is Action.HOLD
    assert "nothing was ever reported about complaints, so its silence proves nothing" in decision.reason
    waiting = judged_on(spec, status_of(spec), shown(known))
    assert "complaints has 0 candidate users of the 50 that this step needs" in waiting.reason


def test_without_a_baseline_and_without_today_nothing_is_known() -> None:
    spec = use_case(["safe"])
    known = {name: fields for name, fields in GOOD.items() if name != "complaints"}
    decision = judged_on(spec, status_of(spec, live=""), shown(known))
    assert decision.action is Action.HOLD
    assert "complaints has no baseline to be compared with; write guardrails.complaints.today" in decision.reason


def test_a_step_lasts_as_long_as_its_hold() -> None:
    spec = use_case(["safe", "hold 6h"], ["prove"])
    decision = judged_on(spec, status_of(spec), shown(SAFE), now=NOW + 2 * HOUR)
    assert decision.reason.endswith("this step lasts at least 6h, until today 20:20 UTC.")
    assert judged_on(spec, status_of(spec), shown(SAFE), now=NOW + 6 * HOUR).action is Action.ADVANCE


def test_a_rollout_lasts_a_whole_day_before_everybody_gets_it() -> None:
    spec = use_case(["safe"], ["prove"], rollout={"minimum_duration": "24h"})
    assert judged_on(spec, status_of(spec), shown(GOOD), now=NOW + HOUR).action is Action.ADVANCE
    last = status_of(spec, step=1)
    decision = judged_on(spec, last, shown(GOOD, step=1), now=NOW + 23 * HOUR)
    assert decision.action is Action.HOLD
    assert decision.reason.endswith("a rollout takes at least 1d (minimum_duration), until today 14:20 UTC.")
    assert judged_on(spec, last, shown(GOOD, step=1), now=NOW + DAY).action is Action.PROMOTE


def test_the_risk_budget_holds_a_step_until_the_bound_is_narrow_enough() -> None:
    spec = use_case(["safe"], ["safe"], ["prove"], rollout={"risk_budget": 20})
    status = status_of(spec)
    wide = {**SAFE, "errors": {"high": 0.10, "needed": 5}}
    decision = judged_on(spec, status, shown(wide, exposed={A: 151}))
    assert decision.action is Action.HOLD
    assert decision.reason == (
        "Held at 5 %: errors may still be worse by up to 10.0 points, so of 201 candidate users (the next step's first 50 "
        "among them) 21 may come to harm, above risk_budget = 20; 10.0 points would be right, and more outcomes narrow it."
    )
    assert judged_on(spec, status, shown(wide, exposed={A: 150})).action is Action.ADVANCE
    proved = {**wide, "errors": {"high": 0.10, "proved": True}}
    assert judged_on(spec, status, shown(proved, exposed={A: 151})).action is Action.ADVANCE
    # What must go up is worse where it is lower.
    up = use_case(["safe"], ["prove"], rollout={"risk_budget": 20}, guardrails={"thanks": {"margin": 0.05}})
    low = {"thanks": {"low": -0.11, "high": 0.5}, **{name: SAFE[name] for name in ("resolved", "errors", "fallbacks")}}
    found = judged_on(up, status_of(up), shown(low, exposed={A: 150}, heard=("thanks", "resolved")))
    assert "thanks may still be worse by up to 11.0 points" in found.reason


BROKEN = (Mismatch(release=A, candidate=100, units=1000, expected=50.0, log_e=20.0),)


def test_a_broken_split_pauses_and_never_rolls_back() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    decision = judged_on(spec, status, shown(SAFE, broken=BROKEN))
    assert decision.action is Action.PAUSE
    assert decision.reason == (
        "Paused at 5 %: 100 of 1,000 users came to the candidate, where about 50 were due (e-value 10^9); "
        "assignment or recording is broken, so nothing can be compared."
    )
    paused = follow(status, decision)
    assert paused.paused
    assert (rolling(paused).phase, rolling(paused).share, rolling(paused).generation) == (Phase.PAUSED, 50_000, 1)
    assert judged_on(spec, paused, shown(SAFE, broken=BROKEN)).action is Action.HOLD
    assert judged_on(spec, paused, shown({**SAFE, **HARMED}, broken=BROKEN)).action is Action.ROLL_BACK
    resumed = follow(paused, Decision(action=Action.RESUME, reason="looked into", at=NOW))
    # What was so before is pardoned, so a person's yes is not undone at once; what goes on is not.
    assert judged_on(spec, resumed, shown(SAFE, broken=BROKEN)).action is Action.ADVANCE
    worse = (msgspec.structs.replace(BROKEN[0], log_e=26.8),)
    assert judged_on(spec, resumed, shown(SAFE, broken=worse)).action is Action.ADVANCE
    worse = (msgspec.structs.replace(BROKEN[0], log_e=27.0),)
    assert judged_on(spec, resumed, shown(SAFE, broken=worse)).action is Action.PAUSE


def test_approval_of_a_step() -> None:
    spec = use_case(["safe", "approve"], ["prove"])
    status = status_of(spec)
    decision = judged_on(spec, status, shown(SAFE))
    assert "somebody must say yes" in decision.reason
    stage = step_stage(rolling(status))
    for wrong in (
        yes(status, "production"),
        yes(status, stage, charter="another"),
        yes(status, stage, release=B),
        yes(status, "r0/step-1"),
    ):
        assert judged_on(spec, status, shown(SAFE), wrong).action is Action.HOLD
    assert judged_on(spec, status, shown(SAFE), yes(status, stage)).action is Action.ADVANCE


def test_production_waits_for_its_approvals() -> None:
    spec = use_case(["prove"], approvals={"production": 2})
    status = status_of(spec)
    one = yes(status, "production", "key:b")
    decision = judged_on(spec, status, shown(GOOD), one, one)
    assert decision.action is Action.HOLD
    assert decision.reason == "Held at 5 %: 1 of 2 people approved this release for production."
    assert judged_on(spec, status, shown(GOOD), one, yes(status, "production", "key:c")).action is Action.PROMOTE


def test_bounds_of_the_file_before_production_need_evidence() -> None:
    spec = use_case(["prove"], gates={"production": {"load": {"at_most": 0.5}}})
    decision = judged_on(spec, status_of(spec), shown(GOOD))
    assert decision.action is Action.HOLD
    assert "load must be at most 0.5; it has not been measured" in decision.reason


def test_a_proof_that_an_earlier_step_demanded_holds_before_production_too() -> None:
    spec = use_case(["prove"], ["safe"])
    status = status_of(spec, step=1)
    decision = judged_on(spec, status, shown(SAFE, step=1))
    assert decision.action is Action.HOLD
    assert "resolved +3.1 points" in decision.reason
    assert judged_on(spec, status, shown(GOOD, step=1)).action is Action.PROMOTE


# Several candidates.

TESTED: dict[str, Any] = {"shares": (66.7,), "candidate": "a", "rivals": ("b", "c")}
"""A plain A/B/C test."""


def three(**known: dict[str, dict[str, Any]]) -> Findings:
    """What is found of a, b and c; what is not given is safe and not proven."""
    by = {release: readings(known.get(name, SAFE)) for release, name in ((A, "a"), (B, "b"), (C, "c"))}
    return shown(readings=by)


def test_an_ab_test_is_a_ramp_of_one_step() -> None:
    spec = use_case(["prove", "approve"], **TESTED)
    status = status_of(spec, rivals=(B, C))
    decision = judged_on(spec, status, three(b=GOOD))
    assert (decision.action, decision.reason.count("somebody must say yes")) == (Action.HOLD, 1)
    assert "; b: resolved +3.1 points (0.4 to 5.8), complaints +0 points" in decision.reason
    assert "a: complaints not yet shown to be no worse than 5.0 points (needs about 900 more" in decision.reason
    stage = step_stage(rolling(status))
    only_first = yes(status, stage)
    assert judged_on(spec, status, three(b=GOOD), only_first).action is Action.HOLD
    all_of_them = [yes(status, stage, release=release) for release in (A, B, C)]
    decision = judged_on(spec, status, three(b=GOOD), *all_of_them)
    assert (decision.action, decision.detail["release"]) == (Action.PROMOTE, B)
    assert decision.reason.startswith(
        "Promoted b from 66.7 %: every guardrail is shown to be no worse and every goal better; "
    )
    assert decision.reason.endswith("; a and c not chosen.")
    result = follow(status, decision)
    assert (result.live, result.previous, result.candidates, result.stage) == (B, LIVE, (), Stage.PRODUCTION)
    assert [(ended.release, ended.how) for ended in result.ended] == [
        (B, "promoted"),
        (A, "not_chosen"),
        (C, "not_chosen"),
    ]
    assert rolling(result).out == {A: "not_chosen", C: "not_chosen"}
    assert rolling(result).readings == readings(GOOD)
    assert rolling(result).allocations[-1] == Allocated(generation=2, step=0, share=1_000_000, at=NOW, out=(A, C))
    back = moves.live_rolled_back(result, reason="a bad week", actor="key:a", now=NOW)
    assert (back.live, rolling(back).phase) == (LIVE, Phase.ROLLED_BACK)


@pytest.mark.parametrize(("direction", "chosen"), [("up", C), ("down", B)])
def test_of_several_that_are_proven_the_best_is_promoted(direction: str, chosen: str) -> None:
    spec = use_case(["prove"], **TESTED, goals={"resolved": {"direction": direction, "minimum_effect": 0.02}})
    more = {**GOOD, "resolved": {**GOOD["resolved"], "value": 0.04}}
    decision = judged_on(spec, status_of(spec, rivals=(B, C)), three(b=GOOD, c=more))
    assert (decision.action, decision.detail["release"]) == (Action.PROMOTE, chosen)
    equal = judged_on(spec, status_of(spec, rivals=(B, C)), three(b=GOOD, c=GOOD))
    assert equal.detail["release"] == B


def test_the_harmful_drop_out_one_by_one_and_the_last_ends_it() -> None:
    spec = use_case(["safe"], ["prove"], **{**TESTED, "shares": (10, 60)})
    status = status_of(spec, rivals=(B, C))
    found = three(a={**GOOD, **HARMED}, c={**GOOD, **FUTILE})
    first = judged_on(spec, status, found)
    assert (first.action, first.detail["release"], first.detail["how"]) == (Action.DROP, A, "rolled_back")
    assert first.reason == (
        "Dropped a at 10 %: errors +50.0 points (30.0 to 70.0), shown worse than the margin of errors; b and c go on."
    )
    status = follow(status, first)
    assert (status.candidate, status.rivals, status.stage) == (B, (C,), Stage.CANARY)
    assert (rolling(status).candidates, rolling(status).remaining) == ((A, B, C), (B, C))
    assert rolling(status).allocations[-1] == Allocated(generation=2, step=0, share=100_000, at=NOW, out=(A,))
    assert rolling(status).readings == readings(SAFE)
    second = judged_on(spec, status, found)
    assert (second.action, second.detail["release"], second.detail["how"]) == (Action.DROP, C, "futile")
    assert second.reason.endswith("shown to miss the smallest effect that matters; b goes on.")
    status = follow(status, second)
    assert (status.candidates, rolling(status).out) == ((B,), {A: "rolled_back", C: "futile"})
    # The last one advances alone, and is promoted or ended like any.
    assert judged_on(spec, status, found).action is Action.ADVANCE
    last = judged_on(spec, status, three(b={**GOOD, **HARMED}))
    assert last.action is Action.ROLL_BACK
    assert last.reason.startswith("Rolled back from 10 %: b: errors +50.0 points")
    ended = follow(status, last)
    assert [(one.release, one.how) for one in ended.ended] == [(A, "rolled_back"), (C, "futile"), (B, "rolled_back")]
    assert (ended.candidates, ended.stage) == ((), Stage.CONCEPT)


def test_where_all_are_harmful_the_rollout_ends_at_once() -> None:
    spec = use_case(["prove"], **TESTED)
    bad = {**GOOD, **HARMED}
    decision = judged_on(spec, status_of(spec, rivals=(B, C)), three(a=bad, b=bad, c=bad))
    assert decision.action is Action.ROLL_BACK
    result = follow(status_of(spec, rivals=(B, C)), decision)
    assert [ended.how for ended in result.ended] == ["rolled_back"] * 3


def test_harm_drops_out_while_paused_and_blind_too() -> None:
    spec = use_case(["prove"], **TESTED)
    status = follow(status_of(spec, rivals=(B, C)), Decision(action=Action.PAUSE, reason="", at=NOW))
    harmful = three(b={**GOOD, **HARMED})
    assert judged_on(spec, status, harmful, lost=1).action is Action.DROP
    after_drop = follow(status, judged_on(spec, status, harmful))
    assert (after_drop.paused, rolling(after_drop).phase) == (True, Phase.PAUSED)
    assert judged_on(spec, status, three(b={**GOOD, **FUTILE})).action is Action.HOLD


def test_every_candidate_must_be_safe_to_go_on_and_one_proven() -> None:
    spec = use_case(["safe"], ["prove"], ["safe"], **{**TESTED, "shares": (10, 30, 60)})
    status = status_of(spec, rivals=(B, C))
    few = {**SAFE, "complaints": {"here": 3}}
    decision = judged_on(spec, status, three(c=few))
    assert decision.reason == "Held at 10 %: c: complaints has 3 candidate users of the 50 that this step needs."
    assert judged_on(spec, status, three()).action is Action.ADVANCE
    proving = status_of(spec, step=1, rivals=(B, C))
    here = {release: readings(SAFE, step=1) for release in (A, B, C)}
    assert judged_on(spec, proving, shown(readings=here)).action is Action.HOLD
    one = shown(readings={**here, C: readings(GOOD, step=1)})
    assert judged_on(spec, proving, one).action is Action.ADVANCE


def test_all_candidates_share_the_risk_budget() -> None:
    spec = use_case(["safe"], ["prove"], **{**TESTED, "shares": (10, 60)}, rollout={"risk_budget": 20})
    wide = {**SAFE, "errors": {"high": 0.10}}
    by = {release: readings(wide) for release in (A, B, C)}
    exposed = dict.fromkeys((A, B, C), 17)
    decision = judged_on(spec, status_of(spec, rivals=(B, C)), shown(readings=by, exposed=exposed))
    assert "of 201 candidate users" in decision.reason
    exposed[A] = 16
    assert judged_on(spec, status_of(spec, rivals=(B, C)), shown(readings=by, exposed=exposed)).action is Action.ADVANCE


def test_a_broken_split_names_its_candidate_and_a_dropped_one_counts_no_more() -> None:
    spec = use_case(["prove"], **TESTED)
    status = status_of(spec, rivals=(B, C))
    broken = (msgspec.structs.replace(BROKEN[0], release=B),)
    found = msgspec.structs.replace(three(), broken=broken)
    decision = judged_on(spec, status, found)
    assert decision.action is Action.PAUSE
    assert "100 of 1,000 users came to b, where" in decision.reason
    drop = Decision(action=Action.DROP, reason="", at=NOW, detail={"release": B})
    assert judged_on(spec, follow(status, drop), found).action is Action.HOLD


@pytest.mark.parametrize("release", ["", "support/z@9", B])
def test_only_who_is_in_it_drops_out(release: str) -> None:
    status = status_of(use_case(["prove"], **TESTED), rivals=(B, C))
    drop = Decision(action=Action.DROP, reason="", at=NOW, detail={"release": B})
    with pytest.raises(Refused):
        follow(follow(status, drop), msgspec.structs.replace(drop, detail={"release": release}))


# On real statistics.


def test_decide_reads_the_statistics() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    rollout = rolling(status)
    cells = {name: ((980, 20) if name == "resolved" else (20, 980)) for name in judged(spec)}
    metrics: dict[str, tuple[Cell, ...]] = {
        name: (Cell(1, 1, BASELINE, (rates[0] * 19, rates[1] * 19)), Cell(1, 1, 1, rates))
        for name, rates in cells.items()
    }
    metrics["errors"] = (Cell(1, 1, BASELINE, (0, 19_000)), Cell(1, 1, 1, (0, 1000)))
    batch = Batch(
        at=NOW, exposed=((1, BASELINE, 19_000), (1, 1, 1000)), metrics=metrics, heard=("complaints", "resolved")
    )
    statistics = after(begin(spec, rollout), batch, spec, rollout)
    observation = Observation(rollout="r1", at=NOW)
    decision = decide(spec, status, statistics, observation, [], NOW)
    assert decision.action is Action.ADVANCE
    assert decision == decide(spec, status, statistics, observation, [], NOW), "same inputs, same decision"
    found = findings(statistics, spec, rollout, NOW)
    assert (found.units, found.exposed, found.heard) == (20_000, {A: 1000}, ("complaints", "resolved"))
    assert decision.detail["readings"] == msgspec.to_builtins(found.readings)
    bad = msgspec.structs.replace(
        batch, metrics={**metrics, "errors": (metrics["errors"][0], Cell(1, 1, 1, (200, 800)))}
    )
    harmed = after(begin(spec, rollout), bad, spec, rollout)
    assert decide(spec, status, harmed, observation, [], NOW).action is Action.ROLL_BACK
    skewed = msgspec.structs.replace(batch, exposed=((1, BASELINE, 19_000), (1, 1, 2000)))
    broken = after(begin(spec, rollout), skewed, spec, rollout)
    assert decide(spec, status, broken, observation, [], NOW).action is Action.PAUSE
    other = decide(spec, status, statistics, Observation(rollout="r0", at=NOW), [], NOW)
    assert (other.action, worth_recording(other)) == (Action.HOLD, False)


# What never happens, whatever is found.

flags = st.sampled_from(["", "", "proved", "proved", "harmed", "futile"])


@st.composite
def anything(
    draw: st.DrawFn, spec: UseCase, releases: tuple[str, ...], *, harm: bool = True
) -> tuple[Findings, dict[str, int]]:
    by: dict[str, dict[str, Reading]] = {}
    for release in releases:
        by[release] = {}
        for name, metric in judged(spec).items():
            flag = draw(flags)
            if draw(st.integers(0, 9)) == 0 or (flag == "futile") != (name in spec.goals and flag == "futile"):
                continue
            if flag == "harmed" and (not harm or name in spec.goals):
                continue
            here = draw(st.sampled_from([0, 49, 50, 3000]))
            extra: dict[str, Any] = {flag: True} if flag else {}
            by[release][name] = Reading(
                at=NOW,
                step=draw(st.integers(0, 2)),
                units=3000,
                against=3000,
                here=here,
                value=0.0,
                low=-0.1,
                high=0.1,
                **extra,
            )
            del metric
    found = Findings(
        readings=by,
        exposed=dict.fromkeys(releases, draw(st.integers(0, 5000))),
        broken=BROKEN if draw(st.integers(0, 9)) == 0 else (),
        heard=("complaints", "resolved"),
        units=10_000,
        late=draw(st.sampled_from([0, 0, 0, 500])),
    )
    return found, {"lag": draw(st.sampled_from([0, 0, 0, 61 * SECOND])), "lost": draw(st.sampled_from([0, 0, 0, 1]))}


Seen = list[tuple[Findings, dict[str, int]]]


def walk(spec: UseCase, status: UseCaseStatus, steps: Seen) -> list[tuple[UseCaseStatus, Decision]]:
    walked = []
    for hour, (found, seen) in enumerate(steps):
        if not moves.rolling_out(status):
            break
        decision = judged_on(spec, status, found, now=NOW + hour * HOUR, **seen)
        walked.append((status, decision))
        status = follow(status, decision)
        generations = [split.generation for split in rolling(status).allocations]
        assert generations == list(range(1, rolling(status).generation + 1))
        if moves.rolling_out(status):
            assert rolling(status).remaining == status.candidates
    return walked


GUARDED = use_case(["safe"], ["safe", "approve"], ["prove"])
FREE = use_case(["safe"], ["safe"], ["prove"])
RIVALRY = use_case(["safe"], ["safe"], ["prove"], rivals=("b", "c"))


@settings(deadline=None)
@given(st.lists(anything(GUARDED, (A,)), max_size=8))
def test_nothing_advances_past_an_approval(steps: Seen) -> None:
    for status, decision in walk(GUARDED, status_of(GUARDED), steps):
        assert rolling(status).step <= 1
        assert not (rolling(status).step == 1 and decision.action in (Action.ADVANCE, Action.PROMOTE))


@settings(deadline=None)
@given(st.lists(anything(RIVALRY, (A, B, C)), max_size=8))
def test_whoever_is_harmed_never_goes_on(steps: Seen) -> None:
    for status, decision in walk(RIVALRY, status_of(RIVALRY, rivals=(B, C)), steps):
        known = msgspec.convert(decision.detail["readings"], dict[str, dict[str, Reading]])
        harmed = {r for r in status.candidates if any(reading.harmed for reading in known[r].values())}
        if harmed:
            assert decision.action is (Action.ROLL_BACK if harmed == set(status.candidates) else Action.DROP)
            assert decision.detail.get("release", status.candidate) in harmed
        if decision.action is Action.PROMOTE:
            chosen = known[decision.detail["release"]]
            assert all(name in chosen and chosen[name].proved for name in judged(RIVALRY))


@settings(deadline=None)
@given(st.lists(anything(RIVALRY, (A, B, C)), max_size=8))
def test_a_paused_rollout_never_advances(steps: Seen) -> None:
    paused = follow(status_of(RIVALRY, rivals=(B, C)), Decision(action=Action.PAUSE, reason="wait", at=NOW))
    for status, decision in walk(RIVALRY, paused, steps):
        assert status.paused
        assert decision.action in (Action.HOLD, Action.DROP, Action.ROLL_BACK)


@settings(deadline=None)
@given(anything(FREE, (A,), harm=False))
def test_nothing_advances_on_thin_or_late_data(drawn: tuple[Findings, dict[str, int]]) -> None:
    found, seen = drawn
    decision = judged_on(FREE, status_of(FREE), found, **seen)
    if decision.action in (Action.ADVANCE, Action.PROMOTE):
        assert (seen, found.late) == ({"lag": 0, "lost": 0}, 0)
        for name in ("errors", "fallbacks", "complaints"):
            assert found.readings[A][name].here >= 50
            assert found.readings[A][name].step == 0


ILLEGAL = {
    "none": tuple(action for action in Action if action is not Action.PAUSE),
    "first": (Action.PROMOTE, Action.RESUME, Action.DROP),
    "last": (Action.ADVANCE, Action.RESUME, Action.DROP),
    "paused": (Action.ADVANCE, Action.PROMOTE, Action.PAUSE, Action.DROP),
}


@pytest.mark.parametrize(
    ("state", "action"), [(state, action) for state, actions in ILLEGAL.items() for action in actions]
)
def test_illegal_transitions_are_refused(state: str, action: Action) -> None:
    status = {
        "none": msgspec.structs.replace(status_of(FREE), rollout=None),
        "first": status_of(FREE),
        "last": status_of(FREE, step=2),
        "paused": follow(status_of(FREE, step=2), Decision(action=Action.PAUSE, reason="", at=NOW)),
    }[state]
    with pytest.raises(Refused):
        follow(status, Decision(action=action, reason="", at=NOW, detail={"release": A}))


@pytest.mark.parametrize("how", [Action.ROLL_BACK, Action.FUTILE])
@pytest.mark.parametrize("action", [a for a in Action if a not in (Action.PAUSE, Action.RESUME)])
def test_what_has_ended_stays_ended(how: Action, action: Action) -> None:
    ended = follow(status_of(FREE), Decision(action=how, reason="", at=NOW))
    with pytest.raises(Refused):
        follow(ended, Decision(action=action, reason="", at=NOW))


# The moves that people make.


def test_the_road_is_walked_stage_by_stage() -> None:
    spec = use_case(["safe"], ["prove"])
    status = moves.registered(spec, LIVE, A, rivals=(B,), now=NOW)
    for stage in (Stage.POC, Stage.STAGING, Stage.CANARY):
        assert status.rollout is None
        status = moves.forward(spec, status, rollout="r1", now=NOW)
        assert status.stage is stage
    rollout = rolling(status)
    assert (rollout.baseline, rollout.share, rollout.candidates, status.version) == (LIVE, 50_000, (A, B), 4)
    assert rollout.generation == 1
    assert rollout.allocations == (Allocated(generation=1, step=0, share=50_000, at=NOW),)
    with pytest.raises(Refused):
        moves.forward(spec, status, rollout="r2", now=NOW)


@pytest.mark.parametrize("more", [{"candidate": ""}, {"paused": True}, {"stage": Stage.RETIRED}])
def test_forward_is_refused(more: dict[str, Any]) -> None:
    spec = use_case(["safe"])
    status = msgspec.structs.replace(moves.registered(spec, LIVE, A, now=NOW), **more)
    with pytest.raises(Refused):
        moves.forward(spec, status, rollout="r1", now=NOW)


def on_the_way(*candidates: str) -> UseCaseStatus:
    spec = use_case(["safe"])
    first = moves.registered(spec, LIVE, candidates[0], rivals=candidates[1:], now=NOW)
    return moves.forward(spec, first, rollout="", now=NOW)


@pytest.mark.parametrize(
    ("before", "named", "stage", "ended"),
    [
        ((A,), (B,), Stage.CONCEPT, [(A, "replaced")]),
        ((A,), (), Stage.CONCEPT, [(A, "withdrawn")]),
        ((A,), (A, B), Stage.CONCEPT, []),
        ((A, B), (B,), Stage.POC, [(A, "replaced")]),
        ((A, B), (B, A), Stage.POC, []),
        ((A, B), (A, LIVE), Stage.POC, [(B, "replaced")]),
        ((A, B), (A, B), Stage.POC, []),
    ],
)
def test_other_candidates_begin_in_concept_and_who_is_gone_is_ended(
    before: tuple[str, ...], named: tuple[str, ...], stage: Stage, ended: list[tuple[str, str]]
) -> None:
    status = on_the_way(*before)
    changed = moves.reregistered(status, charter=status.charter, candidates=named, status_quo=LIVE, now=NOW)
    assert changed.candidates == tuple(release for release in named if release != LIVE)
    assert (changed.stage, [(one.release, one.how) for one in changed.ended]) == (stage, ended)


def test_another_charter_sends_the_candidates_back_to_concept() -> None:
    changed = moves.reregistered(on_the_way(A, B), charter="another", candidates=(A, B), status_quo=LIVE, now=NOW)
    assert (changed.stage, changed.candidates, changed.charter) == (Stage.CONCEPT, (A, B), "another")


def test_what_failed_stays_ended_until_it_is_changed() -> None:
    spec = use_case(["prove"], **TESTED)
    status = status_of(spec, rivals=(B, C))
    drop = Decision(action=Action.DROP, reason="", at=NOW, detail={"release": A})
    dropped = follow(status, drop)
    assert moves.on_their_way(dropped, (A, B, C), (A, B, C)) == (B, C)
    promoted = follow(dropped, Decision(action=Action.PROMOTE, reason="", at=NOW, detail={"release": B}))
    assert moves.on_their_way(promoted, (A, B, C), (A, B, C)) == ()
    new = "support/b@444444444444"
    assert moves.on_their_way(promoted, (A, new, C), (A, B, C)) == (new, C)
    assert moves.on_their_way(promoted, (C,), (A, B, C)) == (C,)


def test_nothing_is_registered_under_a_running_rollout() -> None:
    status = status_of(FREE)
    for charter, candidates in (("another", (A,)), (status.charter, (B,)), (status.charter, (A, B))):
        with pytest.raises(Conflict):
            moves.reregistered(status, charter=charter, candidates=candidates, status_quo=LIVE, now=NOW)
    same = moves.reregistered(status, charter=status.charter, candidates=(A,), status_quo=LIVE, now=NOW)
    assert (same.candidate, same.stage) == (A, Stage.CANARY)


def test_a_live_release_goes_back_once() -> None:
    spec = use_case(["prove"])
    promoted = follow(status_of(spec), judged_on(spec, status_of(spec), shown(GOOD)))
    back = moves.live_rolled_back(promoted, reason="a bad week", actor="key:a", now=NOW)
    last = rolling(back).last
    assert last is not None
    assert (last.reason, last.actor, rolling(back).phase) == ("a bad week", "key:a", Phase.ROLLED_BACK)
    assert (back.live, back.previous, back.stage) == (LIVE, "", Stage.CONCEPT)
    assert [ended.how for ended in back.ended] == ["promoted", "rolled_back"]
    with pytest.raises(Refused):
        moves.live_rolled_back(back, reason="", actor="key:a", now=NOW)


def test_retiring() -> None:
    with pytest.raises(Conflict):
        moves.retired(status_of(FREE), reason="", now=NOW)
    gone = moves.retired(on_the_way(A, B), reason="done", now=NOW)
    assert (gone.live, gone.candidates, gone.stage, gone.retired) == ("", (), Stage.RETIRED, True)
    assert [ended.release for ended in gone.ended] == [LIVE, A, B]
    with pytest.raises(Refused):
        moves.retired(gone, reason="", now=NOW)


def test_without_a_candidate_there_is_nothing_to_pause() -> None:
    resting = UseCaseStatus(use_case="support", charter="c", version=1, live=LIVE)
    with pytest.raises(Refused, match="no candidate"):
        follow(resting, Decision(action=Action.PAUSE, reason="", at=NOW))
