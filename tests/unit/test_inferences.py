"""Inferences found by what they were and what came of them, and cases made of them, on the real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.integration.control_rig import USE_CASE, files_of, write_use_case

from pilotage.access import Actor, Role
from pilotage.clock import DAY, MINUTE, SECOND, FrozenClock
from pilotage.decision.traits import asked_as_case, turns_of
from pilotage.errors import Conflict, Denied, NotFound, WrongCall
from pilotage.governance.commands import Context, run
from pilotage.governance.retention import expire_texts
from pilotage.records import Feedback, Finished, GuardrailHit, SpoolEvent, Started
from pilotage.store import inferences
from pilotage.store.base.holdings import Wanted
from pilotage.store.base.recorded import PlainText
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.holdings import Holdings
from pilotage.store.inferences import InferencesReader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts, TextWriter
from pilotage.store.workspace import Workspace

ADMIN = Actor(id="local:root", roles=(Role.ADMIN,))
OPERATOR = Actor(id="key:op", roles=(Role.OPERATE,))
T0 = 1_790_000_000 * SECOND
OLD, NEW = "help/before@000000000000", "help/after@111111111111"


def name_of(number: int) -> str:
    """Return the id of the request that came at T0 plus so many seconds."""
    return f"{(T0 + number * SECOND) // 1000:012x}7000{number:016x}"


class Rig:
    """A workspace with a use case, and events sealed one after the other."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.clock = FrozenClock(T0 + DAY)
        workspace = Workspace(folder / "ws").prepare()
        self.store = stack.enter_context(closing(SqliteStore(workspace.state)))
        self.sealer = stack.enter_context(closing(Sealer(workspace.events, self.store)))
        self.events = stack.enter_context(closing(EventsReader(workspace.events, self.store)))
        self.texts = Texts(workspace.texts)
        self.writer = TextWriter(workspace.texts, "w0", self.store, self.clock)
        held = Holdings(self.store, self.events, self.texts, self.sealer.erase)
        self.context = Context(self.store, self.clock, holdings=lambda: nullcontext(held))
        file = USE_CASE.replace("personal_data = false", 'personal_data = true\nretention = "full"')
        self("apply", ADMIN, files=files_of(write_use_case(folder / "help", file)))
        self.reader = InferencesReader(self.events)
        self._at = 0

    def __call__(self, name: str, actor: Actor = ADMIN, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, actor, name, arguments)

    def seal(self, *events: SpoolEvent) -> None:
        end = self._at + len(events)
        self.sealer.seal("w0-1", self._at, end, list(enumerate(events, self._at)), finished=False)
        self._at = end

    def ask(self, number: int, *, text: tuple[str, str] | None = None, ended: bool = True, **changes: Any) -> None:
        at = T0 + number * SECOND
        given: dict[str, Any] = {"release": OLD, "arm": "baseline", "unit": f"{number:032x}", "key": ""}
        mine = {key: changes.pop(key) for key in tuple(changes) if key in {*given, "source"}}
        begun = Started(id=name_of(number), use_case="help", at=at, deadline=at + MINUTE, **{**given, **mine})
        events: list[SpoolEvent] = [begun]
        if ended:
            release = begun.release
            events.append(
                Finished(id=begun.id, use_case="help", at=at + 5, **{"served": release, "status": 200, **changes})
            )
        if text is not None:
            plain = PlainText(
                inference=begun.id, use_case="help", unit=begun.unit, at=at, request=text[0], reply=text[1]
            )
            events += self.writer.write([plain])
        self.seal(*events)

    def say(self, number: int, value: float, metric: str = "resolved", **by: str) -> None:
        at = T0 + DAY
        self.seal(Feedback(id=f"f{number}", use_case="help", at=at, received=at, metric=metric, value=value, **by))

    def found(self, **wanted: Any) -> list[int]:
        reader = InferencesReader(self.events)
        return [int(one[16:], 16) for one in reader.search("help", Wanted(**wanted), most=2_000).ids]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with ExitStack() as stack:
        rig = Rig(stack, tmp_path_factory.mktemp("inferences"))
        hit = GuardrailHit("personal_data", "in", "redact", "email")
        rig.ask(1, duration=100, cost=5)
        rig.ask(2, duration=2_000, cost=50, release=NEW, arm="candidate", error="timeout", fallback=True, served=OLD)
        rig.ask(3, duration=300, hits=(hit,), text=("user: Mail ada@example.org the <b>list</b>", "Done, 50 % off"))
        rig.ask(4, ended=False, key="order-4")
        rig.ask(5, duration=400, cancelled=True, unit="e" * 32)
        rig.ask(6, duration=500, source="shadow", arm="shadow")
        rig.ask(7, text=("system: Be kind.\n\nuser: Hi\n\nassistant: Yes?\n\nuser: Where is it", "Nowhere."))
        rig.say(1, 0, inference=name_of(1))
        rig.say(2, 1, inference=name_of(3))
        rig.say(3, 0, key="order-4")
        rig.say(4, 1, unit="e" * 32)
        yield rig


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [7, 6, 5, 4, 3, 2, 1]),
        ({"release": NEW}, [2]),
        ({"arm": "baseline", "source": "live"}, [7, 5, 4, 3, 1]),
        ({"outcome": "error"}, [2]),
        ({"outcome": "fallback"}, [2]),
        ({"outcome": "cancelled"}, [5]),
        ({"outcome": "unfinished"}, [4]),
        ({"outcome": "answered"}, [7, 6, 3, 1]),
        ({"error": "timeout"}, [2]),
        ({"error": "') OR true --"}, []),
        ({"hit": "*"}, [3]),
        ({"hit": "personal_data"}, [3]),
        ({"hit": "personal"}, []),
        ({"duration": (300, 500)}, [6, 5, 3]),
        ({"cost": (6, None)}, [2]),
        ({"metric": "resolved"}, [5, 4, 3, 1]),
        ({"metric": "resolved", "value": (None, 0.0)}, [4, 1]),
        ({"metric": "resolved", "value": (0.5, None), "outcome": "cancelled"}, [5]),
        ({"metric": "complained"}, []),
        ({"unit": "e" * 32}, [5]),
        ({"since": T0 + 3 * SECOND, "until": T0 + 5 * SECOND}, [5, 4, 3]),
        ({"texts": True}, [7, 3]),
    ],
)
def test_what_is_wanted_is_found_newest_first(rig: Rig, wanted: dict[str, Any], numbers: list[int]) -> None:
    assert rig.found(**wanted) == numbers


