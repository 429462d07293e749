"""Commands on the real store: who may do what, and what each leaves behind."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pilotage import access
from pilotage.access import Actor, Role
from pilotage.app.post import post
from pilotage.clock import HOUR, FrozenClock
from pilotage.decision.batch import Batch, Cell
from pilotage.decision.method import method_of
from pilotage.decision.observation import Observation
from pilotage.decision.statistics import Statistics, after, begin
from pilotage.decision.transition import decide, worth_recording
from pilotage.decision.verdict import judged
from pilotage.errors import Conflict, Denied, FaultyFile, GateClosed, NotFound, Refused, Tampered, WrongCall
from pilotage.governance.alarms import raise_alarm
from pilotage.governance.batches import Link
from pilotage.governance.commands import COMMANDS, Context, Reach, record_decision, run
from pilotage.governance.decisions import Seen
from pilotage.governance.mandate import Mandate
from pilotage.governance.progress import standing_of
from pilotage.governance.standing import Standing, standing
from pilotage.monitor.notices import TRIES, Notices
from pilotage.records import Alarm
from pilotage.report.page import page
from pilotage.spec.route import Route
from pilotage.status import Action, Decision, Stage
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pilotage.store.base.transaction import Store, Transaction

AUTHOR = Actor(id="key:author", roles=(Role.OPERATE, Role.APPROVE))
OTHER = Actor(id="key:other", roles=(Role.OPERATE, Role.APPROVE))
ADMIN = Actor(id="local:root", roles=(Role.ADMIN,))

FILE = """
name = "support"
owner = "Ada"
objective = "Fewer tickets"
tier = "minimal"
status_quo = "faq"
candidate = "model"

[goals.resolved]
today = 0.5
target = 0.6
minimum_effect = 0.02

[goals.wait]
kind = "duration"
direction = "down"
high = 60
minimum_effect = 2

[variants.faq]
upstream = "search"
knowledge = ["knowledge/*.md"]

[variants.model]
upstream = "openai"
model = "small"
prompt = "prompts/model.jinja"
fallback = ["faq"]
price = { input = 0.1, output = 0.4 }

[evaluation]
cases = ["cases/*.jsonl"]

[approvals]
canary = 1

