"""Ingest over a real spool, store and Parquet: what it counted is what it counts after it was stopped anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pilotage.access import Actor, Role
from pilotage.clock import HOUR, SECOND, FrozenClock
from pilotage.decision.observation import Observation
from pilotage.decision.transition import decide
from pilotage.errors import Conflict, WorkspaceUnusable
from pilotage.governance.commands import Context, run
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.rollout import ingest as module
from pilotage.rollout.controller import Controller
from pilotage.rollout.ingest import Ingest
from pilotage.rollout.observe import Observer
from pilotage.rollout.running import Running
from pilotage.rollout.watched import watched
from pilotage.status import Decision
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.spool import Reader, Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.sqlite.store import SqliteTransaction
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import files_of, write_use_case

LOCAL = Actor(id="local:test", roles=(Role.ADMIN,))


class House:
    """A workspace with a use case in canary, and no process but this one."""

    def __init__(self, path: Path) -> None:
        self.clock = FrozenClock()
        self.workspace = Workspace(path / "ws").prepare()
        self.store = SqliteStore(self.workspace.state)
        self.context = Context(self.store, self.clock)
        result = self.run("apply", files=files_of(write_use_case(path / "help")))
        fact = {"use_case": "help", "release": result["candidate"], "baseline": result["live"], "n": 400}
        for measure, value in (("quality_difference", 0.1), ("replay_errors", 0.0)):
            figures = {"value": value, "low": value, "high": value, "method": "test", "data": "0" * 64}
            self.run("record_evidence", measure=measure, **figures, **fact)
        for _ in range(3):
            self.run("promote", use_case="help")
        self.rollout = self.run("status", use_case="help")["use_cases"][0]["rollout"]["id"]

    def run(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, LOCAL, name, arguments)

    @contextmanager
    def ingest(self) -> Iterator[tuple[Ingest, Observer]]:
        """Leaving it without more is what a kill leaves: nothing but what is on disk."""
        observer = Observer()
        sealer = Sealer(self.workspace.events, self.store)
        with closing(sealer), closing(EventsReader(self.workspace.events, self.store)) as events:
            spool = Reader(self.workspace.spool)
            yield (
                Ingest(self.store, spool, sealer=sealer, events=events, observer=observer, clock=self.clock),
                observer,
            )

    def seen(self, observer: Observer) -> Observation:
        found = observer.observe("help", 0, now=self.clock.now())
        assert found is not None
        return found

    def events(self, generator: random.Random, count: int) -> list[SpoolEvent]:
        """Return requests of units that come back, fail, answer, answer twice and never answer."""
        made: list[SpoolEvent] = []
        for number in range(count):
            at = self.clock.now() + number * SECOND
            person = generator.randrange(count // 2)
            unit, arm = f"unit-{person}", ("candidate" if person % 2 else "baseline")
            made.append(
                Started(
                    id=f"i{number}",
                    use_case="help",
                    at=at,
                    release=f"help/{arm}@0",
                    arm=arm,
                    deadline=at + HOUR,
                    unit=unit,
                    rollout=self.rollout,
                    step=0,
                    share=500_000,
                )
            )
            error = generator.choice(["", "", "", "timeout"])
            made.append(Finished(id=f"i{number}", use_case="help", at=at, served="x", status=200, error=error))
            answer = Feedback(
                id=f"f{number}",
                use_case="help",
                at=at,
                received=at,
                metric=generator.choice(["resolved", "complained"]),
                value=float(generator.randrange(2)),
                inference=f"i{number}",
            )
            made += [answer] * generator.choice([0, 1, 1, 2])
        return made

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        yield made


@pytest.mark.parametrize("seed", range(4))
def test_stopped_anywhere_it_counts_the_same(house: House, seed: int) -> None:
    generator = random.Random(seed)
    events = house.events(generator, 200)
    house.clock.advance(HOUR)
    straight = Observer()
    with closing(Writer(house.workspace.spool, "w0")) as first, closing(Writer(house.workspace.spool, "w1")) as second:
        waiting = list(events)
        while waiting:
            batch, waiting = waiting[:60], waiting[60:]
            for event in batch:
                # Feedback goes through whichever worker it meets.
                (second if isinstance(event, Feedback) and generator.random() < 0.5 else first).append(event)
            with house.ingest() as (ingest, _):
                ingest.turn()
                if generator.random() < 0.7:
                    ingest.seal_due(everything=True)
        with house.ingest() as (ingest, rebuilt):
            ingest.turn()
            ingest.turn()
            after = house.seen(rebuilt)
    with house.store.read() as tx:
        assert tx.progress.files("started")
    with house.store.read() as tx:
        spec = Running().read(tx)["help"].spec
    straight.follow({"help": (house.rollout, watched(spec))})
    for event in events:
        straight.feed(event)
    straight.caught_up(house.clock.now())
    assert after == house.seen(straight)
    assert after.metrics["resolved"][0].candidate.total > 0


def test_segments_that_ended_are_sealed_and_removed(house: House) -> None:
    events = house.events(random.Random(1), 20)
    with closing(Writer(house.workspace.spool, "w0")) as writer:
        for event in events:
            writer.append(event)
        with house.ingest() as (ingest, _):
            ingest.turn()
            ingest.seal_due()
            assert Reader(house.workspace.spool).segments()
    with house.ingest() as (ingest, _):
        assert ingest.turn() == len(events)
        ingest.seal_due()
        assert Reader(house.workspace.spool).segments() == []
        assert ingest.turn() == 0
    with closing(EventsReader(house.workspace.events, house.store)) as reader:
        assert reader.query("SELECT count(*) AS n FROM started")[0]["n"] == 20


def test_what_cannot_be_sealed_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNSEALED_LIMIT", 2000)
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.ingest() as (ingest, observer):
        sealer = ingest._sealer

        class Full:
            def seal(self, *_: object, **__: object) -> None:
                raise WorkspaceUnusable("no space", hint="free some")

        ingest._sealer = Full()
        for event in house.events(random.Random(1), 50):
            writer.append(event)
            ingest.turn()
            ingest.seal_due(everything=True)
        held = house.seen(observer).metrics["errors"][0]
        assert ingest.lag > 0
        ingest._sealer = sealer
        for _ in range(3):
            ingest.seal_due(everything=True)
            ingest.turn()
        after = house.seen(observer).metrics["errors"][0]
        assert held.candidate.units + held.baseline.units < after.candidate.units + after.baseline.units
        with house.store.read() as tx:
            assert tx.progress.files("started")


class Ambiguous(SqliteStore):
    """The real store, whose next commit is made and said to have failed."""

    armed = False

    @contextmanager
    def write(self) -> Iterator[SqliteTransaction]:
        with super().write() as tx:
            yield tx
        if self.armed:
            self.armed = False
            raise WorkspaceUnusable("the state cannot be written", hint="check the disk")


@pytest.mark.parametrize("ends", [False, True])
def test_a_commit_that_was_made_after_all_holds_nothing_up(house: House, *, ends: bool) -> None:
    store = Ambiguous(house.workspace.state)
    first, more = house.events(random.Random(1), 30), house.events(random.Random(2), 40)[-20:]
    observer = Observer()
    with (
        closing(store),
        closing(Sealer(house.workspace.events, store)) as sealer,
        closing(EventsReader(house.workspace.events, store)) as events,
        closing(Writer(house.workspace.spool, "w0")) as writer,
        closing(Writer(house.workspace.spool, "w1")) as other,
    ):
        spool = Reader(house.workspace.spool)
        ingest = Ingest(store, spool, sealer=sealer, events=events, observer=observer, clock=house.clock)
        for event in first:
            writer.append(event)
        if ends:
            writer.close()
        ingest.turn()
        store.armed = True
        ingest.seal_due(everything=True)
        assert not store.armed
        later = other if ends else writer
        for event in more:
            later.append(event)
        ingest.turn()
        for _ in range(3):
            ingest.seal_due(everything=True)
        appended = [*first, *more]
        for table, kind in (("started", Started), ("finished", Finished)):
            rows = events.query(f"SELECT id FROM {table}")
            assert sorted(row["id"] for row in rows) == sorted(e.id for e in appended if isinstance(e, kind))
        assert len(spool.segments()) == 1
        with store.read() as tx:
            assert tx.progress.sealed(spool.segments()[0]) > 0


def test_where_somebody_else_seals_nothing_goes_on(house: House) -> None:
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.ingest() as (ingest, _):
        for event in house.events(random.Random(1), 10):
            writer.append(event)
        ingest.turn()
        (segment,) = Reader(house.workspace.spool).segments()
        with house.store.write() as tx:
            tx.progress.seal(segment, 0, 1 << 20, [], finished=False)
        with pytest.raises(Conflict, match="was read from 0"):
            ingest.seal_due(everything=True)


def test_a_start_that_cannot_read_what_is_sealed_counts_nothing_by_half(house: House) -> None:
    with closing(Writer(house.workspace.spool, "w0")) as writer:
        for event in house.events(random.Random(3), 50):
            writer.append(event)
        house.clock.advance(HOUR // 2)
        with house.ingest() as (ingest, observer):
            ingest.turn()
            ingest.seal_due(everything=True)
            expected = house.seen(observer)
        with house.ingest() as (ingest, observer):
            events = ingest._events

            class Away:
                def query(self, *_: object) -> list[dict[str, Any]]:
                    raise WorkspaceUnusable("a file is missing")

            ingest._events = Away()
            with pytest.raises(WorkspaceUnusable):
                ingest.turn()
            ingest._events = events
            ingest.turn()
            assert house.seen(observer) == expected


def test_a_start_whose_recount_fails_begins_anew_at_the_next_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Writer(house.workspace.spool, "w0")) as writer:
        for event in house.events(random.Random(4), 50):
            writer.append(event)
        house.clock.advance(HOUR // 2)
        with house.ingest() as (ingest, observer):
            ingest.turn()
            ingest.seal_due(everything=True)
            expected = house.seen(observer)
        with house.ingest() as (ingest, observer):
            fed: list[SpoolEvent] = []

            def breaks(event: SpoolEvent) -> None:
                fed.append(event)
                if len(fed) == 30:
                    raise OverflowError("too large")
                Observer.feed(observer, event)

            with monkeypatch.context() as failing:
                failing.setattr(observer, "feed", breaks)
                with pytest.raises(OverflowError):
                    ingest.turn()
            assert observer.observe("help", 0, now=house.clock.now()) is None
            ingest.turn()
            assert house.seen(observer) == expected


def test_a_tick_that_lost_the_race_does_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.ingest() as (ingest, observer):
        for event in house.events(random.Random(2), 120):
            writer.append(event)
        house.clock.advance(HOUR // 2)
        ingest.turn()
        heartbeats = Heartbeats(house.workspace.run)
        controller = Controller(house.context, observer, heartbeats, lag=lambda: 0, lost=lambda: 0)
        assert controller.use_cases() == ["help"]

        def slow(*given: Any, **named: Any) -> Decision:
            house.run("pause", use_case="help", reason="somebody was quicker")
            return decide(*given, **named)

        with monkeypatch.context() as patch:
            patch.setattr("pilotage.rollout.controller.decide", slow)
            assert controller.tick("help") is None
        before = house.run("ledger")["entries"]
        assert [entry["action"] for entry in before][-1] == "pause"
        assert controller.tick("help") is not None
        assert controller.tick("help") is None
        assert len(house.run("ledger")["entries"]) == len(before) + 1


def test_records_that_were_lost_hold_a_rollout(house: House) -> None:
    lost = 0
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.ingest() as (ingest, observer):
        heartbeats = Heartbeats(house.workspace.run)
        controller = Controller(house.context, observer, heartbeats, lag=lambda: 0, lost=lambda: lost)
        ingest.turn()
        assert controller.tick("help") is None
        for event in house.events(random.Random(2), 120):
            writer.append(event)
        house.clock.advance(HOUR // 2)
        ingest.turn()
        lost = 3
        for _ in range(3):
            assert controller.tick("help") is None
        lost = 0
        decision = controller.tick("help")
        assert decision is not None
        assert decision.detail["looks"]


def test_only_a_tick_that_came_to_its_end_is_a_heartbeat(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeats = Heartbeats(house.workspace.run)
    lag = 0
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.ingest() as (ingest, observer):
        controller = Controller(house.context, observer, heartbeats, lag=lambda: lag, lost=lambda: 0)
        controller.tick("help")
        assert heartbeats.heard(house.rollout) is None  # not followed yet, so not watched
        ingest.turn()
        controller.tick("help")
        first = heartbeats.heard(house.rollout)
        assert first is not None
        # What is counted is old: so far the rollout was watched, and no further.
        lag = 3600 * SECOND
        controller.tick("help")
        behind = heartbeats.heard(house.rollout)
        assert behind is not None
        assert behind < first
        lag = 0
        for event in house.events(random.Random(2), 120):
            writer.append(event)
        house.clock.advance(HOUR // 2)
        ingest.turn()

        def full(*_: Any) -> None:
            raise WorkspaceUnusable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("pilotage.rollout.controller.record_decision", full)
            with pytest.raises(WorkspaceUnusable):
                controller.tick("help")
        assert heartbeats.heard(house.rollout) == behind
        assert controller.tick("help") is not None
        again = heartbeats.heard(house.rollout)
        assert again is not None
        assert again > first
        assert controller.use_cases() == ["help"]
        assert heartbeats.heard(house.rollout) == again
        house.run("rollback", use_case="help")
        assert controller.use_cases() == []
        assert heartbeats.heard(house.rollout) is None