def test_pages_follow_each_other_without_a_gap(rig: Rig) -> None:
    seen, before = [], ""
    while True:
        found = rig.reader.search("help", Wanted(), before=before, most=2)
        seen += found.ids
        if not found.older:
            break
        before = found.older
    assert seen == [name_of(number) for number in range(7, 0, -1)]


def test_a_long_search_ends_early_says_so_and_goes_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a store of which this is one part in a hundred thousand: a range holds one inference.
    monkeypatch.setattr(inferences, "FIRST", 1)
    monkeypatch.setattr(inferences, "WIDEST", 1)
    monkeypatch.setattr(inferences, "QUICK_SECONDS", 0.0)
    seen: list[str] = []
    before, rounds = "", 0
    while True:
        found = rig.reader.search("help", Wanted(release=OLD), before=before, most=50)
        seen += found.ids
        rounds += 1
        assert found.cut == bool(found.older)
        if not found.older:
            break
        before = found.older
    assert seen == [name_of(number) for number in (7, 6, 5, 4, 3, 1)]
    assert rounds > 3


def test_one_comes_with_all_that_came_of_it(rig: Rig) -> None:
    row = rig("inference", OPERATOR, use_case="help", inference=name_of(3))
    assert row["finished"]["duration"] == 300
    assert row["finished"]["hits"][0]["guardrail"] == "personal_data"
    assert [(one["metric"], one["value"], one["by"]) for one in row["feedback"]] == [("resolved", 1.0, "inference")]
    assert row["text"] is True
    assert row["turns"] == []
    waits = rig("inference", OPERATOR, use_case="help", inference=name_of(4))
    assert (waits["finished"], [one["by"] for one in waits["feedback"]]) == (None, ["key"])


def test_texts_are_for_admins_redacted_and_on_record_first(rig: Rig) -> None:
    asked = {"use_case": "help", "inference": name_of(3)}
    with pytest.raises(Denied):
        rig("inference", OPERATOR, **asked, texts=True)
    with pytest.raises(Denied):
        rig("inferences", OPERATOR, use_case="help", words="list")
    with pytest.raises(WrongCall, match="reason"):
        rig("inference", **asked, reveal=True)
    hidden = rig("inference", **asked, texts=True)
    assert hidden["turns"][0]["role"] == "user"
    assert "ada@example.org" not in json.dumps(hidden)
    assert "<b>list</b>" in hidden["turns"][0]["text"]
    shown = rig("inference", **asked, reveal=True, note="Ada asked for it")
    assert "ada@example.org" in shown["turns"][0]["text"]
    entries = [one for one in rig("ledger", newest=2)["entries"] if one["action"] == "inference_read"]
    assert [one["detail"].get("revealed", False) for one in entries] == [False, True]
    assert "Ada asked" not in json.dumps(entries)


