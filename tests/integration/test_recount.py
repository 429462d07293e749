"""A rollout that goes on over real Parquet: what is read again, and that it comes to the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pilotage.clock import HOUR, SECOND
from pilotage.counting import sealed
from pilotage.counting.course import Followed
from pilotage.counting.observe import Observer
from pilotage.counting.sealed import recount
from pilotage.counting.watched import watched
from pilotage.decision.batch import Batch
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.spec.use_case import UseCase
from pilotage.status import Allocated, RolloutStatus
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.unit.brute_units import added

SPEC = UseCase.model_validate(
    {
        "name": "help",
        "owner": "Ada",
        "variants": {"assistant": {"upstream": "openai", "model": "m"}},
        "goals": {"resolved": {"minimum_effect": 0.05, "matures_after": "600s"}},
        "guardrails": {"price": {"source": "cost", "kind": "money", "direction": "down", "margin": 1.0}},
    },
    strict=False,
)
METRICS = watched(SPEC)
T0 = 1_790_000_000 * SECOND
ROLLOUT = RolloutStatus(
    id="r1",
    candidate="help/candidate@0",
    baseline="help/baseline@0",
    shares=(500_000,),
    started=T0,
    step_since=T0,
    allocations=(Allocated(generation=1, step=0, share=500_000, at=T0),),
)


class Tables:
    """The real reader, which notes how many rows it gave."""

    def __init__(self, reader: EventsReader) -> None:
        self._reader = reader
        self.rows = 0

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        found = self._reader.query(sql, parameters)
        self.rows += len(found)
        return found


class House:
    def __init__(self, path: Path) -> None:
        workspace = Workspace(path).prepare()
        self.store = SqliteStore(workspace.state)
        self.sealer = Sealer(workspace.events, self.store)
        self.reader = EventsReader(workspace.events, self.store)
        self.tables = Tables(self.reader)
        self._segments = 0

    def seal(self, events: Sequence[SpoolEvent]) -> None:
        self._segments += 1
        self.sealer.seal(f"s{self._segments}", 0, 1, list(enumerate(events)), finished=True)

    def observer(self, frontier: dict[str, int]) -> Observer:
        made = Observer(grace=0)
        followed = Followed(ROLLOUT, METRICS, frontier)
        made.follow({"help": followed})
        self.tables.rows = 0
        recount(self.tables, made, "help", followed)
        return made

    def close(self) -> None:
        for part in (self.reader, self.sealer, self.store):
            part.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path / "ws")) as made:
        yield made


def visit(
    number: int, unit: str, at: int, *, share: int = 500_000, rollout: str = "r1", **more: Any
) -> list[SpoolEvent]:
    arm = "candidate" if int(unit[1:]) % 2 else "baseline"
    found: list[SpoolEvent] = [
        Started(
            id=f"i{number}",
            use_case="help",
            at=T0 + at,
            release=f"help/{arm}@0",
            arm=arm,
            deadline=T0 + at + 30 * SECOND,
            unit=unit,
            rollout=rollout,
            share=share,
            generation=1,
            key=f"order-{number}",
        ),
        Finished(id=f"i{number}", use_case="help", at=T0 + at + SECOND, served="x", status=200, cost=number, **more),
    ]
    if number % 3 == 0:
        by = [{"inference": f"i{number}"}, {"key": f"order-{number}"}, {"unit": unit}][number % 9 // 3]
        when = T0 + at + 5 * SECOND
        found.append(
            Feedback(id=f"f{number}", use_case="help", at=when, received=when, metric="resolved", value=1, **by)
        )
    return found


def history(generator: random.Random, count: int) -> list[SpoolEvent]:
    events: list[SpoolEvent] = []
    for number in range(count):
        unit = f"u{generator.choice([generator.randrange(count // 2), count + number])}"
        share = 0 if 500 < number < 520 else 500_000
        rollout = "r0" if generator.random() < 0.05 else "r1"
        error = generator.choice(["", "timeout"])
        events += visit(number, unit, number * SECOND, share=share, rollout=rollout, error=error)
    return events


def drained(watching: Observer, until: int) -> list[Batch]:
    watching.caught_up(until, 1.0)
    batches = []
    while (batch := watching.batch("help", until)) is not None:
        batches.append(batch)
    return batches


def frontier_of(batches: list[Batch]) -> dict[str, int]:
    return {name: at for batch in batches for name, at in batch.frontier.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rows", [101, 50_000])
def test_it_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch, seed: int, rows: int) -> None:
    monkeypatch.setattr(sealed, "ROWS", rows)
    monkeypatch.setattr(sealed, "UNITS", 50)
    generator = random.Random(seed)
    events = history(generator, 2000)
    cut = generator.randrange(len(events))
    house.seal(events[:cut])
    first = house.observer({})
    whole = house.tables.rows
    before = drained(first, events[cut].at - 1)
    house.seal(events[cut:])
    # An hour on, most of it has entered everything.
    again = house.observer(frontier_of(before))
    after = drained(again, T0 + 3 * HOUR)
    straight = Observer(grace=0)
    straight.follow({"help": Followed(ROLLOUT, METRICS, {})})
    for event in events:
        straight.feed(event)
    expected = added(drained(straight, T0 + 3 * HOUR), METRICS)
    assert added([*before, *after], METRICS) == expected
    assert expected.sums["resolved", 1, 1, 1][0] > 0
    assert sum(batch.late for batch in after) == 0
    assert whole > 0


def test_of_those_who_are_through_no_event_is_read(house: House) -> None:
    events = history(random.Random(9), 2000)
    house.seal(events)
    watching = house.observer({})
    assert house.tables.rows > len(events) * 0.9
    batches = drained(watching, T0 + 3 * HOUR)
    again = house.observer(frontier_of(batches))
    assert house.tables.rows < 40
    assert drained(again, T0 + 3 * HOUR) == []
    # They come back, and are known.
    for event in visit(5000, "u1", 2 * HOUR):
        again.feed(event)
    assert drained(again, T0 + 4 * HOUR) == []
    assert again.unmatched == {"help": 0}


def test_an_end_that_was_sealed_before_its_start(house: House) -> None:
    start, end = visit(1, "u1", 0, error="timeout")
    house.seal([end])
    watching = house.observer({})
    watching.feed(start)
    (batch,) = drained(watching, T0 + SECOND)
    assert batch.metrics["errors"][0].sums == (1, 0)
