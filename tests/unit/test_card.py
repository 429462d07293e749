"""System cards: what they tell of a use case, what covers which duty, and when they do not fit any more."""

from __future__ import annotations

import base64
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.test_commands import ADMIN, ANOTHER_GOAL, ANOTHER_MODEL, AUTHOR, OTHER, actions, do, folder

from pilotage.clock import HOUR, FrozenClock
from pilotage.errors import Refused
from pilotage.governance.commands import Context
from pilotage.report.framework import Framework, Item, Told, frameworks, mapped
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
    assert [item.id for item in frameworks()[1].items] == [f"LLM{n:02}:2026" for n in range(1, 11)]
    assert len(frameworks()[2].items) == 12


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
    assert after["LLM01:2026"]["covered"] == "covered"
    assert "20 attacks of LLM01:2026 were tried, and 0 succeeded" in after["LLM01:2026"]["by"][0]
    assert after["LLM03:2026"]["covered"] == "open"


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
