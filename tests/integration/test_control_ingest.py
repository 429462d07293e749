"""Ingest and the controller over a real spool, store and Parquet: wherever they were stopped, each unit counts once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from pilotage.access import Actor, Role
from pilotage.clock import HOUR, SECOND, FrozenClock
from pilotage.counting import ingest as module
from pilotage.counting import sealed as reading
from pilotage.counting.course import Course
from pilotage.counting.ingest import Ingest
from pilotage.counting.observe import Observer
from pilotage.counting.watched import Watched, watched
from pilotage.decision.batch import Batch
from pilotage.errors import Conflict, WorkspaceUnusable
from pilotage.governance.commands import Context, run
from pilotage.governance.mandate import Mandate
from pilotage.governance.progress import progress
from pilotage.governance.standing import standing
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.rollout.controller import Controller
from pilotage.rollout.running import Running
from pilotage.serving.routing import position
from pilotage.status import Action, Phase, RolloutStatus
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.spool import Reader, Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.sqlite.store import SqliteTransaction
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import USE_CASE, files_of, write_use_case
from tests.unit.brute_units import Brute, added

LOCAL = Actor(id="local:test", roles=(Role.ADMIN,))
SLOW = USE_CASE.replace('matures_after = "2s"', 'matures_after = "60s"')


class Engine(NamedTuple):
    ingest: Ingest
    observer: Observer
    controller: Controller


class House:
    """A workspace with a use case in canary, and no process but this one."""

    def __init__(self, path: Path) -> None:
        self.clock = FrozenClock()
        self.workspace = Workspace(path / "ws").prepare()
        self.store = SqliteStore(self.workspace.state)
        self.context = Context(self.store, self.clock)
        self.beats = Heartbeats(self.workspace.run)
        self.lag = self.lost = 0
        result = self.run("apply", files=files_of(write_use_case(path / "help", SLOW)))
        fact = {"use_case": "help", "release": result["candidate"], "baseline": result["live"], "n": 400}
        for measure, value in (("quality_difference", 0.1), ("replay_errors", 0.0)):
            figures = {"value": value, "low": value, "high": value, "method": "test", "data": "0" * 64}
            self.run("record_evidence", measure=measure, **figures, **fact)
        for _ in range(3):
            self.run("promote", use_case="help")

    def run(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, LOCAL, name, arguments)

    @property
    def rollout(self) -> RolloutStatus:
        with self.store.read() as tx:
            rollout = standing(tx, "help").status.rollout
        assert rollout is not None
        return rollout

    @property
    def metrics(self) -> tuple[Watched, ...]:
        with self.store.read() as tx:
            return tuple(watched(standing(tx, "help").spec))

    @contextmanager
    def engine(self, *, sealer: Any = None) -> Iterator[Engine]:
        """Leaving it without more is what a kill leaves: nothing but what is on disk."""
        observer = Observer(grace=0)
        mandate = Mandate(self.store, "test", self.clock)
        assert mandate.renew()
        opened = Sealer(self.workspace.events, self.store)
        with closing(opened), closing(EventsReader(self.workspace.events, self.store)) as events:
            spool = Reader(self.workspace.spool)
            ingest = Ingest(
                self.store,
                spool,
                sealer=sealer or opened,
                events=events,
                observer=observer,
                sources=(Running(),),
                clock=self.clock,
            )
            controller = Controller(
                self.context, observer, self.beats, mandate, lag=lambda: self.lag, lost=lambda: self.lost
            )
            yield Engine(ingest, observer, controller)

    def batches(self) -> list[Batch]:
        with self.store.read() as tx:
            rows = list(tx.batches.read(self.rollout.id))
        return [msgspec.msgpack.decode(body, type=Batch) for _, _, body, _ in rows]

    def events(self, generator: random.Random, count: int, *, error: float = 0.25) -> list[SpoolEvent]:
        """Return, in order of time, requests of units that come back, fail, answer, answer twice and never answer."""
        made: list[SpoolEvent] = []
        rollout = self.rollout
        for number in range(count):
            at = self.clock.now() + number * SECOND
            unit = f"unit-{generator.randrange(count // 2)}"
            mine = position(rollout.id, unit) < rollout.share
            started = Started(
                id=f"i{generator.getrandbits(64)}",
                use_case="help",
                at=at,
                release=rollout.candidate if mine else rollout.baseline,
                arm="candidate" if mine else "baseline",
                deadline=at + 30 * SECOND,
                unit=unit,
                rollout=rollout.id,
                step=0,
                share=rollout.share,
                generation=rollout.generation,
            )
            made.append(started)
            if generator.random() < 0.95:
                ended = at + generator.randrange(20 * SECOND)
                failed = "timeout" if generator.random() < error else ""
                made.append(Finished(id=started.id, use_case="help", at=ended, served="x", status=200, error=failed))
            said = at + generator.randrange(90 * SECOND)
            answer = Feedback(
                id=f"f{generator.getrandbits(64)}",
                use_case="help",
                at=said,
                received=said,
                metric=generator.choice(["resolved", "complained"]),
                value=float(generator.randrange(2)),
                inference=started.id,
            )
            made += [answer] * generator.choice([0, 1, 1, 2])
        return sorted(made, key=lambda event: event.at)

    def appended(self, events: list[SpoolEvent], *writers: Writer) -> None:
        """Append what has happened by now, each event to one of the writers."""
        for number, event in enumerate(events):
            self.clock.at = max(self.clock.at, event.at)
            writers[number % len(writers)].append(event)

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        yield made


@pytest.mark.parametrize("seed", range(4))
def test_stopped_anywhere_each_unit_counts_once(house: House, seed: int) -> None:
    generator = random.Random(seed)
    house.run("pause", use_case="help")
    events = house.events(generator, 300)
    with closing(Writer(house.workspace.spool, "w0")) as first, closing(Writer(house.workspace.spool, "w1")) as second:
        waiting = list(events)
        while waiting:
            size = generator.randrange(1, 120)
            now, waiting = waiting[:size], waiting[size:]
            with house.engine() as (ingest, _, controller):
                for start in range(0, len(now), 40):
                    house.appended(now[start : start + 40], first, second)
                    ingest.turn()
                    if generator.random() < 0.8:
                        controller.tick("help")
                if generator.random() < 0.5:
                    ingest.seal_due(everything=True)
    house.clock.advance(HOUR)
    with house.engine() as (ingest, _, controller):
        ingest.turn()
        for _ in range(3):
            controller.tick("help")
    assert house.rollout.phase is Phase.PAUSED
    with house.store.read() as tx:
        assert tx.progress.files("started")
    rollout = house.rollout
    expected = Brute(rollout.id, rollout.candidates, house.metrics, rollout.allocations).totals(events, house.clock.at)
    counted = added(house.batches(), house.metrics)
    assert (counted.sums, counted.exposed, counted.moved) == (expected.sums, expected.exposed, expected.moved)
    assert counted.heard == {"resolved", "complained"}
    assert sum(batch.late for batch in house.batches()) == 0
    assert sum(expected.sums["errors", 1, 1, 1]) > 20
    assert expected.sums["resolved", 1, 1, 1][0] > 0
    house.run("ledger_verify")


def test_segments_that_ended_are_sealed_and_removed(house: House) -> None:
    events = house.events(random.Random(1), 20)
    with closing(Writer(house.workspace.spool, "w0")) as writer:
        house.appended(events, writer)
        with house.engine() as (ingest, *_):
            ingest.turn()
            ingest.seal_due()
            assert Reader(house.workspace.spool).segments()
    with house.engine() as (ingest, *_):
        assert ingest.turn() == len(events)
        ingest.seal_due()
        assert Reader(house.workspace.spool).segments() == []
        assert ingest.turn() == 0
    with closing(EventsReader(house.workspace.events, house.store)) as reader:
        assert reader.query("SELECT count(*) AS n FROM started")[0]["n"] == 20


def test_what_cannot_be_sealed_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNSEALED_LIMIT", 2000)

    class Full:
        def seal(self, *_: object, **__: object) -> None:
            raise WorkspaceUnusable("no space", hint="free some")

    house.run("pause", use_case="help")
    events = house.events(random.Random(1), 50)
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.engine() as (ingest, _, controller):
        sealer, ingest._sealer = ingest._sealer, Full()
        for event in events:
            house.appended([event], writer)
            ingest.turn()
            ingest.seal_due(everything=True)
            controller.tick("help")
        house.clock.advance(HOUR)
        ingest.turn()
        controller.tick("help")
        held = sum(added(house.batches(), house.metrics).exposed.values())
        assert ingest.lag > 0
        ingest._sealer = sealer
        for _ in range(4):
            ingest.seal_due(everything=True)
            ingest.turn()
            controller.tick("help")
        assert 0 < held < sum(added(house.batches(), house.metrics).exposed.values())
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
    first, more = house.events(random.Random(1), 30), house.events(random.Random(2), 20)
    observer = Observer()
    with (
        closing(store),
        closing(Sealer(house.workspace.events, store)) as sealer,
        closing(EventsReader(house.workspace.events, store)) as events,
        closing(Writer(house.workspace.spool, "w0")) as writer,
        closing(Writer(house.workspace.spool, "w1")) as other,
    ):
        spool = Reader(house.workspace.spool)
        ingest = Ingest(
            store, spool, sealer=sealer, events=events, observer=observer, sources=(Running(),), clock=house.clock
        )
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
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.engine() as (ingest, *_):
        house.appended(house.events(random.Random(1), 10), writer)
        ingest.turn()
        (segment,) = Reader(house.workspace.spool).segments()
        with house.store.write() as tx:
            tx.progress.seal(segment, 0, 1 << 20, [], finished=False)
        with pytest.raises(Conflict, match="was read from 0"):
            ingest.seal_due(everything=True)


@pytest.mark.parametrize("fails", ["reading", "counting"])
def test_a_start_whose_recount_fails_begins_anew_at_the_next_turn(
    house: House, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    with closing(Writer(house.workspace.spool, "w0")) as writer:
        house.appended(house.events(random.Random(4), 50), writer)
        house.clock.advance(HOUR)
        with house.engine() as (ingest, observer, _):
            ingest.turn()
            ingest.seal_due(everything=True)
            expected = observer.batch("help", house.clock.now())
            assert expected is not None
        with house.engine() as (ingest, observer, controller):
            fed: list[SpoolEvent] = []

            def breaks(course: Course, event: SpoolEvent) -> None:
                fed.append(event)
                if len(fed) == 30:
                    raise OverflowError("too large")
                Observer.tell(observer, course, event)

            def away(*_: object) -> None:
                raise WorkspaceUnusable("a file is missing")

            with monkeypatch.context() as failing:
                if fails == "reading":
                    failing.setattr(reading, "_pages", away)
                else:
                    failing.setattr(observer, "tell", breaks)
                with pytest.raises((OverflowError, WorkspaceUnusable)):
                    ingest.turn()
            assert not observer.follows("help", house.rollout.id)
            assert controller.tick("help") is None
            assert house.batches() == []
            ingest.turn()
            assert observer.batch("help", house.clock.now()) == expected


def test_records_that_were_lost_hold_a_rollout(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.rollout.controller.SAY_SECONDS", 0.0)
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.engine() as (ingest, _, controller):
        ingest.turn()
        assert controller.tick("help") is None
        house.appended(house.events(random.Random(2), 240, error=0.0), writer)
        house.clock.advance(HOUR)
        house.lost = 3
        for _ in range(3):
            ingest.turn()
            assert controller.tick("help") is None
        with house.store.read() as tx:
            shown = progress(tx, house.rollout)
        assert shown is not None
        assert "3 records could not be written" in shown.reason
        assert house.rollout.step == 0
        house.lost = 0
        decision = controller.tick("help")
        assert decision is not None
        assert decision.action is Action.ADVANCE


def test_only_a_tick_that_came_to_its_end_is_a_heartbeat(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, rollout = house.beats.heard, house.rollout.id
    with closing(Writer(house.workspace.spool, "w0")) as writer, house.engine() as (ingest, _, controller):
        controller.tick("help")
        assert heard(rollout) is None  # not followed yet, so not watched
        ingest.turn()
        controller.tick("help")
        first = heard(rollout)
        assert first is not None
        # What is counted is old: so far the rollout was watched, and no further.
        house.lag = 3600 * SECOND
        controller.tick("help")
        behind = heard(rollout)
        assert behind is not None
        assert behind < first
        house.lag = 0
        house.appended(house.events(random.Random(2), 240, error=0.0), writer)
        house.clock.advance(HOUR)
        ingest.turn()

        def full(*_: Any) -> None:
            raise WorkspaceUnusable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("pilotage.rollout.controller.record_decision", full)
            with pytest.raises(WorkspaceUnusable):
                controller.tick("help")
        assert heard(rollout) == behind
        assert controller.tick("help") is not None
        again = heard(rollout)
        assert again is not None
        assert again > first
        assert controller.use_cases() == ["help"]
        assert heard(rollout) == again
        house.run("rollback", use_case="help")
        assert controller.use_cases() == []
        assert heard(rollout) is None
