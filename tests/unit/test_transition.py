"""The rollout's state machine: what it decides, in which words, and what it never does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.clock import HOUR, SECOND
from pilotage.decision import moves
from pilotage.decision.demands import step_stage
from pilotage.decision.observation import ArmCounts, Exposed, Observation, Stratum
from pilotage.decision.transition import decide, follow, worth_recording
from pilotage.decision.verdict import judged
from pilotage.errors import Conflict, Refused
from pilotage.records import Approval
from pilotage.spec.use_case import UseCase
from pilotage.status import Action, Decision, Phase, RolloutStatus, Stage, UseCaseStatus

NOW = 1_790_000_000 * SECOND
LIVE, CANDIDATE = "support/faq@000000000000", "support/model@111111111111"
SAFE, PROVE = {"demands": ["safe"]}, {"demands": ["prove"]}


def use_case(*demands: list[str], **more: Any) -> UseCase:
    shares = (5, 25, 50, 75)
    tables = {
        "name": "support",
        "owner": "Ada",
        "candidate": "model",
        "goals": {"resolved": {"today": 0.5, "target": 0.6, "minimum_effect": 0.02}},
        "guardrails": {"complaints": {"direction": "down", "margin": 0.05}},
        "variants": {"faq": {"upstream": "search"}, "model": {"upstream": "openai"}},
        "rollout": {"steps": [{"share": shares[i], "demands": d} for i, d in enumerate(demands)], "minimum_units": 50},
        **more,
    }
    return UseCase.model_validate(tables)


def status_of(spec: UseCase, *, step: int = 0, live: str = LIVE, **more: Any) -> UseCaseStatus:
    shares = tuple(round(s.share * 10_000) for s in spec.rollout.steps)
    rollout = RolloutStatus(
        id="r1", candidate=CANDIDATE, baseline=live, shares=shares, started=NOW, step_since=NOW, step=step
    )
    return UseCaseStatus(
        use_case="support",
        charter=spec.charter,
        version=4,
        live=live,
        candidate=CANDIDATE,
        stage=Stage.CANARY,
        rollout=rollout,
        **more,
    )


def rate(n: int, share: float) -> ArmCounts:
    return ArmCounts(n, n, round(n * share), round(n * share))


def seen(spec: UseCase, rates: dict[str, tuple[int, float, int, float]], *, step: int = 0, **more: Any) -> Observation:
    """Rates are (baseline units, rate, candidate units, rate); undeclared metrics are clean at 1,000 to 1,000."""
    metrics: dict[str, tuple[Stratum, ...]] = {}
    for name in judged(spec):
        b, p, c, q = rates.get(name, (1000, 0.0, 1000, 0.0))
        metrics[name] = (Stratum(step, rate(b, p), rate(c, q)),)
    return Observation(rollout="r1", at=NOW, metrics=metrics, **more)


GOOD = {"resolved": (1000, 0.5, 1000, 0.65), "complaints": (1000, 0.1, 1000, 0.1)}


def yes(status: UseCaseStatus, stage: str, actor: str = "key:b", **more: Any) -> Approval:
    fields = {"release": status.candidate, "charter": status.charter, **more}
    return Approval(id=actor + stage, use_case="support", stage=stage, actor=actor, role="approve", at=NOW, **fields)


def test_advances_a_safe_step_with_numbers() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    decision = decide(spec, status, seen(spec, GOOD), [], NOW)
    assert decision.action is Action.ADVANCE
    assert decision.reason.startswith("Advanced from 5 % to 25 %: no guardrail shows harm; ")
    assert "resolved +15.0 points (" in decision.reason
    after = follow(status, decision)
    assert after.rollout is not None
    assert (after.rollout.step, after.rollout.generation, after.version) == (1, 2, 5)
    assert after.rollout.share == 250_000
    assert after.rollout.looks["resolved"] == 6


def test_promotes_when_everything_is_proved() -> None:
    spec = use_case(["prove"])
    status = status_of(spec)
    decision = decide(spec, status, seen(spec, GOOD), [], NOW)
    assert decision.action is Action.PROMOTE
    after = follow(status, decision)
    assert (after.live, after.previous, after.candidate, after.stage) == (CANDIDATE, LIVE, "", Stage.PRODUCTION)
    assert after.rollout is not None
    assert after.rollout.phase is Phase.PROMOTED
    assert after.ended[-1].how == "promoted"


def test_says_what_it_waits_for() -> None:
    spec = use_case(["prove"])
    rates = {"resolved": (1000, 0.5, 79, 0.5), "complaints": (1000, 0.1, 79, 0.1)}
    decision = decide(spec, status_of(spec), seen(spec, rates), [], NOW)
    assert decision.action is Action.HOLD
    assert decision.reason.startswith("Held at 5 %: ")
    assert "complaints not yet shown to be within 5.0 points" in decision.reason
    assert "(79 candidate users; the next look is at 80)" in decision.reason
    assert "resolved not yet shown to be better" in decision.reason
    assert worth_recording(decision)


def test_a_look_is_taken_once() -> None:
    spec = use_case(["prove"])
    status = status_of(spec)
    rates = {"resolved": (1000, 0.5, 79, 0.5), "complaints": (1000, 0.1, 79, 0.1)}
    after = follow(status, decide(spec, status, seen(spec, rates), [], NOW))
    again = decide(spec, after, seen(spec, rates), [], NOW)
    assert again.action is Action.HOLD
    assert not worth_recording(again)


def test_rolls_back_harm_with_numbers() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    decision = decide(spec, status, seen(spec, {"errors": (400, 0.0, 20, 0.5)}), [], NOW)
    assert decision.action is Action.ROLL_BACK
    assert "Rolled back from 5 %: errors +50.0 points (" in decision.reason
    assert "worse than the margin of errors" in decision.reason
    after = follow(status, decision)
    assert (after.candidate, after.live, after.stage) == ("", LIVE, Stage.CONCEPT)
    assert after.rollout is not None
    assert (after.rollout.phase, after.rollout.share) == (Phase.ROLLED_BACK, 0)
    assert after.ended[-1].how == "rolled_back"


def test_rollback_wins_over_promotion() -> None:
    spec = use_case(["prove"])
    rates = {**GOOD, "fallbacks": (1000, 0.0, 1000, 0.5)}
    assert decide(spec, status_of(spec), seen(spec, rates), [], NOW).action is Action.ROLL_BACK


def test_worse_by_less_than_the_margin_is_not_harm_unless_the_file_says_so() -> None:
    rates = {**GOOD, "complaints": (20_000, 0.10, 20_000, 0.12)}
    spec = use_case(["safe"], ["prove"])
    assert decide(spec, status_of(spec), seen(spec, rates), [], NOW).action is Action.ADVANCE
    strict = use_case(
        ["safe"], ["prove"], guardrails={"complaints": {"direction": "down", "margin": 0.05, "rollback_at": "zero"}}
    )
    assert decide(strict, status_of(strict), seen(strict, rates), [], NOW).action is Action.ROLL_BACK


def test_gives_up_what_is_shown_to_miss_the_smallest_effect_that_matters() -> None:
    spec = use_case(["safe"], ["prove"])
    rates = {**GOOD, "resolved": (20_000, 0.5, 20_000, 0.5)}
    decision = decide(spec, status_of(spec), seen(spec, rates), [], NOW)
    assert decision.action is Action.FUTILE
    assert "shown to miss the smallest effect that matters" in decision.reason
    after = follow(status_of(spec), decision)
    assert after.rollout is not None
    assert (after.rollout.phase, after.ended[-1].how) == (Phase.FUTILE, "futile")


def test_goals_decide_nothing_where_no_step_demands_proof() -> None:
    spec = use_case(["safe"])
    rates = {**GOOD, "resolved": (20_000, 0.5, 20_000, 0.4)}
    assert decide(spec, status_of(spec), seen(spec, rates), [], NOW).action is Action.PROMOTE


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"lag": 61 * SECOND}, "61 s old, above the 60 s"),
        ({"lost": 3}, "3 records could not be written"),
    ],
)
def test_blind_it_holds_and_spends_no_look(more: dict[str, Any], says: str) -> None:
    spec = use_case(["prove"])
    decision = decide(spec, status_of(spec), seen(spec, GOOD, **more), [], NOW)
    assert decision.action is Action.HOLD
    assert says in decision.reason
    assert not worth_recording(decision)
    harmful = seen(spec, {"errors": (1000, 0.0, 1000, 0.5)}, **more)
    assert decide(spec, status_of(spec), harmful, [], NOW).action is Action.ROLL_BACK


def test_too_few_units_hold() -> None:
    spec = use_case(["safe"], ["prove"])
    decision = decide(spec, status_of(spec), seen(spec, {**GOOD, "complaints": (900, 0.1, 49, 0.1)}), [], NOW)
    assert decision.action is Action.HOLD
    assert "complaints has 49 candidate users of the 50 that this step needs" in decision.reason


def test_units_of_earlier_steps_do_not_carry_a_later_one() -> None:
    spec = use_case(["safe"], ["safe"], ["prove"])
    decision = decide(spec, status_of(spec, step=1), seen(spec, GOOD, step=0), [], NOW)
    assert decision.action is Action.HOLD
    assert "have 0 candidate users of the 50" in decision.reason


def test_a_look_at_earlier_steps_alone_does_not_count_for_this_one() -> None:
    spec = use_case(["safe"], ["safe"], ["prove"])
    status = status_of(spec, step=1)
    early = decide(spec, status, seen(spec, GOOD, step=0), [], NOW)
    after = follow(status, early)
    late = {
        name: (*strata, Stratum(1, rate(1000, 0.0), rate(60, 0.0)))
        for name, strata in seen(spec, GOOD, step=0).metrics.items()
    }
    decision = decide(spec, after, msgspec.structs.replace(seen(spec, GOOD), metrics=late), [], NOW)
    assert decision.action is Action.HOLD
    assert "complaints has not been looked at since this step began (the next look is at 1,280)" in decision.reason


def test_a_guardrail_that_nobody_ever_told_anything_about_is_not_proved() -> None:
    spec = use_case(["prove"])
    silent = seen(spec, GOOD, unheard=("complaints",))
    decision = decide(spec, status_of(spec), silent, [], NOW)
    assert decision.action is Action.HOLD
    assert "nothing was ever reported about complaints" in decision.reason
    assert "complaints" not in follow(status_of(spec), decision).rollout.looks  # type: ignore[union-attr]


def test_a_metric_that_could_not_be_read_holds() -> None:
    spec = use_case(["safe"], ["prove"])
    observation = seen(spec, GOOD)
    partial = {name: strata for name, strata in observation.metrics.items() if name != "fallbacks"}
    decision = decide(spec, status_of(spec), msgspec.structs.replace(observation, metrics=partial), [], NOW)
    assert decision.action is Action.HOLD
    assert "fallbacks could not be read" in decision.reason


def test_a_step_lasts_as_long_as_its_hold() -> None:
    spec = use_case(["safe", "hold 6h"], ["prove"])
    decision = decide(spec, status_of(spec), seen(spec, GOOD), [], NOW + 2 * HOUR)
    assert decision.action is Action.HOLD
    assert "at least 6h, of which 4 h are left" in decision.reason
    assert decide(spec, status_of(spec), seen(spec, GOOD), [], NOW + 6 * HOUR).action is Action.ADVANCE


def test_a_broken_split_pauses_and_never_rolls_back() -> None:
    spec = use_case(["safe"], ["prove"])
    status = status_of(spec)
    decision = decide(spec, status, seen(spec, GOOD, exposed=Exposed(900, 100)), [], NOW)
    assert decision.action is Action.PAUSE
    assert "100 of 1,000 units came to the candidate, where 5 % was set" in decision.reason
    after = follow(status, decision)
    assert after.paused
    assert after.rollout is not None
    assert (after.rollout.phase, after.rollout.share) == (Phase.PAUSED, 50_000)
    resumed = follow(after, Decision(action=Action.RESUME, reason="looked into", at=NOW))
    # The same counts are not looked at twice, so a person's resume is not undone at once.
    assert decide(spec, resumed, seen(spec, GOOD, exposed=Exposed(900, 100)), [], NOW).action is Action.ADVANCE
    assert decide(spec, resumed, seen(spec, GOOD, exposed=Exposed(1800, 200)), [], NOW).action is Action.PAUSE


def test_approval_of_a_step() -> None:
    spec = use_case(["safe", "approve"], ["prove"])
    status = status_of(spec)
    decision = decide(spec, status, seen(spec, GOOD), [], NOW)
    assert "somebody must say yes" in decision.reason
    assert status.rollout is not None
    stage = step_stage(status.rollout)
    for wrong in (
        yes(status, "production"),
        yes(status, stage, charter="another"),
        yes(status, stage, release="support/model@222222222222"),
        yes(status, "r0/step-1"),
    ):
        assert decide(spec, status, seen(spec, GOOD), [wrong], NOW).action is Action.HOLD
    assert decide(spec, status, seen(spec, GOOD), [yes(status, stage)], NOW).action is Action.ADVANCE


def test_production_waits_for_its_approvals() -> None:
    spec = use_case(["prove"], approvals={"production": 2})
    status = status_of(spec)
    one = yes(status, "production", "key:b")
    decision = decide(spec, status, seen(spec, GOOD), [one, yes(status, "production", "key:b")], NOW)
    assert decision.action is Action.HOLD
    assert "1 of 2 people approved" in decision.reason
    decision = decide(spec, status, seen(spec, GOOD), [one, yes(status, "production", "key:c")], NOW)
    assert decision.action is Action.PROMOTE


def test_bounds_of_the_file_before_production_need_evidence() -> None:
    spec = use_case(["prove"], gates={"production": {"load": {"at_most": 0.5}}})
    decision = decide(spec, status_of(spec), seen(spec, GOOD), [], NOW)
    assert decision.action is Action.HOLD
    assert "load must be at most 0.5; it has not been measured" in decision.reason


def test_without_a_baseline_today_is_what_counts() -> None:
    spec = use_case(["prove"], guardrails={"complaints": {"direction": "down", "margin": 0.05, "today": 0.1}})
    status = status_of(spec, live="")
    alone = {"resolved": (0, 0, 1000, 0.65), "complaints": (0, 0, 1000, 0.08)}
    others = dict.fromkeys(("errors", "fallbacks"), (0, 0.0, 1000, 0.0))
    assert decide(spec, status, seen(spec, {**alone, **others}), [], NOW).action is Action.PROMOTE
    worse = {**alone, **others, "errors": (0, 0.0, 1000, 0.2)}
    assert decide(spec, status, seen(spec, worse), [], NOW).action is Action.ROLL_BACK


def test_without_a_baseline_and_without_today_nothing_is_known() -> None:
    spec = use_case(["safe"])
    status = status_of(spec, live="")
    others = dict.fromkeys(("errors", "fallbacks", "complaints"), (0, 0.0, 1000, 0.0))
    decision = decide(spec, status, seen(spec, others), [], NOW)
    assert decision.action is Action.HOLD
    assert "complaints has not been looked at" in decision.reason


def test_durations_are_compared_too() -> None:
    spec = use_case(["prove"], guardrails={"wait": {"kind": "duration", "direction": "down", "margin": 0.5}}, goals={})
    arm = ArmCounts(500, 500, 500 * 2.0, 500 * 4.5)
    slower = ArmCounts(500, 500, 500 * 4.0, 500 * 16.5)
    observation = seen(spec, {})
    for candidate, action in ((arm, Action.PROMOTE), (slower, Action.ROLL_BACK)):
        metrics = {**observation.metrics, "wait": (Stratum(0, arm, candidate),)}
        found = decide(spec, status_of(spec), msgspec.structs.replace(observation, metrics=metrics), [], NOW)
        assert found.action is action
    assert "wait +2.0 s (" in found.reason


def test_an_observation_of_another_rollout_is_not_used() -> None:
    spec = use_case(["prove"])
    observation = msgspec.structs.replace(seen(spec, GOOD), rollout="r0")
    decision = decide(spec, status_of(spec), observation, [], NOW)
    assert (decision.action, worth_recording(decision)) == (Action.HOLD, False)


# What never happens, whatever is observed.

counts = st.builds(rate, st.integers(0, 3000), st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 1.0]))


@st.composite
def observations(draw: st.DrawFn, spec: UseCase) -> Observation:
    metrics = {
        name: tuple(Stratum(step, draw(counts), draw(counts)) for step in range(draw(st.integers(0, 3))))
        for name in judged(spec)
    }
    return Observation(
        rollout="r1",
        at=NOW,
        lag=draw(st.sampled_from([0, 0, 0, 61 * SECOND])),
        lost=draw(st.sampled_from([0, 0, 0, 1])),
        exposed=Exposed(draw(st.integers(0, 2000)), draw(st.integers(0, 2000))),
        metrics=metrics,
    )


def walk(spec: UseCase, status: UseCaseStatus, steps: list[Observation]) -> list[tuple[UseCaseStatus, Decision]]:
    found = []
    for hour, observation in enumerate(steps):
        if not moves.rolling_out(status):
            break
        decision = decide(spec, status, observation, [], NOW + hour * HOUR)
        assert decision == decide(spec, status, observation, [], NOW + hour * HOUR), "same inputs, same decision"
        found.append((status, decision))
        status = follow(status, decision)
    return found


GUARDED = use_case(["safe"], ["safe", "approve"], ["prove"])
FREE = use_case(["safe"], ["safe"], ["prove"])


@settings(deadline=None)
@given(st.lists(observations(GUARDED), max_size=8))
def test_nothing_advances_past_an_approval(steps: list[Observation]) -> None:
    for status, decision in walk(GUARDED, status_of(GUARDED), steps):
        assert status.rollout is not None
        assert status.rollout.step <= 1
        assert not (status.rollout.step == 1 and decision.action in (Action.ADVANCE, Action.PROMOTE))


@settings(deadline=None)
@given(st.lists(observations(FREE), max_size=5), observations(FREE), st.booleans())
def test_harm_always_rolls_back(steps: list[Observation], last: Observation, paused: bool) -> None:
    status = status_of(FREE)
    for _, decision in walk(FREE, status, steps):
        status = follow(status, decision)
    if not moves.rolling_out(status):
        return
    if paused and not status.paused:
        status = follow(status, Decision(action=Action.PAUSE, reason="wait", at=NOW))
    terrible = (Stratum(0, rate(10_000_000, 0.0), rate(10_000_000, 0.9)),)
    harmful = msgspec.structs.replace(last, metrics={**last.metrics, "errors": terrible})
    assert decide(FREE, status, harmful, [], NOW).action is Action.ROLL_BACK


@settings(deadline=None)
@given(st.lists(observations(FREE), max_size=8))
def test_a_paused_rollout_never_advances(steps: list[Observation]) -> None:
    paused = follow(status_of(FREE), Decision(action=Action.PAUSE, reason="wait", at=NOW))
    for status, decision in walk(FREE, paused, steps):
        assert status.paused
        assert decision.action in (Action.HOLD, Action.ROLL_BACK)


@settings(deadline=None)
@given(observations(FREE))
def test_nothing_advances_on_thin_or_late_data(observation: Observation) -> None:
    decision = decide(FREE, status_of(FREE), observation, [], NOW)
    if decision.action in (Action.ADVANCE, Action.PROMOTE):
        assert observation.lag <= 60 * SECOND
        assert observation.lost == 0
        for name in ("errors", "fallbacks", "complaints"):
            assert sum(s.candidate.matured for s in observation.metrics[name] if s.step == 0) >= 50


ILLEGAL = {
    "none": tuple(action for action in Action if action is not Action.PAUSE),
    "first": (Action.PROMOTE, Action.RESUME),
    "last": (Action.ADVANCE, Action.RESUME),
    "paused": (Action.ADVANCE, Action.PROMOTE, Action.PAUSE),
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
        follow(status, Decision(action=action, reason="", at=NOW))


@pytest.mark.parametrize("how", [Action.ROLL_BACK, Action.FUTILE])
@pytest.mark.parametrize("action", [a for a in Action if a not in (Action.PAUSE, Action.RESUME)])
def test_what_has_ended_stays_ended(how: Action, action: Action) -> None:
    ended = follow(status_of(FREE), Decision(action=how, reason="", at=NOW))
    with pytest.raises(Refused):
        follow(ended, Decision(action=action, reason="", at=NOW))


# The moves that people make.


def test_the_road_is_walked_stage_by_stage() -> None:
    spec = use_case(["safe"], ["prove"])
    status = moves.registered(spec, LIVE, CANDIDATE, now=NOW)
    for stage in (Stage.POC, Stage.STAGING, Stage.CANARY):
        assert status.rollout is None
        status = moves.forward(spec, status, rollout="r1", now=NOW)
        assert status.stage is stage
    assert status.rollout is not None
    assert (status.rollout.baseline, status.rollout.share, status.version) == (LIVE, 50_000, 4)
    with pytest.raises(Refused):
        moves.forward(spec, status, rollout="r2", now=NOW)


@pytest.mark.parametrize("more", [{"candidate": ""}, {"paused": True}, {"stage": Stage.RETIRED}])
def test_forward_is_refused(more: dict[str, Any]) -> None:
    spec = use_case(["safe"])
    status = msgspec.structs.replace(moves.registered(spec, LIVE, CANDIDATE, now=NOW), **more)
    with pytest.raises(Refused):
        moves.forward(spec, status, rollout="r1", now=NOW)


def test_another_candidate_begins_in_concept_and_the_first_is_ended() -> None:
    spec = use_case(["safe"])
    status = moves.forward(spec, moves.registered(spec, LIVE, CANDIDATE, now=NOW), rollout="", now=NOW)
    after = moves.reregistered(status, charter=spec.charter, candidate="support/model@3", status_quo=LIVE, now=NOW)
    assert (after.stage, after.candidate, after.ended[-1].how) == (Stage.CONCEPT, "support/model@3", "replaced")


def test_another_charter_sends_the_candidate_back_to_concept() -> None:
    spec = use_case(["safe"])
    status = moves.forward(spec, moves.registered(spec, LIVE, CANDIDATE, now=NOW), rollout="", now=NOW)
    after = moves.reregistered(status, charter="another", candidate=None, status_quo=LIVE, now=NOW)
    assert (after.stage, after.candidate, after.charter) == (Stage.CONCEPT, CANDIDATE, "another")


def test_nothing_is_registered_under_a_running_rollout() -> None:
    status = status_of(FREE)
    with pytest.raises(Conflict):
        moves.reregistered(status, charter="another", candidate=None, status_quo=LIVE, now=NOW)
    with pytest.raises(Conflict):
        moves.reregistered(status, charter=status.charter, candidate="support/model@3", status_quo=LIVE, now=NOW)
    same = moves.reregistered(status, charter=status.charter, candidate=None, status_quo=LIVE, now=NOW)
    assert (same.candidate, same.stage) == (CANDIDATE, Stage.CANARY)


def test_a_live_release_goes_back_once() -> None:
    spec = use_case(["prove"])
    promoted = follow(status_of(spec), decide(spec, status_of(spec), seen(spec, GOOD), [], NOW))
    back = moves.live_rolled_back(promoted, reason="a bad week", actor="key:a", now=NOW)
    assert back.rollout is not None
    assert back.rollout.last is not None
    assert (back.rollout.last.reason, back.rollout.last.actor) == ("a bad week", "key:a")
    assert (back.live, back.previous, back.stage) == (LIVE, "", Stage.CONCEPT)
    assert [ended.how for ended in back.ended] == ["promoted", "rolled_back"]
    with pytest.raises(Refused):
        moves.live_rolled_back(back, reason="", actor="key:a", now=NOW)


def test_retiring() -> None:
    with pytest.raises(Conflict):
        moves.retired(status_of(FREE), reason="", now=NOW)
    idle = msgspec.structs.replace(status_of(FREE), rollout=None, stage=Stage.POC)
    gone = moves.retired(idle, reason="done", now=NOW)
    assert (gone.live, gone.candidate, gone.stage, gone.retired) == ("", "", Stage.RETIRED, True)
    with pytest.raises(Refused):
        moves.retired(gone, reason="", now=NOW)


def test_without_a_candidate_there_is_nothing_to_pause() -> None:
    resting = UseCaseStatus(use_case="support", charter="c", version=1, live=LIVE)
    with pytest.raises(Refused, match="no candidate"):
        follow(resting, Decision(action=Action.PAUSE, reason="", at=NOW))
