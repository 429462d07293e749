"""Gates: what each demands by stage and tier, and what counts as evidence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pilotage.clock import DAY, SECOND
from pilotage.decision.approval import step_stage
from pilotage.decision.charter import CHECKS
from pilotage.decision.gate import gate, next_stage
from pilotage.decision.measured import grounds, measured_criteria
from pilotage.decision.rules import NO_RULES
from pilotage.decision.verdict import Verdict, guardrails, of_evidence
from pilotage.records import Approval, Evidence
from pilotage.spec.gates import Criterion
from pilotage.spec.organisation import QUESTIONS
from pilotage.spec.use_case import UseCase
from pilotage.status import Reading, RolloutStatus, Stage, UseCaseStatus

NOW = 1_790_000_000 * SECOND
LIVE, CANDIDATE = "support/faq@000000000000", "support/model@111111111111"
RIVAL = "support/bold@222222222222"
BARE: dict[str, Any] = {
    "name": "support",
    "owner": "Ada",
    "variants": {"faq": {"upstream": "search"}, "model": {"upstream": "openai"}},
}
FULL: dict[str, Any] = {
    **BARE,
    "objective": "Fewer tickets",
    "candidate": "model",
    "scope": {"does": ["answers"], "does_not": ["refunds"]},
    "goals": {"resolved": {"today": 0.5, "target": 0.6, "minimum_effect": 0.02}},
    "guardrails": {"slow": {"direction": "down", "source": "slow", "limit": "4s", "margin": 0.05}},
    "traffic": {"new_units_a_day": 3000},
    "budget": {"a_request": 0.01},
    "data": {"sources": ["help centre"], "rights": "ours", "personal_data": True},
    "approvals": {"canary": 1, "production": 1},
}
HIGH: dict[str, Any] = {
    "affected": ["customers"],
    "assessment": {"reasons": "It answers questions.", **dict.fromkeys(QUESTIONS, False)},
    "risks": {"wrong": {"says": "A wrong answer", "likelihood": 3, "impact": 3, "treated_by": ["guardrails.slow"]}},
}
DOCUMENT = Path(__file__).parents[2] / "docs" / "gates.md"


def use_case(tables: dict[str, Any], **more: Any) -> UseCase:
    return UseCase.model_validate({**tables, **more})


def status_of(spec: UseCase, stage: Stage, live: str = LIVE, rivals: tuple[str, ...] = ()) -> UseCaseStatus:
    return UseCaseStatus(
        use_case="support",
        charter=spec.charter,
        version=1,
        live=live,
        candidate=CANDIDATE,
        rivals=rivals,
        stage=stage,
    )


def fact(spec: UseCase, measure: str, low: float, high: float, **more: Any) -> Evidence:
    fields = {"release": CANDIDATE, "charter": spec.charter, "at": NOW, "baseline": LIVE, "id": f"e-{measure}", **more}
    return Evidence(
        use_case="support",
        measure=measure,
        value=(low + high) / 2,
        low=low,
        high=high,
        n=100,
        method="test",
        data="d",
        actor="key:a",
        **fields,
    )


def judge(spec: UseCase, stage: Stage, *evidence: Evidence, live: str = LIVE) -> dict[str, Verdict]:
    before = {Stage.POC: Stage.CONCEPT, Stage.STAGING: Stage.POC, Stage.CANARY: Stage.STAGING}
    status = status_of(spec, before.get(stage, Stage.CANARY), live)
    door = gate(spec, status, stage, evidence=evidence, approvals=[], now=NOW)
    return {criterion.name: criterion.verdict for criterion in door.criteria}


def test_the_gate_into_poc_grows_with_the_tier() -> None:
    names = {tier: set(judge(use_case(BARE, tier=tier), Stage.POC)) for tier in CHECKS}
    assert names["minimal"] == {"owner", "candidate", "goals"}
    assert names["minimal"] < names["limited"] < names["high"]


@pytest.mark.parametrize("tier", CHECKS)
def test_a_full_charter_opens_the_gate_into_poc(tier: str) -> None:
    assert set(judge(use_case(FULL, tier=tier, **HIGH), Stage.POC).values()) == {Verdict.PASS}


def test_what_is_missing_is_named_as_the_key_to_write() -> None:
    spec = use_case(BARE, tier="high", goals={"resolved": {"today": 0.5}}, guardrails={})
    door = gate(spec, status_of(spec, Stage.CONCEPT), Stage.POC, evidence=[], approvals=[], now=NOW)
    opens = {criterion.name: criterion.opens_with for criterion in door.closed_by}
    assert not door.open
    assert opens["objective"] == "Write objective in usecase.toml."
    assert opens["goal_levels"] == "Write goals.resolved.target and goals.resolved.minimum_effect in usecase.toml."
    assert opens["guardrails"] == "Write [guardrails.NAME] with a margin in usecase.toml."
    assert opens["data"] == "Write data.sources, data.rights and data.personal_data in usecase.toml."
    assert opens["approvers"] == "Write approvals.canary = 1 and approvals.production = 1 in usecase.toml."


def test_what_each_gate_measures_by_tier() -> None:
    def measured(tier: str, stage: Stage, live: str = LIVE) -> set[str]:
        spec = use_case(FULL, tier=tier)
        return set(measured_criteria(spec, status_of(spec, Stage.POC, live), stage))

    assert measured("minimal", Stage.STAGING) == {"quality_difference", "cost"}
    assert measured("minimal", Stage.STAGING, live="") == {"quality", "cost"}
    assert measured("limited", Stage.STAGING) == {"quality_difference", "cost", "security", "privacy"}
    assert measured("high", Stage.STAGING) == {"quality_difference", "cost", "security", "privacy", "bias"}
    assert measured("minimal", Stage.CANARY) == {"replay_errors", "replay_latency"}
    assert measured("minimal", Stage.PRODUCTION) == set()


def test_what_staging_declares_is_demanded_before_the_canary() -> None:
    spec = use_case(FULL, staging={"holds": 1.5, "faults": 0.05, "shadow": 5, "shadow_a_day": 1})
    found = measured_criteria(spec, status_of(spec, Stage.POC), Stage.CANARY)
    assert found["scalability"] == Criterion(at_least=1.5)
    assert found["fault_failures"] == Criterion(at_most=0.05)
    assert found["shadow_errors"] == Criterion(at_most=0.02)
    door = gate(spec, status_of(spec, Stage.STAGING), Stage.CANARY, evidence=[], approvals=[], now=NOW)
    opens = {line.name: line.opens_with for line in door.criteria}
    assert opens["scalability"] == "Run `pilotage rehearse support --ramp`."
    assert opens["fault_failures"] == "Run `pilotage rehearse support --faults default`."
    assert opens["shadow_errors"] == "Run `pilotage rehearse support --shadow`."
    assert opens["replay_errors"] == "Run `pilotage rehearse support`."


def test_the_file_replaces_a_default_or_adds_to_it() -> None:
    gates = {"staging": {"security": {"at_most": 0.2}, "tone": {"at_least": 0.8}}}
    spec = use_case(FULL, gates=gates)
    found = measured_criteria(spec, status_of(spec, Stage.POC), Stage.STAGING)
    assert found["security"] == Criterion(at_most=0.2)
    assert found["tone"] == Criterion(at_least=0.8)
    assert found["privacy"] == Criterion(at_most=0.05)


@pytest.mark.parametrize(
    ("bound", "low", "high", "verdict"),
    [
        ({"at_least": 0.5}, 0.5, 0.7, Verdict.PASS),
        ({"at_least": 0.5}, 0.49, 0.7, Verdict.INCONCLUSIVE),
        ({"at_least": 0.5}, 0.3, 0.49, Verdict.FAIL),
        ({"at_least": 0.5}, 0.3, 0.5, Verdict.INCONCLUSIVE),
        ({"at_most": 0.05}, 0.01, 0.05, Verdict.PASS),
        ({"at_most": 0.05}, 0.01, 0.06, Verdict.INCONCLUSIVE),
        ({"at_most": 0.05}, 0.06, 0.08, Verdict.FAIL),
        ({"at_most": 0.05}, float("nan"), float("nan"), Verdict.INCONCLUSIVE),
    ],
)
def test_the_whole_interval_must_lie_inside(bound: dict[str, float], low: float, high: float, verdict: Verdict) -> None:
    spec = use_case(FULL)
    assert of_evidence(Criterion(**bound), fact(spec, "quality", low, high)) is verdict


def test_evidence_counts_only_for_its_release_charter_and_baseline() -> None:
    spec = use_case(FULL)
    good = fact(spec, "quality_difference", 0.1, 0.2)
    assert judge(spec, Stage.STAGING, good)["quality_difference"] is Verdict.PASS
    for other in (
        msgspec.structs.replace(good, release=LIVE),
        msgspec.structs.replace(good, charter="another"),
        msgspec.structs.replace(good, baseline="support/faq@999999999999"),
    ):
        assert judge(spec, Stage.STAGING, other)["quality_difference"] is Verdict.MISSING


def test_why_evidence_does_not_count_is_said() -> None:
    spec = use_case(FULL)
    void = fact(spec, "security", 0.0, 0.01, charter="another")
    door = gate(spec, status_of(spec, Stage.POC), Stage.STAGING, evidence=[void], approvals=[], now=NOW)
    line = next(criterion for criterion in door.criteria if criterion.name == "security")
    assert "void, for the charter has changed since" in line.says
    assert line.opens_with == "Run `pilotage evaluate support --suite security`."


def test_the_newest_evidence_counts() -> None:
    spec = use_case(FULL)
    old = fact(spec, "security", 0.0, 0.01, id="a")
    new = fact(spec, "security", 0.1, 0.2, id="b", at=NOW + 1)
    for order in ((old, new), (new, old)):
        assert judge(spec, Stage.STAGING, *order)["security"] is Verdict.FAIL


def test_a_line_carries_its_numbers() -> None:
    spec = use_case(FULL)
    door = gate(
        spec,
        status_of(spec, Stage.POC),
        Stage.STAGING,
        evidence=[fact(spec, "security", 0.01, 0.09)],
        approvals=[],
        now=NOW,
    )
    line = next(line for line in door.as_json()["criteria"] if line["name"] == "security")
    assert line["verdict"] == "inconclusive"
    assert (line["low"], line["high"], line["n"], line["evidence"]) == (0.01, 0.09, 100, "e-security")
    assert line["says"].startswith(
        "security is 5.0 % (1.0 to 9.0, n = 100); it must be at most 5.0 %: not all of the interval is"
    )
    assert "narrows the interval" in line["opens_with"]


def yes(spec: UseCase, actor: str, stage: str = "canary") -> Approval:
    return Approval(
        id=actor,
        use_case="support",
        release=CANDIDATE,
        charter=spec.charter,
        stage=stage,
        actor=actor,
        role="approve",
        at=NOW,
    )


def test_approvals_are_counted_by_person() -> None:
    spec = use_case(FULL, approvals={"canary": 2})
    status = status_of(spec, Stage.STAGING)

    def verdict(*approvals: Approval) -> Verdict:
        door = gate(spec, status, Stage.CANARY, evidence=[], approvals=approvals, now=NOW)
        return next(criterion.verdict for criterion in door.criteria if criterion.name == "approvals")

    assert verdict() is Verdict.MISSING
    assert verdict(yes(spec, "key:a"), yes(spec, "key:a")) is Verdict.MISSING
    assert verdict(yes(spec, "key:a"), yes(spec, "key:b", "staging")) is Verdict.MISSING
    assert verdict(yes(spec, "key:a"), yes(spec, "key:b")) is Verdict.PASS


@pytest.mark.parametrize("stage", [Stage.CANARY, Stage.PRODUCTION])
def test_tier_high_always_asks_for_somebodys_yes(stage: Stage) -> None:
    def verdict(tier: str, *approvals: Approval) -> Verdict | None:
        spec = use_case(FULL, tier=tier, approvals={})
        status = status_of(spec, Stage.STAGING)
        given = [msgspec.structs.replace(approval, charter=spec.charter) for approval in approvals]
        door = gate(spec, status, stage, evidence=[], approvals=given, now=NOW)
        return next((criterion.verdict for criterion in door.criteria if criterion.name == "approvals"), None)

    assert verdict("high") is Verdict.MISSING
    assert verdict("high", yes(use_case(FULL), "key:a", stage.value)) is Verdict.PASS
    assert verdict("limited") is None


def reading(*, step: int = 0, here: int = 200, value: float = 0.03, **more: bool) -> Reading:
    return Reading(
        at=NOW, step=step, units=200, against=200, here=here, value=value, low=value - 0.02, high=value + 0.02, **more
    )


def rolling(
    spec: UseCase, readings: dict[str, Reading], *, step: int = 0, rivals: tuple[str, ...] = ()
) -> UseCaseStatus:
    rollout = RolloutStatus(
        id="r1",
        candidate=CANDIDATE,
        rivals=rivals,
        baseline=LIVE,
        shares=tuple(round(step.share * 10_000) for step in spec.rollout.steps),
        started=NOW,
        step_since=NOW,
        step=step,
        readings=readings,
    )
    return msgspec.structs.replace(status_of(spec, Stage.CANARY, rivals=rivals), rollout=rollout)


def production(
    spec: UseCase, readings: dict[str, Reading], *approvals: Approval, step: int = 0, now: int = NOW + DAY
) -> dict[str, str]:
    status = rolling(spec, readings, step=step)
    door = gate(spec, status, Stage.PRODUCTION, evidence=[], approvals=approvals, now=now)
    assert door.release == CANDIDATE
    return {criterion.name: criterion.verdict.value for criterion in door.criteria}


def test_the_gate_into_production_is_the_rollout_itself() -> None:
    steps = [{"share": 10}, {"share": 50, "demands": ["prove"]}]
    spec = use_case(FULL, rollout={"steps": steps}, approvals={})
    assert production(spec, {}) == {
        "rollout": "inconclusive",
        "slow": "missing",
        "errors": "missing",
        "fallbacks": "missing",
        "resolved": "missing",
    }
    readings = {"slow": reading(step=1, proved=True), "fallbacks": reading(step=1), "resolved": reading(futile=True)}
    harmed = {**readings, "errors": reading(step=1, harmed=True)}
    assert production(spec, {**readings, "errors": reading(harmed=True)}, step=1)["rollout"] == "inconclusive"
    assert production(spec, {**harmed, "slow": reading(step=1, here=49)}, step=1)["rollout"] == "inconclusive"
    assert production(spec, harmed, step=1, now=NOW + DAY - 1)["rollout"] == "inconclusive"
    assert production(spec, harmed, step=1) == {
        "rollout": "pass",
        "slow": "pass",
        "errors": "fail",
        "fallbacks": "inconclusive",
        "resolved": "fail",
    }


def test_goals_are_waived_where_no_step_demands_proof() -> None:
    spec = use_case(FULL, rollout={"steps": [{"share": 10}]}, approvals={})
    found = production(spec, {name: reading() for name in guardrails(spec)})
    assert found["resolved"] == "waived"
    assert found["errors"] == "pass"


def test_the_last_step_may_demand_a_yes_of_its_own() -> None:
    spec = use_case(FULL, rollout={"steps": [{"share": 10, "demands": ["approve"]}]}, approvals={})
    readings = {name: reading() for name in guardrails(spec)}
    assert production(spec, readings)["rollout"] == "inconclusive"
    stage = step_stage(RolloutStatus(id="r1", candidate="", baseline="", shares=(1,), started=0, step_since=0))
    assert production(spec, readings, yes(spec, "key:b", stage))["rollout"] == "pass"


def test_before_the_last_gate_every_candidate_must_pass_by_name() -> None:
    spec = use_case(FULL, tier="minimal", approvals={"staging": 1})
    status = status_of(spec, Stage.POC, rivals=(RIVAL,))
    mine = fact(spec, "quality_difference", 0.1, 0.2)
    other = fact(spec, "quality_difference", -0.1, 0.2, release=RIVAL)
    bound = grounds(spec, status, Stage.STAGING, [mine, other], rules=NO_RULES, now=NOW)
    first = msgspec.structs.replace(yes(spec, "key:a", "staging"), evidence=bound[CANDIDATE])
    rival = msgspec.structs.replace(first, id="rival", release=RIVAL, evidence=bound[RIVAL])
    given = [first, msgspec.structs.replace(rival, actor="key:b")]
    door = gate(spec, status, Stage.STAGING, evidence=[mine, other], approvals=given, now=NOW)
    assert [(line.name, line.verdict) for line in door.criteria] == [
        ("model: quality_difference", Verdict.PASS),
        ("model: cost", Verdict.MISSING),
        ("bold: quality_difference", Verdict.INCONCLUSIVE),
        ("bold: cost", Verdict.MISSING),
        ("approvals", Verdict.MISSING),
    ]
    assert door.criteria[1].opens_with == "Run `pilotage evaluate support --variant model`."
    assert door.criteria[2].says.startswith("bold: quality_difference is 5.0 points")
    assert door.criteria[4].says == "0 of 1 person approved these releases for staging."
    both = [*given, rival]
    again = gate(spec, status, Stage.STAGING, evidence=[mine, other], approvals=both, now=NOW)
    assert again.criteria[4].verdict is Verdict.PASS
    assert len(judge(spec, Stage.POC)) == len(
        gate(spec, status, Stage.POC, evidence=[], approvals=[], now=NOW).criteria
    )


def test_into_production_goes_the_best_for_which_the_gate_is_open() -> None:
    spec = use_case(FULL, rollout={"steps": [{"share": 60, "demands": ["prove"]}]}, approvals={})
    status = rolling(spec, {}, rivals=(RIVAL,))
    names = [*guardrails(spec), "resolved"]
    proved = {name: reading(proved=True) for name in names}
    better = {**proved, "resolved": reading(value=0.05, proved=True)}
    open_yet = {**better, "slow": reading()}

    def door(mine: dict[str, Reading], other: dict[str, Reading]) -> tuple[bool, str]:
        shown = {CANDIDATE: mine, RIVAL: other}
        found = gate(spec, status, Stage.PRODUCTION, evidence=[], approvals=[], now=NOW + DAY, readings=shown)
        assert all(line.name.startswith(("model: ", "bold: ")) for line in found.criteria)
        return found.open, found.release

    assert door(proved, better) == (True, RIVAL)
    assert door(proved, proved) == (True, CANDIDATE)
    assert door(proved, open_yet) == (True, CANDIDATE)
    assert door({}, open_yet) == (False, RIVAL)


def test_errors_and_fallbacks_are_always_guarded() -> None:
    assert {name: g.margin for name, g in guardrails(use_case(BARE)).items()} == {"errors": 0.02, "fallbacks": 0.05}
    own = use_case(BARE, guardrails={"broken": {"source": "errors", "direction": "down", "margin": 0.1}})
    assert set(guardrails(own)) == {"broken", "fallbacks"}
    taken = use_case(BARE, goals={"errors": {"direction": "down"}})
    assert set(guardrails(taken)) == {"gateway-errors", "fallbacks"}


def test_stages_follow_each_other() -> None:
    assert [next_stage(stage) for stage in (Stage.CONCEPT, Stage.POC, Stage.STAGING, Stage.CANARY)] == [
        Stage.POC,
        Stage.STAGING,
        Stage.CANARY,
        Stage.PRODUCTION,
    ]


def test_the_document_names_what_the_code_demands() -> None:
    """docs/gates.md lists, in one table a gate, each criterion with its tier and default bound."""
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = {match[0]: match[1].strip() for match in re.findall(r"^\| `([a-z_]+)` \| (\w+)", text, re.MULTILINE)}
    charter = {name: tier for tier, checks in CHECKS.items() for name, _, _ in checks}
    spec = use_case(FULL, tier="high")
    measures = {
        name: criterion
        for stage in (Stage.STAGING, Stage.CANARY)
        for live in (LIVE, "")
        for name, criterion in measured_criteria(spec, status_of(spec, Stage.POC, live), stage).items()
    }
    tiers = {"security": "limited", "privacy": "limited", "bias": "high"}
    expected = {**charter, **{name: tiers.get(name, "minimal") for name in measures}}
    always = ("rollout", "approvals", "policy", "on_call", "transparency")
    expected |= dict.fromkeys(always, "minimal")
    assert rows == expected
    for name, criterion in measures.items():
        if name in ("cost", "replay_latency"):
            continue
        bound = (
            f"at least {criterion.at_least:g}" if criterion.at_least is not None else f"at most {criterion.at_most:g}"
        )
        assert re.search(rf"^\| `{name}` \| \w+ \| .*{bound}", text, re.MULTILINE), f"{name}: {bound}"
    for name, guardrail in guardrails(use_case(BARE)).items():
        assert f"`{name}` (margin {guardrail.margin:g})" in text


def test_what_is_not_yet_known_says_how_many_it_takes() -> None:
    spec = use_case(FULL, tier="high")

    def line(measure: str, **more: Any) -> tuple[str, str]:
        found = fact(spec, measure, 0.0, 0.1, **more)
        door = gate(spec, status_of(spec, Stage.POC), Stage.STAGING, evidence=[found], approvals=[], now=NOW)
        one = next(criterion for criterion in door.criteria if criterion.name == measure)
        return one.says, one.opens_with

    says, opens = line("security", detail={"needed": {"0.05": 59}})
    assert "59 without a single failure" in opens
    assert "--suite security" in opens
    says, opens = line("bias", detail={"needed": 1_234})
    assert "(0 to 10.0, n = 100); it must be at most 5.0 points" in says
    assert "about 1,234 would do" in opens
    assert "--suite bias" in opens
    assert "without" not in line("privacy")[1]
