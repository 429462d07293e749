"""System cards: what they tell of a use case, what covers which duty, and when they do not fit any more."""

from __future__ import annotations

import base64
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.test_commands import (
    ADMIN,
    ANOTHER_GOAL,
    ANOTHER_MODEL,
    AUTHOR,
    OTHER,
    actions,
    do,
    folder,
    tick,
    to_canary,
)

from pilotage.cli.pack import card_in, write_pack
from pilotage.clock import HOUR, FrozenClock
from pilotage.errors import Refused, WrongCall
from pilotage.governance import checkpoint
from pilotage.governance.commands import Context
from pilotage.governance.ledger import canonical
from pilotage.report.framework import Framework, Item, Told, frameworks, mapped
from pilotage.report.page import card_page, card_text
from pilotage.spec.assessment import HIGH_RISK, PROHIBITED, TRANSPARENCY
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTIONS = (*PROHIBITED, *HIGH_RISK, *TRANSPARENCY)
TODAY = date(2026, 11, 23)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        made = Context(store, FrozenClock())
        do(made, "apply", **folder())
        yield made


def measured(context: Context, measure: str, value: float, **detail: Any) -> None:
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(1)
    stands = do(context, "status")["use_cases"][0]
    release, baseline = stands["candidate"], stands["live"]
    figures = {"value": value, "low": value, "high": value, "n": 300, "method": "test", "data": "d" * 64}
    do(
        context,
        "record_evidence",
        use_case="support",
        release=release,
        measure=measure,
        baseline=baseline,
        detail=detail,
        **figures,
    )


def items(card: dict[str, Any], framework: str) -> dict[str, dict[str, Any]]:
    found = next(one for one in card["frameworks"] if one["name"] == framework)
    return {item["id"]: item for item in found["items"]}


def stale(context: Context) -> list[str]:
    found: list[str] = do(context, "status")["use_cases"][0]["card"]["stale"]
    return found


def test_every_question_that_a_framework_asks_is_one_of_the_assessment() -> None:
    for framework in frameworks():
        assert framework.verified_on <= TODAY
        assert framework.source.startswith("https://")
        assert len({item.id for item in framework.items}) == len(framework.items)
        for item in framework.items:
            asked = [name for one in item.asks for name in framework.groups.get(one, (one,))]
            assert set(asked) <= set(QUESTIONS)
            # What cannot be shown here says why; everything else names what shows it.
            assert bool(item.needs) != bool(item.outside)
    dates = {item.id: item.since for item in frameworks()[0].items}
    assert dates["Art. 50(1)"] == date(2026, 8, 2)
    assert dates["Art. 9"] == date(2027, 12, 2)
    assert dates["Art. 5(1)(ba), (bb)"] == date(2026, 12, 2)
    assert [item.id for item in frameworks()[1].items] == [f"LLM{n:02}:2026" for n in range(1, 11)]
    assert len(frameworks()[2].items) == 12
    assert len(frameworks()[3].items) == 38


def test_an_item_is_covered_by_all_that_it_needs_and_applies_by_the_answers() -> None:
    told = {"a": Told(True, "A is there."), "b": Told(False, "B is not."), "c": Told(True, "C helps.")}
    made = {
        "whole": Item(id="whole", says="", needs=("a",), helps=("b", "c")),
        "half": Item(id="half", says="", needs=("a", "b")),
        "none": Item(id="none", says="", needs=("b",)),
        "never whole": Item(id="never whole", says="", needs=("a",), partial="Not all of it."),
        "outside": Item(id="outside", says="", outside="Elsewhere."),
        "yes": Item(id="yes", says="", asks=("group",), needs=("a",), since=date(2027, 12, 2)),
        "no": Item(id="no", says="", asks=("makes_content",), needs=("a",)),
        "unknown": Item(id="unknown", says="", asks=("makes_content", "reads_emotions"), needs=("a",)),
    }
    framework = Framework(
        name="f",
        title="F",
        source="https://f",
        verified_on=TODAY,
        verified_by="",
        says="",
        items=tuple(made.values()),
        groups={"group": ("education", "makes_content")},
    )
    answers = {"education": True, "makes_content": False, "reads_emotions": None}
    found = {item["id"]: item for item in mapped(framework, told, answers, TODAY)["items"]}
    assert {name: item["covered"] for name, item in found.items()} == {
        "whole": "covered",
        "half": "partly",
        "none": "open",
        "never whole": "partly",
        "outside": "outside",
        "yes": "covered",
        "no": "no",
        "unknown": "unknown",
    }
    assert found["whole"]["by"] == ["A is there.", "C helps."]
    assert found["half"]["lacks"] == ["B is not."]
    assert found["never whole"]["lacks"] == ["Not all of it."]
    assert (found["yes"]["in_force"], found["no"]["in_force"]) == (False, True)