def test_words_are_looked_for_in_what_is_shown(rig: Rig) -> None:
    def found(words: str, **more: Any) -> list[str]:
        return [one["id"] for one in rig("inferences", use_case="help", words=words, **more)["inferences"]]

    assert found("WHERE is  it") == [name_of(7)]
    assert found("50 % off") == [name_of(3)]
    assert found("ada@example.org") == [], "what redaction hides is not told by a search either"
    assert found("50 % off", outcome="cancelled") == []
    one = rig("inferences", use_case="help", words="e", most=1)
    assert (len(one["inferences"]), one["read"], one["older"]) == (1, 1, name_of(7))
    rest = rig("inferences", use_case="help", words="e", most=1, before=one["older"])
    assert (rest["inferences"][0]["id"], rest["older"]) == (name_of(3), "")
    assert rig("ledger", newest=1)["entries"][0]["action"] == "inferences_search"


def test_a_case_is_proposed_redacted_listed_and_taken(rig: Rig) -> None:
    case = {"text": "Mail bob@example.org?", "required": [["no", "never"]], "kind": "production"}
    made = rig("case_propose", use_case="help", inference=name_of(3), case=case, note="A wrong answer")
    assert made["id"] == f"production-{name_of(3)}"
    assert "bob@example.org" not in json.dumps(rig("cases", use_case="help"))
    assert "bob" not in json.dumps(rig("ledger", newest=1)["entries"])
    with pytest.raises(Conflict):
        rig("case_propose", use_case="help", inference=name_of(3), case=case)
    listed = rig("cases", use_case="help")["cases"]
    assert (listed[0]["note"], listed[0]["case"]["required"]) == ("A wrong answer", [["no", "never"]])
    assert rig("cases_taken", use_case="help", cases=[made["id"]])["cases"] == [made["id"]]
    assert rig("cases", use_case="help")["cases"] == []
    with pytest.raises(NotFound):
        rig("case_drop", use_case="help", case=made["id"])
    assert rig("ledger_verify")["ok"] is True


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ({"text": "Where?"}, "right answer"),
        ({"required": [["x"]]}, 'lacks "text"'),
        ({"text": "Where?", "required": "x"}, '"required" must be'),
        ({"text": "Where?", "requires": [["x"]]}, "did you mean"),
        ({"text": "Where?" * 60_000, "required": [["x"]]}, "too long"),
    ],
)
def test_what_is_no_case_is_refused_with_what_would_be_right(rig: Rig, case: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongCall, match=says):
        rig("case_propose", use_case="help", inference=name_of(3), case=case)
    with pytest.raises(NotFound):
        rig("case_propose", use_case="help", inference="00", case={"text": "Where?", "required": [["x"]]})
    with pytest.raises(Denied):
        rig("case_propose", OPERATOR, use_case="help", inference=name_of(3), case=case)


def test_a_case_goes_with_the_unit_it_is_of_and_with_its_time(rig: Rig) -> None:
    for number in (3, 7):
        rig("case_propose", use_case="help", inference=name_of(number), case={"text": "Where?", "exact": "There."})
    assert rig("data_find", digest=f"{7:032x}")["held"]["help"]["cases"] == 1
    assert rig("data_export", digest=f"{7:032x}", reason="asked")["data"]["help"]["cases"][0]["exact"] == "There."
    assert rig("data_erase", digest=f"{7:032x}")["erased"]["help"]["cases"] == 1
    assert [one["inference"] for one in rig("cases", use_case="help")["cases"]] == [name_of(3)]
    gone = rig("inference", use_case="help", inference=name_of(7), texts=True)
    assert "destroyed" in gone["gone"]
    rig.clock.advance(60 * DAY)
    expire_texts(rig.context, rig.texts)
    assert rig("cases", use_case="help")["cases"] == []


def test_turns_become_a_question_or_a_conversation() -> None:
    talk = turns_of("system: Be kind.\n\nuser: Hi\n\nassistant: Yes?\n\nuser: Where\n\nis it?")
    assert talk == [("system", "Be kind."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Where\n\nis it?")]
    turns = [{"role": role, "text": text} for role, text in talk]
    assert [one["content"] for one in asked_as_case(turns)["messages"]] == ["Hi", "Yes?", "Where\n\nis it?"]
    assert asked_as_case(turns[:2]) == {"text": "Hi"}
    assert asked_as_case(turns[:1]) == {}
    assert turns_of("what names no role") == [("user", "what names no role")]
    assert turns_of("") == []
