"""Drift over real events, texts and keys: what is usual is learned, what moves is an alarm, and a death loses nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pilotage.access import Actor, Role
from pilotage.clock import DAY, HOUR, FrozenClock
from pilotage.errors import NotMeasured, WrongCall
from pilotage.governance.commands import Context, run
from pilotage.governance.mandate import Mandate
from pilotage.monitor.asked import AskedReader
from pilotage.monitor.drifts import Drifts
from pilotage.monitor.money import Money
from pilotage.monitor.watches import Watches
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.store.base.recorded import PlainText
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.holdings import Holdings
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts, TextWriter
from pilotage.store.workspace import Workspace

MIDNIGHT = 20_000 * DAY
LOCAL = Actor(id="local:test", roles=(Role.ADMIN,))
FILE = """
name = "help"
owner = "Ada"
status_quo = "faq"

[data]
retention = "{retention}"

[budget]
a_month = 20.0

[goals.resolved]
minimum_effect = 0.05

[watch]
tick = "1h"
{embedding}
[variants.faq]
upstream = "search"
knowledge = ["a.md"]

[variants.embedder]
upstream = "openai"
model = "text-embedding"
price = {{ input = 0.02, output = 0.0 }}
"""
KNOWN = ("card", "arrive", "delivery", "waiting", "post", "envelope", "transfer", "bank", "abroad", "iban")
OTHER = ("pizza", "recipe", "oven", "dough", "tomato", "cheese", "basil", "flour")


class House:
    def __init__(self, path: Path, retention: str) -> None:
        self.workspace = Workspace(path).prepare()
        self.clock = FrozenClock(MIDNIGHT)
        self.store = SqliteStore(self.workspace.state)
        self.sealer = Sealer(self.workspace.events, self.store)
        self.events = EventsReader(self.workspace.events, self.store)
        self.held = Holdings(self.store, self.events, Texts(self.workspace.texts), self.sealer.erase)
        self.context = Context(self.store, self.clock, holdings=lambda: nullcontext(self.held))
        self.writer = TextWriter(self.workspace.texts, "w0", self.store, self.clock)
        self.apply(retention)
        self.down = ""
        self.rng = np.random.default_rng(3)
        self.mandate = Mandate(self.store, "test")
        self.mandate.renew()
        self.texts = retention != "none"
        self.sealed = self.asked = 0
        self.begin()

    def begin(self) -> None:
        """Begin as a new process does, with nothing in memory."""
        watches = Watches(self.clock, lambda *_: pytest.fail("there was no rollout"))
        reader = AskedReader(self.store, self.events, Texts(self.workspace.texts))
        self.drifts = Drifts(self.context, reader, self.mandate, watches, self.clock.now, embed=self.embed)
        self.drifts.turn()

    def apply(self, retention: str, embedding: str = "") -> None:
        files = {"usecase.toml": FILE.format(retention=retention, embedding=embedding), "a.md": "# A\n\nB.\n"}
        self.run("apply", files={name: base64.b64encode(text.encode()).decode() for name, text in files.items()})

    def embed(self, use_case: str, release: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """A simulated embedder: questions about the same words are near to each other."""
        assert (use_case, release.partition("@")[0]) == ("help", "help/embedder")
        if self.down:
            raise NotMeasured(self.down)
        return np.array([[text.count(word) for word in (*KNOWN, *OTHER)] + [1.0] for text in texts], dtype=np.float32)

    def run(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, LOCAL, name, arguments)

    def say(self, event: SpoolEvent) -> None:
        self.sealed += 1
        self.sealer.seal(f"s{self.sealed}", 0, 1, [(0, event)], finished=True)

    def hours(self, hours: int, *, many: int = 40, other: float = 0.0, model: str = "m-1", cost: int = 900) -> None:
        live = self.status["live"]
        for _ in range(hours):
            events: list[SpoolEvent] = []
            for _ in range(many):
                self.asked += 1
                at, name = self.clock.now() + self.asked % 1_000, f"i{self.asked}"
                events.append(
                    Started(
                        id=name, use_case="help", at=at, release=live, arm="live", deadline=at + 10, unit=f"u{name}"
                    )
                )
                events.append(
                    Finished(
                        id=name, use_case="help", at=at + 5, served=live, status=200, duration=1_000, model=model,
                        cost=cost + int(self.rng.integers(200)),
                    )
                )  # fmt: skip
                if self.texts:
                    words = OTHER if self.rng.random() < other else KNOWN
                    said = "user: how do i " + " ".join(self.rng.choice(words, 3))
                    plain = PlainText(
                        inference=name, use_case="help", unit=f"u{name}", at=at, request=said, reply="So."
                    )
                    events += self.writer.write([plain])
            self.sealed += 1
            self.sealer.seal(f"s{self.sealed}", 0, 1, list(enumerate(events)), finished=True)
            self.clock.advance(HOUR)
            # The lease is of real time, and this machine may be slow.
            self.mandate.renew()
            self.drifts.turn()

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run("status", use_case="help")["use_cases"][0]
        return found

    @property
    def kept(self) -> dict[str, Any]:
        with self.store.read() as tx:
            (name,) = [name for name in tx.batches.rollouts() if name.endswith("-drift")]
            found: dict[str, Any] = json.loads((tx.batches.kept(name) or (0, b"", b"{}"))[2])
        return found

    @property
    def alarms(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run("alarms", use_case="help")["alarms"]
        return found


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    made = House(tmp_path / "ws", request.param)
    with closing(made.store), closing(made.sealer), closing(made.events):
        yield made


@pytest.mark.parametrize("house", ["redacted"], indirect=True)
def test_other_questions_are_noticed_with_examples(house: House) -> None:
    house.hours(28)
    assert house.kept["models"] == ["m-1"]
    assert house.alarms == []
    before = {one["stream"]: one["n"] for one in house.kept["slices"]}
    # A new process goes on from what was kept: nothing is looked at twice.
    house.begin()
    house.begin()
    assert {one["stream"]: one["n"] for one in house.kept["slices"]} == before
    house.hours(8, other=0.6)
    # Several slices move together, and are one alarm.
    (novel,) = house.alarms
    assert novel["kind"] == "drift"
    moved = [novel, *novel["detail"]["also"]]
    assert {"drift/novel+", "drift/unfamiliar>"} <= {part["watch"] for part in moved}
    assert 1 <= len(novel["detail"]["examples"]) <= 10
    assert novel["since"] >= MIDNIGHT + 24 * HOUR
    texts = house.run("alarm_examples", use_case="help", alarm=novel["id"])["examples"]
    assert {one["inference"] for one in texts} >= set(novel["detail"]["examples"])
    assert all(one["request"].startswith("user: how do i ") for one in texts)
    assert house.run("ledger", use_case="help")["entries"][-1]["action"] == "alarm_examples"
    # As they are kept only for a reason, which is on record with who asked.
    with pytest.raises(WrongCall, match="for a reason"):
        house.run("alarm_examples", use_case="help", alarm=novel["id"], reveal=True)
    house.run("alarm_examples", use_case="help", alarm=novel["id"], reveal=True, note="a customer asked")
    looked = house.run("ledger", use_case="help", spoken=True)["entries"][-1]
    assert (looked["actor"], looked["detail"]["revealed"]) == (LOCAL.id, True)
    assert looked["detail"]["reason"] == "a customer asked"
    # What failed, as questions to ask again.
    said = Feedback(id="f1", use_case="help", at=1, received=1, metric="resolved", value=0.0, inference="i700")
    house.say(said)
    house.say(msgspec.structs.replace(said, id="f2", inference="i701", value=1.0))
    house.say(msgspec.structs.replace(said, id="f3", inference="gone"))
    failed = house.run("failures", use_case="help")
    assert failed["gone"] == 1
    (one,) = failed["failures"]
    assert (one["inference"], one["metric"]) == ("i700", "resolved")
    assert one["question"].startswith("how do i ")
    assert house.run("ledger", use_case="help")["entries"][-1]["action"] == "failures"
    assert b"pizza" not in house.workspace.state.read_bytes()


@pytest.mark.parametrize("house", ["full"], indirect=True)
def test_vectors_take_the_place_of_words_where_the_file_names_an_embedder(house: House) -> None:
    house.down = "429: too many requests"
    house.apply("full", 'embedding = "embedder"')
    house.hours(30)
    # What is usual is learned without them meanwhile, and people are told once.
    assert {one["stream"].partition("=")[0] for one in house.kept["slices"]} >= {"novel+", "topic"}
    (alarm,) = house.alarms
    assert (alarm["kind"], alarm["what"]) == ("embedding", "the embedding of questions")
    assert "help/embedder@" in alarm["says"]
    assert alarm["says"].endswith("429: too many requests")
    assert house.kept["embedding"] == ""
    house.down = ""
    house.hours(1)
    # Learned anew, of vectors.
    assert house.kept["embedding"].startswith("help/embedder@")
    house.hours(6, other=0.8)
    assert "drift" in {one["kind"] for one in house.alarms}
    moved = [part["watch"] for one in house.alarms for part in (one, *one["detail"].get("also", ()))]
    assert "drift/novel+" in moved
    house.down = "503: down"
    seen, until = {one["stream"]: one["n"] for one in house.kept["slices"]}, house.kept["until"]
    house.hours(2)
    # Everything else is still looked at.
    now = {one["stream"]: one["n"] for one in house.kept["slices"]}
    assert now["novel+"] == seen["novel+"] > 0
    assert house.kept["until"] > until
    assert next(one for one in house.alarms if one["kind"] == "embedding")["count"] > 1


@pytest.mark.parametrize("house", ["none"], indirect=True)
def test_without_texts_a_price_and_a_model_are_noticed(house: House) -> None:
    house.hours(28)
    assert {one["stream"].rstrip("<>+-") for one in house.kept["slices"]} == {
        "cost", "duration", "filtered_in", "filtered_out",
    }  # fmt: skip
    assert house.alarms == []
    house.hours(6, cost=2_000, model="m-2")
    found = {alarm["watch"]: alarm for alarm in house.alarms}
    assert set(found) == {"drift/cost>", "model/m-2"}
    assert found["model/m-2"]["detail"] == {"models": ["m-2"], "before": ["m-1"]}
    assert found["model/m-2"]["count"] == 1


@pytest.mark.parametrize("house", ["none"], indirect=True)
def test_what_it_costs_comes_to_and_was_projected(house: House) -> None:
    money = Money(house.context, house.events, house.mandate, pause=0)
    live = house.status["live"]
    projected = {"value": 0.0005, "low": 0.0004, "high": 0.0006, "n": 50, "method": "made up", "data": "d"}
    house.run("record_evidence", use_case="help", release=live, measure="cost", **projected)
    house.hours(30, many=10)
    money.turn()
    assert house.status["money"]["forecasts"][0]["value"] is None
    house.hours(24 * 5, many=50)
    told = Feedback(
        id="f1",
        use_case="help",
        at=house.clock.now() - HOUR,
        received=house.clock.now(),
        metric="resolved",
        value=1.0,
        inference="i9",
    )
    house.say(told)
    house.mandate.renew()
    money.turn()
    found = house.status["money"]
    (month,) = found["forecasts"]
    assert month["low"] < month["value"] < month["high"]
    assert month["cap"] == 20 < month["low"]
    assert found["projected"]["a_request"]["actual"] == pytest.approx(0.001, rel=0.02)
    assert found["projected"]["a_request"]["error"] == pytest.approx(1.0, rel=0.05)
    assert found["projected"]["a_month"] is None
    day = next(day for day in found["days"] if day["reached"]["resolved"])
    assert day["a_goal"]["resolved"] == pytest.approx(day["spent"])
    (alarm,) = [alarm for alarm in house.alarms if alarm["kind"] == "money"]
    assert alarm["watch"] == f"money/{month['period']}"
    # The next month closes this one: what it came to stands in the ledger, beside what was said of it.
    house.clock.advance(35 * DAY)
    house.mandate.renew()
    money.turn()
    closed = house.run("ledger", use_case="help")["entries"][-1]
    assert closed["action"] == "money"
    assert closed["detail"]["projected"]["a_request"]["error"] == pytest.approx(1.0, rel=0.05)
    assert closed["detail"]["spent"] > 5