def test_a_card_covers_a_risk_by_attacks_that_were_tried(context: Context) -> None:
    before = items(do(context, "card", use_case="support"), "owasp_llm_2026")["LLM01:2026"]
    assert (before["covered"], before["by"]) == ("open", [])
    tried = {"LLM01:2026": {"probes": 20, "succeeded": 0, "value": 0.0, "high": 0.139}}
    measured(context, "security", 0.01, risks=tried)
    after = items(do(context, "card", use_case="support"), "owasp_llm_2026")
    assert (after["LLM01:2026"]["covered"], after["LLM01:2026"]["lacks"]) == ("covered", [])
    assert "20 attacks of LLM01:2026 were tried, and 0 succeeded" in after["LLM01:2026"]["by"][0]
    assert after["LLM03:2026"]["covered"] == "open"
    # Where a gate asks for less than these few attacks can show, they show a part of it.
    gate = ("[rollout]", "[gates.staging]\nsecurity = { at_most = 0.02 }\n\n[rollout]")
    do(context, "apply", **folder(gate=gate))
    partly = items(do(context, "card", use_case="support"), "owasp_llm_2026")["LLM01:2026"]
    assert partly["covered"] == "partly"
    assert "bound the risk at 13.9 %; the 2 % that the gate asks for hold over all attacks" in partly["lacks"][0]


def test_a_card_that_was_given_out_says_what_does_not_fit_any_more(context: Context) -> None:
    assert do(context, "status")["use_cases"][0]["card"] is None
    measured(context, "quality_difference", 0.1)
    card = do(context, "card_issue", use_case="support")
    assert actions(context)[-1] == "card"
    assert stale(context) == []
    measured(context, "quality_difference", -0.1)
    assert any(says.startswith("quality_difference was ") for says in stale(context))
    do(context, "card_issue", use_case="support")
    assert stale(context) == []
    rules = base64.b64encode(b'name = "Acme"\n').decode()
    do(context, "policy_apply", ADMIN, file=rules)
    assert stale(context) == ["the organisation's rules have changed since"]
    do(context, "apply", **folder(goal=ANOTHER_GOAL))
    assert "the charter has changed since" in stale(context)
    do(context, "apply", **folder(goal=ANOTHER_GOAL, model=ANOTHER_MODEL))
    assert stale(context) == [
        f"it is about {card['release']}, and {do(context, 'status')['use_cases'][0]['live']} serves"
    ]
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


def test_the_same_card_is_given_out_once(context: Context) -> None:
    measured(context, "quality_difference", 0.1)
    first = do(context, "card_issue", use_case="support")
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(HOUR)
    do(context, "keys_create", ADMIN, name="another", roles=["infer"])
    assert do(context, "card_issue", OTHER, use_case="support") == first
    assert actions(context).count("card") == 1
    measured(context, "quality_difference", 0.2)
    second = do(context, "card_issue", use_case="support")
    assert (second["digest"] != first["digest"], actions(context).count("card")) == (True, 2)


def test_a_checkpoint_may_be_of_what_the_ledger_was(context: Context) -> None:
    measured(context, "quality", 0.8)
    entries = do(context, "ledger", ADMIN)["entries"]
    made = do(context, "ledger_checkpoint", ADMIN, entries=len(entries) - 1)
    kept = checkpoint.read(made["checkpoint"], made["key"])
    assert (kept.entries, kept.digest) == (entries[-2]["seq"], entries[-2]["digest"])
    with pytest.raises(WrongCall, match=f"the ledger has {len(entries)} entries, not {len(entries) + 1}"):
        do(context, "ledger_checkpoint", ADMIN, entries=len(entries) + 1)


def test_a_card_tells_who_agreed_and_what_of_it_counts_no_more(context: Context) -> None:
    def told() -> list[tuple[str, str]]:
        found = do(context, "card", use_case="support")["report"]["approvals"]
        return [(one["person"] or one["actor"], one["ended"]) for one in found]

    do(context, "approve", OTHER, use_case="support", reason="read it")
    assert [ended for _, ended in told()] == [""]
    do(context, "card_issue", use_case="support")
    assert stale(context) == []
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(1)
    do(context, "withdraw", OTHER, use_case="support", reason="read it again")
    ((who, ended),) = told()
    assert ended.startswith(f"withdrawn by {who} on ")
    assert stale(context) == ["who agreed is not what it was"]
    do(context, "approve", OTHER, use_case="support")
    assert [ended for _, ended in told()][1:] == [""]
    context.clock.advance(31 * 24 * HOUR)
    assert told()[1][1].startswith("it ended on ")


def test_a_card_tells_what_users_outcomes_showed(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "road.db")) as store:
        clock = FrozenClock()
        context = Context(store, clock)
        to_canary(context)
        before = do(context, "card", use_case="support")["report"]["outcomes"]
        assert (before["rollout"]["phase"], before["rollout"]["metrics"]) == ("running", [])
        tick(context)
        do(context, "card_issue", use_case="support")
        tick(context)
        card = do(context, "card", use_case="support")
        found = {one["metric"]: one for one in card["report"]["outcomes"]["rollout"]["metrics"]}
        assert card["report"]["outcomes"]["rollout"]["phase"] == "promoted"
        assert (found["resolved"]["role"], found["resolved"]["verdict"]) == ("goal", "pass")
        assert found["resolved"]["says"].startswith("resolved +")
        assert found["errors"]["shown"] == "shown to be no worse than its margin"
        # The yes that let it into canary has done its work, and does not end by its date any more.
        clock.advance(31 * 24 * HOUR)
        assert [one["ended"] for one in do(context, "card", use_case="support")["report"]["approvals"]] == [""]
        live = card["release"]
        assert [says for says in stale(context) if "serves now" in says or "it was in" in says] == [
            f"{live} serves now, and {card['report']['baseline']} did",
            "it was in canary, and is in production",
        ]
        assert "| resolved" not in card_text(card)
        assert "resolved +" in card_text(card)
        assert "resolved +" in card_page(card)