[rollout]
steps = [{ share = 10 }, { share = 50, demands = ["prove"] }]
minimum_units = 50
minimum_duration = "0s"
"""
CASE = json.dumps({"id": "a1", "text": "Where is my parcel?", "required": [["tracking"]]})
FOLDER = {
    "usecase.toml": FILE,
    "knowledge/returns.md": "# Returns\nWithin 30 days.",
    "prompts/model.jinja": "Answer briefly.",
    "cases/first.jsonl": CASE,
}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        yield Context(store, FrozenClock())


def folder(**changes: tuple[str, str]) -> dict[str, Any]:
    """Return the arguments of `apply`; `changes` replace text in `usecase.toml`."""
    files = dict(FOLDER)
    for old, new in changes.values():
        assert old in files["usecase.toml"]
        files["usecase.toml"] = files["usecase.toml"].replace(old, new)
    return {"files": {path: base64.b64encode(text.encode()).decode() for path, text in files.items()}}


ANOTHER_MODEL = ('model = "small"', 'model = "large"')
ANOTHER_GOAL = ("target = 0.6", "target = 0.7")
ANOTHER_BUDGET = ("[approvals]", "[budget]\na_day = 5\n\n[approvals]")


def do(context: Context, command: str, actor: Actor = AUTHOR, /, **arguments: Any) -> dict[str, Any]:
    result = run(context, actor, command, arguments)
    assert json.loads(json.dumps(result)) == result, "plain JSON data"
    return result


def actions(context: Context) -> list[str]:
    return [entry["action"] for entry in do(context, "ledger")["entries"]]


def stands(context: Context) -> Standing:
    with context.store.read() as tx:
        return standing(tx, "support")


def route(context: Context) -> Route:
    with context.store.read() as tx:
        (row,) = tx.serving.changed(0)
    return msgspec.json.decode(row.body, type=Route)


def proved(context: Context, measure: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    status = stands(context).status
    fields = {"release": status.candidate, "baseline": status.live, **more}
    return do(
        context,
        "record_evidence",
        use_case="support",
        measure=measure,
        value=low,
        low=low,
        high=high,
        n=100,
        method="test",
        data="d",
        **fields,
    )


def to_canary(context: Context, *changes: tuple[str, str]) -> None:
    do(context, "apply", **folder(**{old: (old, new) for old, new in changes}))
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)
    do(context, "approve", OTHER, use_case="support")
    do(context, "promote", use_case="support")


def shown(context: Context, *, good: bool = True) -> Statistics:
    """A thousand units a side at the present step: everything proved, or every second request an error."""
    found = stands(context)
    rollout = found.status.rollout
    assert rollout is not None
    rates = {"resolved": (500, 700), "errors": (0, 0 if good else 500)}
    statistics = begin(found.spec, rollout)
    metrics: dict[str, tuple[Cell, ...]] = {}
    for name, metric in judged(found.spec).items():
        ones = rates.get(name, (0, 0))
        cells = []
        for arm in range(1 + len(rollout.candidates)):
            values = [(20 - 10 * bool(arm)) * 1_000_000] * 1000
            if metric.kind == "binary":
                ones_here = ones[min(arm, 1)]
                values = [1_000_000] * ones_here + [0] * (1000 - ones_here)
            cells.append(Cell(rollout.generation, rollout.generation, arm, method_of(metric).gather(values)))
        metrics[name] = tuple(cells)
    arms = len(rollout.candidates)
    each = round(1000 * rollout.share / (1_000_000 - rollout.share) / arms)
    exposed = tuple((rollout.generation, arm, each if arm else 1000) for arm in range(1 + arms))
    batch = Batch(at=context.clock.now(), exposed=exposed, metrics=metrics, heard=("resolved", "wait"))
    return after(statistics, batch, found.spec, rollout)


def judge(context: Context, statistics: Statistics) -> tuple[Decision, Seen]:
    found = stands(context)
    rollout = found.status.rollout
    assert rollout is not None
    with context.store.read() as tx:
        approvals = tx.approvals.of("support")
    seen = Seen(Link(), Observation(rollout=rollout.id, at=context.clock.now()), approvals)
    decision = decide(found.spec, found.status, statistics, seen.observation, approvals, context.clock.now())
    return decision, seen


def tick(context: Context, *, good: bool = True) -> Action:
    found, statistics = stands(context), shown(context, good=good)
    decision, seen = judge(context, statistics)
    assert found.status.rollout is not None
    if worth_recording(decision):
        with context.store.write() as tx:
            record_decision(tx, found.status, decision, seen)
    else:
        with context.store.write() as tx:
            standing_json = standing_of(found.spec, found.status.rollout, statistics, decision)
            tx.batches.keep(found.status.rollout.id, statistics.seq, b"", standing_json)
    return decision.action


# Registering.


def test_the_first_registration_serves_what_exists_today(context: Context) -> None:
    result = do(context, "apply", **folder())
    assert result["live"] == result["releases"]["faq"]
    assert result["candidate"] == result["releases"]["model"]
    assert (result["stage"], result["unchanged"], result["ledger"]) == ("concept", False, 1)
    assert actions(context) == ["register"]
    served = route(context)
    assert served.live == result["live"]
    assert set(served.releases) == set(result["releases"].values())
    assert served.allocation is None
    assert served.metrics["resolved"].kind == "binary"
    # Above a duration's cap a value counts as the cap, so the door does not refuse it.
    assert served.metrics["wait"].fault(90.0) == ""
    assert served.metrics["wait"].fault(-1.0)


def test_the_same_folder_again_changes_nothing(context: Context) -> None:
    do(context, "apply", **folder())
    before = stands(context)
    result = do(context, "apply", OTHER, **folder())
    assert (result["unchanged"], result["ledger"]) == (True, None)
    assert stands(context) == before
    assert actions(context) == ["register"]


def test_an_edited_candidate_is_a_new_release_that_begins_again(context: Context) -> None:
    first = do(context, "apply", **folder())
    do(context, "promote", use_case="support")
    second = do(context, "apply", **folder(a=ANOTHER_MODEL))
    assert second["candidate"] != first["candidate"]
    assert (second["stage"], second["live"]) == ("concept", first["live"])
    assert actions(context) == ["register", "promote", "release"]
    assert stands(context).status.ended[-1].how == "replaced"
    assert first["candidate"] in route(context).releases, "still there to be pinned"


def test_a_changed_charter_is_a_decision_that_voids_evidence_and_approvals(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    do(context, "approve", OTHER, use_case="support")
    before = stands(context).status.charter
    result = do(context, "apply", **folder(a=ANOTHER_GOAL))
    assert result["stage"] == "concept"
    entry = do(context, "ledger", newest=1)["entries"][0]
    assert (entry["action"], entry["detail"]["changed"]) == ("charter", ["goals"])
    assert (entry["detail"]["charter_before"], entry["detail"]["charter"]) == (before, result["charter"])
    assert [fact["counts"] for fact in do(context, "evidence", use_case="support")["evidence"]] == [False]
    do(context, "promote", use_case="support")
    with pytest.raises(GateClosed):
        do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    gate = do(context, "status", use_case="support")["use_cases"][0]["gate"]
    assert {line["name"]: line["verdict"] for line in gate["criteria"]}["approvals"] == "missing"


def test_an_earlier_charter_that_comes_back_revives_nothing(context: Context) -> None:
    _at_staging(context)
    first = stands(context).status.charter
    do(context, "apply", **folder(a=ANOTHER_GOAL))
    do(context, "apply", **folder())
    assert stands(context).status.charter != first
    assert [fact["counts"] for fact in do(context, "evidence", use_case="support")["evidence"]] == [False, False]
    do(context, "promote", use_case="support")
    with pytest.raises(GateClosed, match=r"quality_difference \(missing\)"):
        do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)
    with pytest.raises(GateClosed, match=r"approvals \(missing\)"):
        do(context, "promote", use_case="support")
    assert do(context, "apply", **folder())["unchanged"] is True


def test_nobody_switches_four_eyes_off_unseen(context: Context) -> None:
    """Asking for fewer approvals is a decision about the charter, and the candidate begins again."""
    do(context, "apply", **folder())
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)
    with pytest.raises(GateClosed, match=r"approvals \(missing\)"):
        do(context, "promote", use_case="support")
    result = do(context, "apply", **folder(a=("canary = 1", "canary = 0")))
    assert result["stage"] == "concept"
    entry = do(context, "ledger", newest=1)["entries"][0]
    assert (entry["action"], entry["detail"]["changed"]) == ("charter", ["approvals"])
    assert not any(fact["counts"] for fact in do(context, "evidence", use_case="support")["evidence"])


def test_another_budget_is_recorded_and_voids_nothing(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "promote", use_case="support")
    result = do(context, "apply", **folder(a=ANOTHER_BUDGET))
    assert result["stage"] == "poc"
    assert actions(context)[-1] == "register"
    assert do(context, "ledger", newest=1)["entries"][0]["detail"]["changed"] == ["budget"]


def test_faults_register_nothing(context: Context) -> None:
    with pytest.raises(FaultyFile) as caught:
        do(context, "apply", **folder(a=('owner = "Ada"', "owner = 3"), b=("today = 0.5", "today = 7")))
    assert len(caught.value.faults) == 2
    assert do(context, "status")["use_cases"] == []
    assert actions(context) == []
    with context.store.read() as tx:
        assert tx.serving.changed(0) == []
    with pytest.raises(WrongCall, match="not base64"):
        do(context, "apply", files={"usecase.toml": "name = 3"})


@pytest.mark.parametrize("change", [ANOTHER_MODEL, ANOTHER_GOAL, ("minimum_units = 50", "minimum_units = 60")])
def test_nothing_that_a_rollout_is_judged_by_changes_under_it(context: Context, change: tuple[str, str]) -> None:
    to_canary(context)
    before, told = stands(context), actions(context)
    with pytest.raises(Conflict, match="rollout under way"):
        do(context, "apply", **folder(a=change))
    assert stands(context) == before
    assert actions(context) == told
    assert do(context, "apply", **folder(a=ANOTHER_BUDGET))["stage"] == "canary"


def test_without_a_status_quo_nothing_serves_yet(context: Context) -> None:
    result = do(context, "apply", **folder(a=('status_quo = "faq"\n', "")))
    assert result["live"] == ""
    assert route(context).live == ""
    later = do(context, "apply", **folder())
    assert later["live"] == later["releases"]["faq"], "what is named later as existing today serves from then on"


# Moving on and back.


def test_a_closed_gate_says_what_would_open_it(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "promote", use_case="support")
    preview = do(context, "promote", use_case="support", dry_run=True)
    assert (preview["from"], preview["to"], preview["done"]) == ("poc", "staging", False)
    assert preview["gate"]["open"] is False
    with pytest.raises(GateClosed) as caught:
        do(context, "promote", use_case="support")
    assert "pilotage evaluate support" in caught.value.hint
    assert caught.value.gate == preview["gate"]
    assert stands(context).status.stage is Stage.POC


def test_a_dry_run_moves_nothing(context: Context) -> None:
    do(context, "apply", **folder())
    preview = do(context, "promote", use_case="support", dry_run=True)
    assert (preview["gate"]["open"], preview["done"]) == (True, False)
    assert stands(context).status.stage is Stage.CONCEPT
    assert actions(context) == ["register"]


def test_the_whole_road(context: Context) -> None:
    to_canary(context)
    split = route(context).allocation
    assert split is not None
    assert (split.share, split.step, split.generation) == (100_000, 0, 1)
    with pytest.raises(GateClosed):
        do(context, "promote", use_case="support")
    assert tick(context) is Action.ADVANCE
    split = route(context).allocation
    assert split is not None
    assert (split.share, split.step, split.generation) == (500_000, 1, 2)
    candidate = stands(context).status.candidate
    with pytest.raises(GateClosed, match="rollout"):
        do(context, "promote", use_case="support")  # proved at the step before, and not looked at in this one
    assert tick(context) is Action.PROMOTE
    after = stands(context).status
    assert (after.live, after.candidate, after.stage) == (candidate, "", Stage.PRODUCTION)
    assert route(context).allocation is None
    assert route(context).live == candidate
    assert actions(context) == [
        "register",
        "promote",
        "evidence",
        "promote",
        "evidence",
        "approve",
        "promote",
        "advance",
        "promote",
    ]
    assert do(context, "ledger_verify")["entries"] == 9


def test_a_person_may_take_the_last_step_once_its_gate_is_open(context: Context) -> None:
    to_canary(context, ("canary = 1", "canary = 1\nproduction = 1"))
    candidate = stands(context).status.candidate
    assert [tick(context), tick(context)] == [Action.ADVANCE, Action.HOLD]
    with pytest.raises(GateClosed, match="approvals"):
        do(context, "promote", use_case="support")
    do(context, "approve", OTHER, use_case="support")
    result = do(context, "promote", use_case="support", reason="seen enough")
    assert (result["to"], result["done"]) == ("production", True)
    assert stands(context).status.live == candidate


def test_harm_rolls_back_and_the_release_stays_ended(context: Context) -> None:
    to_canary(context)
    live = stands(context).status.live
    assert tick(context, good=False) is Action.ROLL_BACK
    status = stands(context).status
    assert (status.live, status.candidate, status.stage) == (live, "", Stage.CONCEPT)
    assert route(context).allocation is None
    assert do(context, "apply", **folder())["unchanged"] is True
    assert do(context, "apply", **folder(a=ANOTHER_BUDGET))["candidate"] == "", "it takes a change to try again"
    assert do(context, "apply", **folder(a=ANOTHER_MODEL))["stage"] == "concept"


def test_a_lost_race_does_nothing(context: Context) -> None:
    to_canary(context)
    found = stands(context)
    decision, seen = judge(context, shown(context))
    do(context, "pause", use_case="support", reason="a public holiday")
    before = stands(context)
    with pytest.raises(Conflict, match="decided on version"), context.store.write() as tx:
        record_decision(tx, found.status, decision, seen)
    assert stands(context) == before
    assert actions(context)[-1] == "pause"


def test_pause_resume_and_rollback_by_hand(context: Context) -> None:
    to_canary(context)
    assert do(context, "pause", use_case="support")["share"] == 100_000
    split = route(context).allocation
    assert split is not None, "the split stays as it is"
    with pytest.raises(Refused):
        do(context, "pause", use_case="support")
    with pytest.raises(GateClosed):
        do(context, "promote", use_case="support")
    assert do(context, "resume", use_case="support")["paused"] is False
    assert do(context, "rollback", use_case="support", reason="a complaint")["candidate"] == ""
    assert route(context).allocation is None
    assert actions(context)[-3:] == ["pause", "resume", "roll_back"]
    with pytest.raises(Refused, match="no earlier release"):
        do(context, "rollback", use_case="support")


def test_a_live_release_is_rolled_back(context: Context) -> None:
    to_canary(context)
    before = stands(context).status.live
    assert [tick(context), tick(context)] == [Action.ADVANCE, Action.PROMOTE]
    result = do(context, "rollback", use_case="support")
    assert (result["live"], result["stage"]) == (before, "concept")
    assert route(context).live == before


def test_a_report_of_what_was_rolled_back_says_so_and_keeps_what_was_measured(context: Context) -> None:
    to_canary(context)
    assert [tick(context), tick(context)] == [Action.ADVANCE, Action.PROMOTE]
    release = stands(context).status.live
    variant = release.partition("/")[2].partition("@")[0]

    def told() -> tuple[dict[str, Any], dict[str, Any], str]:
        facts = do(context, "report", use_case="support", variant=variant)
        known = {
            line["measure"]: (line["value"], line["low"], line["high"], line["verdict"], line["id"])
            for question in facts["questions"]
            for line in question["lines"]
            if "id" in line
        }
        return facts, known, page(facts)

    before, known, written = told()
    assert (before["stage"], before["ended"]) == ("production", None)
    assert known
    assert "It serves; no gate stands before it." in written
    do(context, "rollback", use_case="support", reason="worse since Tuesday")
    after, still, written = told()
    # What was measured, and what it was held against, is what it was.
    assert still == known
    assert after["baseline"] == before["baseline"] == stands(context).status.live
    assert (after["stage"], after["ended"]["how"]) == ("", "rolled_back")
    assert "Its way has ended" in written
    assert "It serves;" not in written
    # Without a name it is of what serves now.
    assert do(context, "report", use_case="support")["release"] == stands(context).status.live


def test_retired_use_cases_serve_nothing_and_take_nothing(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "retire", use_case="support", reason="done")
    assert (route(context).live, route(context).releases) == ("", {})
    for name in ("promote", "pause", "rollback", "approve", "retire"):
        with pytest.raises(Refused):
            do(context, name, OTHER, use_case="support")
    with pytest.raises(Refused, match="retired"):
        do(context, "apply", **folder(a=ANOTHER_MODEL))
    assert do(context, "status")["use_cases"][0]["stage"] == "retired"


def test_workers_take_what_only_the_application_can_say(context: Context) -> None:
    slow = '[guardrails.slow]\nsource = "slow"\nlimit = "4s"\ndirection = "down"\nmargin = 0.05\n\n'
    price = '[guardrails.price]\nsource = "cost"\nkind = "money"\ndirection = "down"\nmargin = 0.05\n\n'
    do(context, "apply", **folder(a=("[variants.faq]", f"{slow}{price}[variants.faq]")))
    doors = route(context).metrics
    assert set(doors) == {"resolved", "wait", "slow", "errors", "fallbacks"}
    assert all(doors[name].fault(2) for name in ("slow", "errors", "fallbacks"))


def test_the_analysis_follows_the_candidate(context: Context) -> None:
    def verdict() -> tuple[str, str]:
        found = do(context, "analysis", use_case="support")
        return found["verdict"], found["release"]

    do(context, "apply", **folder())
    candidate = stands(context).status.candidate
    assert verdict() == ("missing", candidate)
    to_canary(context)
    assert verdict() == ("missing", candidate)
    assert tick(context) is Action.ADVANCE
    shown = do(context, "analysis", use_case="support")
    assert (shown["verdict"], shown["phase"], shown["step"], shown["steps"]) == ("pass", "running", 2, 2)
    assert (shown["share"], shown["baseline"]) == (0.5, stands(context).status.live)
    goal, guardrail = shown["metrics"]["resolved"], shown["metrics"]["errors"]
    assert (goal["role"], goal["verdict"], goal["direction"]) == ("goal", "pass", "up")
    assert 0 < goal["low"] < goal["value"] < goal["high"]
    assert (guardrail["role"], guardrail["margin"], guardrail["units"]) == ("guardrail", 0.02, 1000)
    assert tick(context) is Action.PROMOTE
    assert verdict() == ("pass", candidate)
    do(context, "rollback", use_case="support", reason="a complaint")
    assert do(context, "analysis", use_case="support")["says"] == "a complaint"
    assert verdict() == ("fail", candidate)
    # The next candidate does not inherit what the one before it has shown.
    do(context, "apply", **folder(a=ANOTHER_MODEL))
    other = stands(context).status.candidate
    assert other != candidate
    assert verdict() == ("missing", other)
    do(context, "retire", use_case="support")
    assert verdict()[0] == "missing"


def test_the_document_shows_the_analysis_as_it_is(context: Context) -> None:
    text = (Path(__file__).parents[2] / "docs/flags.md").read_text()
    sample = json.loads(text.partition("<!-- sample: analysis -->\n```json")[2].partition("```")[0])
    to_canary(context)
    tick(context)
    shown = do(context, "analysis", use_case="support")
    assert list(sample) == list(shown)
    for metric in ("resolved", "errors"):
        assert list(sample["metrics"][metric]) == list(shown["metrics"][metric])
    # What the examples for deployment tools read is there.
    for fields in re.findall(r"result\.([a-z.]+)", text):
        found: Any = shown
        for field in fields.split("."):
            found = found[field]


def test_the_analysis_of_harm_is_a_failure(context: Context) -> None:
    to_canary(context)
    candidate = stands(context).status.candidate
    assert tick(context, good=False) is Action.ROLL_BACK
    found = do(context, "analysis", use_case="support")
    assert (found["verdict"], found["release"], found["phase"]) == ("fail", candidate, "rolled_back")
    assert found["metrics"]["errors"]["verdict"] == "fail"
    assert found["says"].startswith("Rolled back")


# Several candidates.

RIVAL = (
    ('candidate = "model"', 'candidate = "model"\nrivals = ["bold"]'),
    (
        "[evaluation]",
        '[variants.bold]\nupstream = "openai"\nmodel = "bold"\nprice = { input = 1, output = 2 }\n\n[evaluation]',
    ),
)


def rivals_to_canary(context: Context, *changes: tuple[str, str]) -> tuple[str, str]:
    do(context, "apply", **folder(**{old: (old, new) for old, new in (*RIVAL, *changes)}))
    candidates = stands(context).status.candidates
    do(context, "promote", use_case="support")
    for measure, low, high in (("quality_difference", 0.1, 0.2), ("replay_errors", 0.0, 0.01)):
        for release in candidates:
            with pytest.raises(GateClosed, match=rf"{release.split('/')[1].split('@')[0]}: {measure} \(missing\)"):
                do(context, "promote", use_case="support")
            proved(context, measure, low, high, release=release)
        if measure == "replay_errors":
            assert do(context, "approve", OTHER, use_case="support")["given"] == 1
        do(context, "promote", use_case="support")
    lead, rival = candidates
    return lead, rival


def test_rivals_go_the_same_way_and_one_is_promoted(context: Context) -> None:
    lead, rival = rivals_to_canary(context)
    split = route(context).allocation
    assert split is not None
    assert (split.candidate, split.rivals, split.out, split.share) == (lead, (rival,), (), 100_000)
    assert [entry["detail"]["release"] for entry in told(context, "approve")] == [lead, rival]
    assert tick(context) is Action.ADVANCE
    shown_now = do(context, "analysis", use_case="support")
    assert (shown_now["release"], set(shown_now["rivals"])) == (lead, {rival})
    assert tick(context) is Action.PROMOTE
    status = stands(context).status
    assert (status.live, status.candidates, status.stage) == (lead, (), Stage.PRODUCTION)
    assert [(ended.release, ended.how) for ended in status.ended] == [(lead, "promoted"), (rival, "not_chosen")]
    assert do(context, "ledger_verify")["ok"] is True
    assert (
        do(context, "apply", **folder(**{old: (old, new) for old, new in (*RIVAL, ANOTHER_BUDGET)}))["candidate"] == ""
    )
    # Who was not chosen did not fail: named again in another place, it tries again.
    alone = (('candidate = "model"', 'candidate = "bold"'), RIVAL[1])
    again = do(context, "apply", **folder(**{old: (old, new) for old, new in alone}))
    assert (again["candidate"], again["rivals"], again["stage"]) == (rival, [], "concept")


def test_each_candidate_is_measured_by_its_name(context: Context) -> None:
    do(context, "apply", **folder(**dict(zip("ab", RIVAL, strict=True))))
    lead, rival = stands(context).status.candidates
    plans = {name: do(context, "evaluation_plan", use_case="support", **name_of) for name, name_of in _NAMED.items()}
    assert {name: plan["candidate"] for name, plan in plans.items()} == {"": lead, "model": lead, "bold": rival}
    with pytest.raises(Refused, match="faq is no candidate of support"):
        do(context, "evaluation_plan", use_case="support", variant="faq")


_NAMED = {"": {}, "model": {"variant": "model"}, "bold": {"variant": "bold"}}


def told(context: Context, action: str) -> list[dict[str, Any]]:
    return [entry for entry in do(context, "ledger")["entries"] if entry["action"] == action]


def test_who_drops_out_gives_its_place_to_its_rival(context: Context) -> None:
    lead, rival = rivals_to_canary(context)
    found = stands(context)
    drop = Decision(action=Action.DROP, reason="worse", at=context.clock.now(), detail={"release": lead})
    _, seen = judge(context, shown(context))
    with context.store.write() as tx:
        record_decision(tx, found.status, drop, seen)
    status = stands(context).status
    assert (status.candidate, status.rivals, status.stage) == (rival, (), Stage.CANARY)
    split = route(context).allocation
    assert split is not None
    assert (split.candidate, split.rivals, split.out, split.generation) == (lead, (rival,), (lead,), 2)
    analysed = do(context, "analysis", use_case="support")
    assert (analysed["release"], analysed["rivals"]) == (rival, {lead: "rolled_back"})
    (listed,) = do(context, "status", use_case="support")["use_cases"]
    assert (listed["candidate"], listed["rollout"]["out"]) == (rival, {lead: "rolled_back"})
    assert do(context, "ledger_verify")["ok"] is True
    do(context, "rollback", use_case="support")
    assert stands(context).status.candidates == ()


def test_a_yes_is_to_all_that_are_on_their_way(context: Context) -> None:
    do(context, "apply", **folder())
    assert do(context, "approve", OTHER, use_case="support")["given"] == 1
    do(context, "apply", ADMIN, **folder(**dict(zip("ab", RIVAL, strict=True))))
    lines = do(context, "promote", use_case="support", dry_run=True)["gate"]["criteria"]
    assert "approvals" not in {line["name"] for line in lines}
    again = do(context, "approve", OTHER, use_case="support")
    assert (again["given"], len(again["rivals"])) == (1, 1)
    with pytest.raises(Denied, match="approved this already"):
        do(context, "approve", OTHER, use_case="support")
    with pytest.raises(Denied, match="nobody approves what they registered"):
        do(context, "approve", ADMIN, use_case="support")


# What a pause does.


def test_a_resumption_pardons_the_split_as_it_was_then(context: Context) -> None:
    to_canary(context)
    found = stands(context)
    assert found.status.rollout is not None
    statistics = shown(context)
    broken = msgspec.structs.replace(
        statistics,
        exposures=msgspec.structs.replace(
            statistics.exposures, splits=(statistics.exposures.splits[0].update(900, 1000, 0.1),)
        ),
    )
    decision, seen = judge(context, broken)
    assert decision.action is Action.PAUSE
    with context.store.write() as tx:
        record_decision(tx, found.status, decision, seen)
    later = broken.exposures.splits[0].update(900, 1000, 0.1)
    worse = msgspec.structs.replace(broken, exposures=msgspec.structs.replace(broken.exposures, splits=(later,)))
    held = judge(context, worse)[0]
    assert held.action is Action.HOLD
    with context.store.write() as tx:
        tx.batches.keep(found.status.rollout.id, 1, b"", standing_of(found.spec, found.status.rollout, worse, held))
    do(context, "resume", use_case="support", reason="repaired")
    assert judge(context, worse)[0].action is Action.ADVANCE
    still = msgspec.structs.replace(worse.exposures, splits=(later.update(900, 1000, 0.1),))
    assert judge(context, msgspec.structs.replace(worse, exposures=still))[0].action is Action.PAUSE


# Approvals and evidence.


def test_four_eyes(context: Context) -> None:
    do(context, "apply", **folder())
    with pytest.raises(Denied, match="nobody approves what they registered"):
        do(context, "approve", use_case="support")
    assert do(context, "approve", OTHER, use_case="support")["stage"] == "poc"
    with pytest.raises(Denied, match="approved this already"):
        do(context, "approve", OTHER, use_case="support")
    with pytest.raises(Conflict, match="what can be approved now is poc"):
        do(context, "approve", OTHER, use_case="support", stage="production")


def test_applying_anothers_folder_again_does_not_make_one_its_author(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "apply", OTHER, **folder(a=ANOTHER_BUDGET))
    with pytest.raises(Denied):
        do(context, "approve", AUTHOR, use_case="support")


def test_a_step_that_waits_for_a_yes_is_what_is_approved(context: Context) -> None:
    steps = ("{ share = 10 }", '{ share = 10, demands = ["safe", "approve"] }')
    do(context, "apply", **folder(a=steps))
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)
    do(context, "approve", OTHER, use_case="support")
    do(context, "promote", use_case="support")
    assert tick(context) is Action.HOLD
    rollout = stands(context).status.rollout
    assert rollout is not None
    assert do(context, "approve", OTHER, use_case="support")["stage"] == f"{rollout.id}/step-1"
    assert tick(context) is Action.ADVANCE
    assert do(context, "approve", OTHER, use_case="support")["stage"] == "production"


def test_evidence_is_checked(context: Context) -> None:
    do(context, "apply", **folder())
    with pytest.raises(NotFound, match="no release support/model@0"):
        proved(context, "quality", 0.1, 0.2, release="support/model@0")
    with pytest.raises(WrongCall, match="above high"):
        proved(context, "quality", 0.3, 0.2)
    with pytest.raises(WrongCall, match="finite"):
        proved(context, "quality", float("nan"), 0.2)
    assert do(context, "evidence", use_case="support") == {"evidence": []}


def test_all_evidence_is_kept(context: Context) -> None:
    do(context, "apply", **folder())
    for low in (0.1, 0.2):
        proved(context, "quality", low, 0.9)
    assert [fact["low"] for fact in do(context, "evidence", use_case="support")["evidence"]] == [0.1, 0.2]


def test_what_an_evaluation_asks_for(context: Context) -> None:
    applied = do(context, "apply", **folder())
    plan = do(context, "evaluation_plan", use_case="support")
    assert (plan["candidate"], plan["baseline"]) == (applied["candidate"], applied["live"])
    (file,) = plan["cases"]
    assert file["path"] == "cases/first.jsonl"
    assert base64.b64decode(do(context, "blob", digest=file["digest"])["data"]) == CASE.encode()
    with pytest.raises(NotFound):
        do(context, "blob", digest="0" * 64)
    mine = {"use_case": "support", "run": "r"}
    do(context, "record_results", **mine, results={"a1": {"reply": "one"}})
    do(context, "record_results", **mine, results={"a1": {"reply": "two"}, "a2": {}})
    assert do(context, "results", **mine) == {"results": {"a1": {"reply": "one"}, "a2": {}}}


def test_a_run_belongs_to_its_use_case(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "apply", **folder(name=('name = "support"', 'name = "billing"')))
    do(context, "record_results", use_case="support", run="r", results={"a": {"reply": "secret"}})
    theirs = Actor(id="key:x", roles=(Role.OPERATE,), use_cases=("billing",))
    for run_id in ("r", "support/r", "../support/r"):
        assert do(context, "results", theirs, use_case="billing", run=run_id) == {"results": {}}
    do(context, "record_results", theirs, use_case="billing", run="r", results={"a": {"reply": "mine"}})
    assert do(context, "results", use_case="support", run="r") == {"results": {"a": {"reply": "secret"}}}
    assert do(context, "results", theirs, use_case="billing", run="r") == {"results": {"a": {"reply": "mine"}}}
    calls: dict[str, dict[str, Any]] = {"results": {}, "record_results": {"results": {"a": {}}}}
    for name, more in calls.items():
        with pytest.raises(NotFound):
            do(context, name, use_case="nowhere", run="r", **more)


# Keys.


def test_a_secret_is_shown_once_and_stored_nowhere(context: Context) -> None:
    made = do(context, "keys_create", ADMIN, name="ci", roles=["infer", "feedback"], use_cases=["support"])
    secret = made["secret"]
    with context.store.read() as tx:
        key = tx.keys.get(made["id"])
        told = list(tx.ledger.read())
    assert key is not None
    assert access.matches(key, secret)
    listed = do(context, "keys_list", ADMIN)
    for text in (repr(key), repr(told), repr(listed)):
        assert secret not in text
        assert secret.split("_", 2)[2] not in text
    assert key.digest not in repr(told) + repr(listed)
    assert listed["keys"][0]["roles"] == ["infer", "feedback"]
    do(context, "keys_revoke", ADMIN, id=made["id"])
    with pytest.raises(Refused, match="revoked already"):
        do(context, "keys_revoke", ADMIN, id=made["id"])
    assert [entry.action for entry in told] == ["key_create"]
    assert actions(context) == ["key_create", "key_revoke"]
    assert do(context, "keys_list", ADMIN) == {"keys": []}
    assert do(context, "keys_list", ADMIN, ended=True)["keys"][0]["revoked"] > 0
    with pytest.raises(NotFound):
        do(context, "keys_revoke", ADMIN, id="nobody")


def test_keys_change_what_workers_poll(context: Context) -> None:
    before = context.store.change()
    do(context, "keys_create", ADMIN, name="ci", roles=["infer"])
    assert context.store.change() > before


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x", "roles": []},
        {"name": "x", "roles": ["god"]},
        {"name": "", "roles": ["infer"]},
        {"name": "x", "roles": ["infer"], "expires": 5},
        {"name": "x", "roles": ["infer"], "use_cases": ["No Such"]},
    ],
)
def test_faulty_keys_are_refused(context: Context, wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongCall):
        do(context, "keys_create", ADMIN, **wrong)
    assert do(context, "keys_list", ADMIN) == {"keys": []}


# Who may call what.

ARGUMENTS: dict[str, dict[str, Any]] = {
    "apply": folder(),
    "record_evidence": {
        "use_case": "support",
        "release": "r",
        "measure": "m",
        "value": 0,
        "low": 0,
        "high": 0,
        "n": 1,
        "method": "m",
        "data": "d",
    },
    "alarm_acknowledge": {"use_case": "support", "alarm": "0199"},
    "alarm_resolve": {"use_case": "support", "alarm": "0199"},
    "recheck_plan": {"use_case": "support"},
    "record_round": {"use_case": "support", "release": "support/a@0", "said": {}},
    "record_retirement": {"use_case": "support", "release": "support/a@0", "at": 0},
    "record_recheck": {"use_case": "support", "release": "support/a@0", "value": 0.0, "low": 0.0, "high": 0.0, "n": 1},
    "alarm_examples": {"use_case": "support", "alarm": "0199"},
    "failures": {"use_case": "support"},
    "inference": {"use_case": "support", "inference": "0a"},
    "case_propose": {"use_case": "support", "inference": "0a", "case": {"text": "x", "exact": "y"}},
    "case_drop": {"use_case": "support", "case": "a"},
    "cases_taken": {"use_case": "support", "cases": ["a"]},
    "blob": {"digest": "0" * 64},
    "results": {"use_case": "support", "run": "r"},
    "record_results": {"use_case": "support", "run": "r", "results": {"a": {}}},
    "keys_create": {"name": "x", "roles": ["admin"]},
    "keys_revoke": {"id": "x"},
    "keys_rotate": {"id": "y"},
    "status": {},
    "ledger": {},
    "ledger_verify": {},
    "ledger_checkpoint": {},
    "ledger_anchor": {},
    "ledger_forget": {"seq": 1},
    "ledger_replay": {"seq": 1},
    "keys_list": {},
    "waive": {"use_case": "support", "criterion": "quality", "reason": "r"},
    "policy_apply": {"file": ""},
    "data_find": {"unit": "u"},
    "data_export": {"unit": "u", "reason": "asked for"},
    "data_erase": {"unit": "u"},
    "evidence_key": {},
    "evidence_import": {"use_case": "support", "bundle": "{}"},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_roles_are_needed(context: Context, name: str) -> None:
    do(context, "apply", **folder())
    told = actions(context)
    for role in set(Role) - set(COMMANDS[name].roles) - {Role.ADMIN}:
        with pytest.raises(Denied, match="lacks the role"):
            run(context, Actor(id="key:x", roles=(role,)), name, ARGUMENTS.get(name, {"use_case": "support"}))
    assert actions(context) == told


@pytest.mark.parametrize("name", COMMANDS)
def test_a_key_of_another_use_case_is_refused(context: Context, name: str) -> None:
    do(context, "apply", **folder())
    told = actions(context)
    stranger = Actor(id="key:x", roles=tuple(Role), use_cases=("billing",))
    arguments = ARGUMENTS.get(name, {"use_case": "support"})
    if name == "portfolio":
        assert run(context, stranger, name, {})["use_cases"] == []
        return
    if name == "policy_show":
        with pytest.raises(NotFound, match="no rules"):
            run(context, stranger, name, {})
        return
    if name == "names":
        assert run(context, stranger, name, {}) == {"use_cases": []}
    if name == "status":
        assert run(context, stranger, name, {}) == {"use_cases": []}
        arguments = {"use_case": "support"}
    if name == "board":
        found = run(context, stranger, name, {})
        assert (found["use_cases"], found["registered"]) == (0, True)
        assert not any(stage["cards"] or stage["use_cases"] for stage in found["stages"])
        return
    with pytest.raises(Denied):
        run(context, stranger, name, arguments)
    assert actions(context) == told
    assert COMMANDS[name].reach in Reach


def test_a_key_of_this_use_case_may_act_on_it(context: Context) -> None:
    mine = Actor(id="key:x", roles=(Role.OPERATE,), use_cases=("support",))
    do(context, "apply", mine, **folder())
    digest = do(context, "evaluation_plan", mine, use_case="support")["cases"][0]["digest"]
    assert do(context, "blob", mine, digest=digest)["data"]
    assert do(context, "ledger", mine, use_case="support")["entries"]
    assert len(do(context, "status", mine)["use_cases"]) == 1
    with pytest.raises(Denied, match="whole workspace"):
        do(context, "ledger", mine)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("promte", {}, "no command 'promte'"),
        ("promote", {}, "missing required field `use_case`"),
        ("promote", {"use_case": "support", "force": True}, "unknown field `force`"),
        ("promote", {"use_case": 3}, "Expected `str`, got `int`"),
        ("promote", {"use_case": "support", "dry_run": "yes"}, "Expected `bool`"),
        ("ledger", {"after": -1}, ">= 0"),
        ("ledger", {"after": 2**63}, "`after`|\\$.after"),
        ("ledger", {"newest": 2**70}, "\\$.newest"),
        ("pause", {"use_case": "support", "reason": "x" * 2001}, "<= 2000"),
        ("promote", {"use_case": "support", "reason": "x" * 2001}, "<= 2000"),
        ("approve", {"use_case": "support", "reason": "x" * 2001}, "<= 2000"),
        ("approve", {"use_case": "support", "stage": "x" * 2001}, "<= 2000"),
        ("status", {"use_case": "x" * 2001}, "<= 2000"),
        ("results", {"use_case": "support", "run": "x" * 2001}, "<= 2000"),
    ],
)
def test_wrong_calls_teach(context: Context, name: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongCall, match=says) as caught:
        run(context, AUTHOR, name, arguments)
    assert caught.value.hint


def test_an_unknown_use_case_is_not_found(context: Context) -> None:
    with pytest.raises(NotFound, match="no use case 'nothing'"):
        do(context, "promote", use_case="nothing")


# All or nothing.


class _Full(Exception):
    pass


class _Noun:
    """Passes reads through and fails on the write that the counter says."""

    def __init__(self, noun: Any, count: Callable[[], None]) -> None:
        self._noun, self._count = noun, count

    def __getattr__(self, name: str) -> Any:
        if name in ("put", "append"):
            self._count()
        return getattr(self._noun, name)


class _Transaction:
    def __init__(self, tx: Transaction, count: Callable[[], None]) -> None:
        self._tx, self._count = tx, count

    def __getattr__(self, name: str) -> _Noun:
        return _Noun(getattr(self._tx, name), self._count)


class FailingStore:
    """A store whose k-th write within a transaction fails, or, beyond the last, its commit."""

    def __init__(self, store: Store, fail_at: int) -> None:
        self._store, self._left, self.failed_in_commit = store, fail_at, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def write(self) -> Iterator[Any]:
        with self._store.write() as tx:
            yield _Transaction(tx, self._count)
            if self._left >= 0:
                self.failed_in_commit = True
                raise _Full

    def _count(self) -> None:
        if self._left == 0:
            raise _Full
        self._left -= 1


def _everything(store: Store) -> tuple[Any, ...]:
    with store.read() as tx:
        return (
            list(tx.ledger.read()),
            tx.statuses.all(),
            [tx.use_cases.get(name) for name in tx.use_cases.names()],
            tx.releases.of("support"),
            tx.serving.changed(0),
            tx.keys.all(),
            tx.evidence.of("support"),
            tx.approvals.of("support"),
        )


def _ready(context: Context) -> None:
    do(context, "apply", **folder())


def _at_staging(context: Context) -> None:
    do(context, "apply", **folder())
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)
    do(context, "approve", OTHER, use_case="support")


def _measured(context: Context) -> None:
    do(context, "apply", **folder(a=("[approvals]", "[gates.poc]\ntone = { at_least = 0.9 }\n\n[approvals]")))
    proved(context, "tone", 0.1, 0.2)


TONE = {"use_case": "support", "criterion": "tone", "reason": "for now"}
POLICY = base64.b64encode(b'name = "T"\n[providers.mistral]\n').decode()


@pytest.mark.parametrize(
    ("before", "act", "writes"),
    [
        (None, lambda context: do(context, "apply", **folder()), 10),
        (_ready, lambda context: do(context, "apply", **folder(a=ANOTHER_GOAL)), 10),
        (_ready, lambda context: do(context, "promote", use_case="support"), 3),
        (_at_staging, lambda context: do(context, "promote", use_case="support"), 3),
        (to_canary, tick, 4),
        (to_canary, lambda context: do(context, "rollback", use_case="support"), 3),
        (_ready, lambda context: do(context, "approve", OTHER, use_case="support"), 2),
        (_ready, lambda context: proved(context, "quality", 0.1, 0.2), 2),
        (None, lambda context: do(context, "keys_create", ADMIN, name="x", roles=["infer"]), 2),
        (_ready, lambda context: do(context, "policy_apply", ADMIN, file=POLICY), 4),
        (_at_staging, lambda context: do(context, "withdraw", OTHER, use_case="support"), 2),
        (_measured, lambda context: do(context, "waive", OTHER, **TONE), 3),
    ],
    ids=[
        *("apply", "apply again", "promote", "start", "decision", "rollback", "approve", "evidence", "key"),
        *("policy", "withdraw", "waive"),
    ],
)
def test_a_fault_at_any_write_leaves_all_or_nothing(
    context: Context, before: Callable[[Context], None] | None, act: Callable[[Context], Any], writes: int
) -> None:
    if before is not None:
        before(context)
    untouched = _everything(context.store)
    failures = 0
    while True:
        failing = FailingStore(context.store, failures)
        with pytest.raises(_Full):
            act(Context(failing, context.clock))
        assert _everything(context.store) == untouched
        failures += 1
        if failing.failed_in_commit:
            break
    assert failures - 1 == writes
    act(context)
    assert _everything(context.store) != untouched
    assert do(context, "ledger_verify")["ok"] is True


def test_status_shows_the_gate_and_the_rollout(context: Context) -> None:
    to_canary(context)
    tick(context)
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(HOUR)
    (shown,) = do(context, "status", use_case="support")["use_cases"]
    assert (shown["owner"], shown["tier"], shown["stage"]) == ("Ada", "minimal", "canary")
    assert shown["rollout"]["share"] == 500_000
    assert shown["rollout"]["last"]["reason"].startswith("Advanced from 10 % to 50 %")
    assert shown["rollout"]["readings"]["resolved"]["proved"] is True
    assert shown["gate"]["stage"] == "production"


def test_alarms_are_raised_once_told_of_and_handled(context: Context) -> None:
    do(context, "apply", **folder(watch=NOTIFY))
    live = do(context, "status", use_case="support")["use_cases"][0]["live"]
    first = made_alarm(live)
    with context.store.write() as tx:
        spec = standing(tx, "support").spec
        raise_alarm(tx, spec, first)
        raise_alarm(tx, spec, msgspec.structs.replace(first, id="0199beef", at=first.at + HOUR))
        raise_alarm(tx, spec, msgspec.structs.replace(first, id="0199cafe", at=first.at + 2 * HOUR, acts=True))
    (alarm,) = do(context, "alarms", use_case="support")["alarms"]
    assert (alarm["id"], alarm["count"], alarm["acts"]) == (first.id, 3, True)
    with context.store.read() as tx:
        told = [(notice.event, notice.state) for notice in tx.notices.of("support")]
    assert told == [("raised", "waiting"), ("worse", "waiting")]
    assert actions(context)[-2:] == ["alarm", "alarm"]
    do(context, "alarm_acknowledge", use_case="support", alarm=first.id[:10], note="on it")
    with pytest.raises(Refused, match="acknowledged already, by key:author"):
        do(context, "alarm_acknowledge", use_case="support", alarm=first.id)
    do(context, "alarm_resolve", use_case="support", alarm=first.id)
    with pytest.raises(Refused, match="resolved already"):
        do(context, "alarm_resolve", use_case="support", alarm=first.id)
    with pytest.raises(NotFound, match="no alarm 'ffff'"):
        do(context, "alarm_resolve", use_case="support", alarm="ffff")
    assert do(context, "alarms", use_case="support") == {"alarms": [], "undelivered": []}
    assert do(context, "alarms", use_case="support", everything=True)["alarms"][0]["note"] == "on it"
    do(context, "ledger_verify", ADMIN)
    with context.store.write() as tx:
        tx.alarms.put(msgspec.structs.replace(first, state="resolved", note="nothing to see"))
    with pytest.raises(Tampered, match=f"alarm {first.id} is not as entry"):
        do(context, "ledger_verify", ADMIN)


def test_messages_that_nobody_took_are_listed_and_tried_again(context: Context) -> None:
    do(context, "apply", **folder(watch=NOTIFY))
    live = do(context, "status", use_case="support")["use_cases"][0]["live"]
    with context.store.write() as tx:
        raise_alarm(tx, standing(tx, "support").spec, made_alarm(live))
    sent: list[str] = []
    posted = ["answered 500"]

    def post(url: str, body: bytes, content_type: str) -> str:
        sent.append(f"{url} {content_type} {json.loads(body)['text']}")
        return posted[0]

    clock = context.clock
    assert isinstance(clock, FrozenClock)
    mandate = Mandate(context.store, "test", clock)
    assert mandate.renew()
    told = Context(context.store, clock, lambda name: "http://127.0.0.1:1/x" if name == "CALL_WEBHOOK_URL" else "")
    notices = Notices(told, mandate, post)
    for _ in range(TRIES + 3):
        notices.turn()
        clock.advance(HOUR)
        mandate.renew()
    assert len(sent) == TRIES
    assert sent[0].endswith(f"Alarm. support: resolved has been 40 %. ({live}, alarm 0199dead)")
    (dead,) = do(context, "alarms")["undelivered"]
    assert (dead["target"], dead["tries"], dead["why"]) == ("on-call", TRIES, "answered 500")
    assert do(context, "alarm_resend", use_case="support")["resent"] == 1
    posted[0] = ""
    notices.turn()
    notices.turn()
    assert len(sent) == TRIES + 1
    assert do(context, "alarms")["undelivered"] == []


def test_a_receiver_that_takes_nothing_is_asked_once_a_turn(context: Context) -> None:
    do(context, "apply", **folder(watch=NOTIFY))
    live = do(context, "status", use_case="support")["use_cases"][0]["live"]
    with context.store.write() as tx:
        for number in range(5):
            one = msgspec.structs.replace(made_alarm(live), id=f"0199dea{number}", watch=f"w{number}")
            raise_alarm(tx, standing(tx, "support").spec, one)
    mandate = Mandate(context.store, "test", context.clock)
    assert mandate.renew()
    told = Context(context.store, context.clock, lambda _: "http://127.0.0.1:1/x")
    sent: list[bytes] = []

    answers = ["answered 500"]

    def answer(url: str, body: bytes, content_type: str) -> str:
        sent.append(body)
        assert url
        assert content_type
        return answers.pop() if answers else ""

    notices = Notices(told, mandate, answer)
    notices.turn()
    assert len(sent) == 1
    notices.turn()
    # The one that was refused waits for its time.
    assert len(sent) == 1 + 4


def test_a_receiver_that_answers_a_byte_at_a_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.app.post.LONGEST_SECONDS", 0.2)
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while not done.wait(0.05):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=(listener,))
        dripping.start()
        said = post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}", "application/json")
        done.set()
        dripping.join()
    assert said.startswith("took longer than")


NOTIFY = (
    "[goals.wait]",
    '[watch]\nnotify = [{ name = "on-call", url_env = "CALL_WEBHOOK_URL", shape = "slack" }]\n\n[goals.wait]',
)


def made_alarm(release: str) -> Alarm:
    return Alarm(
        id="0199dead",
        use_case="support",
        release=release,
        kind="degradation",
        what="resolved",
        watch="resolved",
        at=FrozenClock().at,
        since=FrozenClock().at,
        says="has been 40 %",
        last=FrozenClock().at,
    )