@pytest.mark.parametrize("evil", ["<script>x</script>", "a | b", "[x](javascript:y)", "`c`", "line\n# head"])
def test_markdown_means_nothing_that_people_wrote(context: Context, evil: str) -> None:
    facts = do(context, "card", use_case="support")
    told = card_text({**facts, "purpose": evil, "affected": [evil]})
    assert evil not in told
    assert "\n# head" not in told


RISK = """
[risks.attack]
says = "Somebody makes it say what it must not."
likelihood = 3
impact = 4
treated_by = ["gates.staging.security", "goals.resolved"]

[rollout]"""


def test_a_risk_says_what_its_treatment_has_shown(context: Context) -> None:
    do(context, "apply", **folder(risk=("\n[rollout]", RISK)))
    (before,) = do(context, "card", use_case="support")["risks"]
    assert [one["says"] for one in before["treated_by"]] == ["not shown yet", "not shown yet"]
    measured(context, "security", 0.01)
    card = do(context, "card", use_case="support")
    assert (card["appetite"], card["risks"][0]["level"]) == (6, 12)
    assert [one["by"] for one in card["risks"][0]["treated_by"]] == ["gates.staging.security", "goals.resolved"]
    assert [one["says"] for one in card["risks"][0]["treated_by"]] == [
        "measured, and no gate asks for it",
        "not shown yet",
    ]
    text = " ".join(card_page(card).split())
    assert "1 risk, 1 of them above the appetite of 6, each with something that treats it." in text
    assert card["untreated"] == []
    nothing = RISK.replace('"gates.staging.security", "goals.resolved"', "")
    do(context, "apply", **folder(risk=("\n[rollout]", nothing)))
    card = do(context, "card", use_case="support")
    assert card["untreated"] == ["attack"]
    assert "untreated: attack" in card_page(card)


def test_an_objective_shows_what_it_gets(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "road.db")) as store:
        context = Context(store, FrozenClock())
        rules = base64.b64encode(b'name = "Acme"\n[objectives.care]\nsays = "Answers at once"\n').decode()
        do(context, "policy_apply", ADMIN, file=rules)
        served = [(f"[goals.{name}]\n", f'[goals.{name}]\nobjective = "care"\n') for name in ("resolved", "wait")]
        to_canary(context, *served)
        assert do(context, "portfolio")["objectives"][0]["gets"] == []
        tick(context)
        found = do(context, "portfolio")
        got = found["objectives"][0]["gets"][0]
        assert (got["use_case"], got["goal"], got["proved"]) == ("support", "resolved", True)
        assert got["says"].startswith("resolved +20.0 points (")
        assert found["use_cases"][0]["card"] is None


def test_a_card_in_ones_hands_is_read_with_care(context: Context, tmp_path: Path) -> None:
    do(context, "approve", OTHER, use_case="support", reason="Words that stay apart.")
    made = do(context, "card_issue", use_case="support")
    file = tmp_path / "card.json"
    file.write_bytes(canonical({name: made[name] for name in made.keys() - {"digest", "words", "entry"}}))
    assert list(made["words"].values()) == ["Words that stay apart."]
    assert card_in(file) == made["digest"]
    with (tmp_path / "pack.zip").open("wb") as writing:
        write_pack(writing, {"card.json": file.read_bytes()})
    assert card_in(tmp_path / "pack.zip") == made["digest"]
    for data in (b"", b"[]", b"{}", b"1", b"PK\x03\x04 no zip", b'{"digest": 1}', b"[" * 100_000):
        file.write_bytes(data)
        with pytest.raises(WrongCall, match="is no card"):
            card_in(file)
    with pytest.raises(WrongCall, match="cannot be read"):
        card_in(tmp_path / "nowhere")


def test_what_a_card_says_is_too_old_counts_as_gone(context: Context) -> None:
    measured(context, "quality_difference", 0.1)
    do(context, "card_issue", OTHER, use_case="support")
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(91 * 24 * HOUR)
    assert any("missing now" in says for says in stale(context))


def test_a_card_needs_something_to_tell_of(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "empty.db")) as store:
        context = Context(store, FrozenClock())
        do(context, "apply", AUTHOR, **folder(none=('candidate = "model"\n', ""), live=('status_quo = "faq"\n', "")))
        with pytest.raises(Refused, match="neither a candidate nor anything that serves"):
            do(context, "card", use_case="support")
