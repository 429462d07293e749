from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.brute_units import Brute, Totals, added, side

from pilotage.clock import HOUR, SECOND
from pilotage.counting import lane
from pilotage.counting.order import hash_of
from pilotage.counting.tracker import Tracker
from pilotage.counting.waiting import Waiting
from pilotage.counting.watched import watched
from pilotage.decision.batch import EXPOSED, Batch, Cell
from pilotage.records import Event, Feedback, Finished, GuardrailHit, SpoolEvent, Started
from pilotage.serving.routing import position
from pilotage.spec.use_case import UseCase
from pilotage.status import MILLION, Allocated

SPEC = UseCase.model_validate(
    {
        "name": "support",
        "owner": "Ada",
        "variants": {"assistant": {"upstream": "openai", "model": "m"}},
        "goals": {
            "resolved": {"minimum_effect": 0.05, "matures_after": "60s"},
            "bought": {"matures_after": "300s", "minimum_effect": 0.01},
            "stars": {"kind": "rating", "low": 1, "high": 5, "silence": 3, "matures_after": "60s"},
        },
        "guardrails": {
            "slow": {"source": "slow", "limit": "4s", "direction": "down", "margin": 0.05},
            "price": {"source": "cost", "kind": "money", "direction": "down", "margin": 0.01, "matures_after": "60s"},
        },
        "signals": {"contacts": {"kind": "count", "matures_after": "60s"}, "mood": {"silence": "none"}},
    },
    strict=False,
)
METRICS = watched(SPEC)
STARS, PRICE = (next(metric for metric in METRICS if metric.name == name) for name in ("stars", "price"))
T0 = 1_790_000_000 * SECOND
ONE = ("support/one@0",)
TWO = ("support/one@0", "support/two@0")


def split(generation: int, share: int, at: int = -HOUR, *out: str) -> Allocated:
    return Allocated(generation=generation, step=generation - 1, share=share, at=T0 + at, out=out)


HALF = (split(1, 500_000),)


def tracker(splits: tuple[Allocated, ...] = HALF, candidates: tuple[str, ...] = ONE, **more: Any) -> Tracker:
    made = Tracker("r1", candidates, METRICS, **more)
    made.allocations(splits)
    return made


def unit_in(arm: int, splits: Sequence[Allocated] = HALF, candidates: Sequence[str] = ONE, skip: int = 0) -> str:
    """Return the name of a unit that has this arm under each of the splits."""
    found = (f"u{n}" for n in range(100_000) if all(side("r1", candidates, s, f"u{n}") == arm for s in splits))
    return [next(found) for _ in range(skip + 1)][-1]


def started(id_: str, unit: str, *, at: int = 0, share: int = 500_000, generation: int = 1, **more: Any) -> Started:
    """Return a start whose arm is that of the given splits (`under`, of `candidates`)."""
    candidates, under = more.pop("candidates", ONE), more.pop("under", None)
    arm = side("r1", candidates, under or split(generation, share), unit)
    deadline = more.pop("deadline", at + 30 * SECOND)
    return Started(
        id=id_,
        use_case="support",
        at=T0 + at,
        release=candidates[arm - 1] if arm else "support/base@0",
        arm="candidate" if arm else "baseline",
        deadline=T0 + deadline,
        unit=unit,
        rollout="r1",
        step=generation - 1,
        share=share,
        generation=generation,
        **more,
    )


def finished(id_: str, *, at: int = SECOND, **more: Any) -> Finished:
    return Finished(id=id_, use_case="support", at=T0 + at, served="support/x@0", status=200, **more)


def outcome(id_: str, metric: str = "resolved", value: float = 1, *, at: int = 2 * SECOND, **by: Any) -> Feedback:
    received = by.pop("received", at)
    return Feedback(id=id_, use_case="support", at=T0 + at, received=T0 + received, metric=metric, value=value, **by)


class Reading:
    """A tracker and the events that were read before their start, as the observer keeps them."""

    def __init__(self, made: Tracker) -> None:
        self.tracker, self.waiting = made, Waiting()

    def feed(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Started):
                self.tracker.started(event)
                for waited in self.waiting.release(event):
                    self._join(waited)
            else:
                self._join(event)

    def _join(self, event: Any) -> None:
        known = self.tracker.finished(event) if isinstance(event, Finished) else self.tracker.feedback(event)
        if not known:
            self.waiting.put(event)


def taken(events: Sequence[Event], until: int = HOUR, made: Tracker | None = None) -> Totals:
    reading = Reading(made or tracker())
    reading.feed(events)
    batch = reading.tracker.batch(T0 + until, T0 + until)
    return added([batch] if batch else [], METRICS)


ANN, BOB = unit_in(1), unit_in(0)


def test_its_hash_is_the_position_that_it_was_assigned_by() -> None:
    assert all(hash_of("r1", f"u{n}") % MILLION == position("r1", f"u{n}") for n in range(50))


def test_a_unit_enters_once_by_its_first_exposure() -> None:
    events: list[Event] = [
        started("a2", ANN, at=SECOND),
        started("a1", ANN),
        started("b1", BOB),
        finished("a1"),
        finished("b1"),
    ]
    found = taken([*events, finished("a2")])
    assert found.exposed == {(1, 1): 1, (1, 0): 1}
    assert found.sums["resolved", 1, 1, 1] == (0, 1)
    assert found.sums["errors", 1, 1, 0] == (0, 1)


def test_a_metric_enters_when_its_window_has_closed_and_no_earlier() -> None:
    made = tracker()
    Reading(made).feed([started("a", ANN), finished("a"), outcome("f", inference="a")])
    first = made.batch(T0, T0)
    assert first is not None
    assert set(first.metrics) == {"errors", "fallbacks", "slow"}
    assert first.frontier == {EXPOSED: T0, "errors": T0, "fallbacks": T0, "slow": T0}
    assert made.batch(T0 + 60 * SECOND - 1, T0) is None
    second = made.batch(T0 + 60 * SECOND, T0 + 61 * SECOND)
    assert second is not None
    assert second.metrics["resolved"] == (Cell(1, 1, 1, (1, 0)),)
    assert second.at == T0 + 61 * SECOND
    assert second.frontier["resolved"] == T0 + 60 * SECOND
    assert "mood" not in second.metrics
    third = made.batch(T0 + 2 * HOUR, T0)
    assert third is not None
    assert third.metrics == {"bought": (Cell(1, 1, 1, (0, 1)),)}
    assert third.frontier == {"bought": T0 + 300 * SECOND, "mood": T0 + HOUR}
    assert made.batch(T0 + 9 * HOUR, T0) is None


def test_what_comes_too_late_or_too_early_is_outside() -> None:
    events = [
        started("a", ANN, at=10 * SECOND),
        finished("a", at=11 * SECOND),
        outcome("f1", "contacts", 1, at=10 * SECOND, unit=ANN),
        outcome("f2", "contacts", 2, at=70 * SECOND, unit=ANN),
        outcome("f3", "contacts", 4, at=70 * SECOND + 1, unit=ANN),
        outcome("f4", "contacts", 8, at=10 * SECOND - 1, unit=ANN),
    ]
    n, total = 1, 3 * MILLION
    found = taken(events)
    assert found.sums["contacts", 1, 1, 1][:1] == (n,)
    assert found.sums["contacts", 1, 1, 1][2:4] in {(total, 0), (0, total)}


def test_quick_failures_do_not_enter_before_slow_successes() -> None:
    made = tracker()
    Reading(made).feed([started("a", ANN), started("b", BOB, at=SECOND), finished("b", at=2 * SECOND, error="timeout")])
    batch = made.batch(T0 + 5 * SECOND, T0)
    assert batch is not None
    assert "errors" not in batch.frontier
    assert batch.metrics == {}
    made.finished(finished("a", at=6 * SECOND))
    batch = made.batch(T0 + 6 * SECOND, T0)
    assert batch is not None
    assert batch.metrics["errors"] == (Cell(1, 1, 0, (1, 0)), Cell(1, 1, 1, (0, 1)))


def test_every_request_of_the_window_is_waited_for() -> None:
    made = tracker()
    events = [started("a", ANN), finished("a", cost=MILLION), started("a2", ANN, at=50 * SECOND)]
    Reading(made).feed([*events, started("a3", ANN, at=61 * SECOND)])
    batch = made.batch(T0 + 79 * SECOND, T0)
    assert batch is not None
    assert "price" not in batch.frontier
    made.finished(finished("a2", at=79 * SECOND, cost=3 * MILLION))
    batch = made.batch(T0 + 79 * SECOND, T0)
    assert batch is not None
    assert batch.metrics == {"price": (Cell(1, 1, 1, PRICE.method.gather([2 * MILLION])),)}


def test_within_a_second_the_order_is_that_of_exposure() -> None:
    made = tracker()
    for unit, at in ((ANN, 30_000), (BOB, 10_000)):
        Reading(made).feed([started(unit, unit, at=at), finished(unit, at=at)])
    for at, arm in ((20_000, 0), (40_000, 1)):
        batch = made.batch(T0 + at, T0)
        assert batch is not None
        assert batch.exposed == ((1, arm, 1),)


def test_who_has_the_same_time_waits_too() -> None:
    made = tracker()
    Reading(made).feed([started("a", ANN, at=SECOND), finished("a"), started("b", BOB, at=SECOND)])
    batch = made.batch(T0 + 5 * SECOND, T0)
    assert batch is not None
    assert "errors" not in batch.frontier


def test_a_start_without_an_end_is_an_error_at_its_deadline_and_stays_one() -> None:
    made = tracker()
    Reading(made).feed([started("a", ANN)])
    batch = made.batch(T0 + 30 * SECOND - 1, T0)
    assert batch is not None
    assert batch.metrics == {}
    batch = made.batch(T0 + 30 * SECOND, T0)
    assert batch is not None
    assert batch.metrics["errors"] == (Cell(1, 1, 1, (1, 0)),)
    assert batch.metrics["fallbacks"] == (Cell(1, 1, 1, (0, 1)),)
    assert made.finished(finished("a", at=31 * SECOND))
    after = made.batch(T0 + HOUR, T0)
    assert after is not None
    assert "errors" not in after.metrics


def test_an_end_after_the_deadline_is_an_error_however_it_is_read() -> None:
    events: list[Event] = [started("a", ANN), finished("a", at=31 * SECOND)]
    assert taken(events).sums["errors", 1, 1, 1] == (1, 0)
    assert taken(events[::-1]).sums["errors", 1, 1, 1] == (1, 0)


def test_only_the_first_request_counts_for_what_is_final_at_once() -> None:
    events = [
        started("a", ANN),
        finished("a", cost=1_000_000, attempts=1),
        started("a2", ANN, at=10 * SECOND),
        finished("a2", at=12 * SECOND, error="timeout", cost=3_000_000),
        started("a3", ANN, at=61 * SECOND),
        finished("a3", at=62 * SECOND, error="timeout", cost=90_000_000),
    ]
    found = taken(events)
    assert found.sums["errors", 1, 1, 1] == (0, 1)
    assert found.sums["price", 1, 1, 1] == PRICE.method.gather([2 * MILLION])


def test_the_three_ways_to_join() -> None:
    cat = unit_in(1, skip=1)
    found = taken(
        [
            started("a", ANN, key="order-1"),
            started("b", BOB),
            started("c", cat),
            outcome("f1", key="order-1"),
            outcome("f2", inference="b"),
            outcome("f3", unit=cat, value=0),
            outcome("f4", inference="elsewhere"),
        ]
    )
    assert found.sums["resolved", 1, 1, 1] == (1, 1)
    assert found.sums["resolved", 1, 1, 0] == (1, 0)


def test_a_key_of_two_units_is_that_of_who_was_there_first() -> None:
    starts = [started("a", ANN, key="order-1"), started("b", BOB, at=SECOND, key="order-1")]
    for order in (starts, starts[::-1]):
        found = taken([*order, outcome("f1", key="order-1")])
        assert found.sums["resolved", 1, 1, 1] == (1, 0)
        assert found.sums["resolved", 1, 1, 0] == (0, 1)


def test_feedback_counts_once_by_its_id_and_the_first_received_is_it() -> None:
    first = outcome("s", "stars", 1, inference="a", received=3 * SECOND)
    later = outcome("s", "stars", 5, inference="b", received=4 * SECOND)
    for order in ([first, later, first], [later, first], [first, first, later, later]):
        found = taken([started("a", ANN), started("b", BOB), *order])
        assert found.sums["stars", 1, 1, 1] == STARS.method.gather([MILLION])
        assert found.sums["stars", 1, 1, 0] == STARS.method.gather([3 * MILLION])


def test_what_is_no_number_counts_for_nothing() -> None:
    found = taken(
        [started("a", ANN), outcome("n", value=float("nan"), inference="a"), outcome("x", "?", inference="a")]
    )
    assert found.sums["resolved", 1, 1, 1] == (0, 1)
    assert found.heard == set()


@pytest.mark.parametrize("value", [1e200, 1e308, -1e308, float("inf")])
def test_an_immense_value_counts_as_the_greatest(value: float) -> None:
    assert taken([started("a", ANN), outcome("n", "contacts", value, inference="a")]).sums["contacts", 1, 1, 1]


def test_a_metric_is_heard_of_once() -> None:
    made = tracker()
    reading = Reading(made)
    reading.feed([started("a", ANN), outcome("f1", inference="a")])
    batch = made.batch(T0, T0)
    assert batch is not None
    assert batch.heard == ("resolved",)
    reading.feed(
        [outcome("f2", inference="a"), outcome("f3", "bought", inference="a"), outcome("e", "errors", inference="a")]
    )
    batch = made.batch(T0, T0)
    assert batch is not None
    assert batch.heard == ("bought",)
    assert batch.frontier == {}
    assert made.batch(T0, T0) is None


def test_what_comes_after_everybody_entered_is_not_heard() -> None:
    made = tracker()
    reading = Reading(made)
    for unit, at in ((ANN, 0), (unit_in(1, skip=1), 2 * SECOND), (BOB, HOUR)):
        reading.feed([started(unit, unit, at=at), finished(unit, at=at)])
    assert made.batch(T0 + HOUR + 61 * SECOND, T0) is not None
    # The last is open for what takes longer, and has entered this; the first comes back, closed.
    assert made.sizes == (2, 1)
    reading.feed([outcome("f1", at=2 * HOUR, inference=BOB), started("a2", ANN, at=2 * HOUR)])
    reading.feed([outcome("f2", at=2 * HOUR, inference="a2"), outcome("f3", "bought", at=2 * HOUR, inference="a2")])
    batch = made.batch(T0 + HOUR + 301 * SECOND, T0)
    assert batch is not None
    assert batch.heard == ()
    reading.feed([outcome("f4", "mood", at=HOUR, inference=BOB)])
    batch = made.batch(T0 + HOUR + 302 * SECOND, T0)
    assert batch is not None
    assert batch.heard == ("mood",)


def test_units_that_the_ramp_may_have_moved_are_dropped_the_rest_has_both_generations() -> None:
    splits = (split(1, 100_000), split(2, 500_000, 30 * SECOND))
    stays, moves, base = (
        unit_in(1, splits),
        next(u for u in (f"u{n}" for n in range(999)) if [side("r1", ONE, s, u) for s in splits] == [0, 1]),
        unit_in(0, splits),
    )
    events = [started(u, u, share=100_000, under=splits[0]) for u in (stays, moves, base)]
    found = taken([*events, *(finished(u) for u in (stays, moves, base))], made=tracker(splits))
    # At once: nothing had moved yet.
    assert found.sums["errors", 1, 1, 0] == (0, 2)
    assert found.sums["resolved", 1, 2, 0] == (0, 1)
    assert found.sums["resolved", 1, 2, 1] == (0, 1)
    assert found.exposed == {(1, 0): 2, (1, 1): 1}
    assert found.moved == 1


def test_several_candidates_and_one_that_goes_out() -> None:
    splits = (split(1, 600_000), split(2, 600_000, 30 * SECOND, TWO[1]))
    names = [unit_in(arm, splits[:1], TWO) for arm in (0, 1, 2)]
    events = [started(u, u, share=600_000, candidates=TWO, under=splits[0]) for u in names]
    found = taken([*events, *(finished(u) for u in names)], made=tracker(splits, TWO))
    assert found.exposed == {(1, 0): 1, (1, 1): 1, (1, 2): 1}
    assert {key[3] for key in found.sums if key[0] == "errors"} == {0, 1, 2}
    assert {key[3] for key in found.sums if key[0] == "resolved"} == {0, 1}
    assert found.moved == 1


def test_who_lived_through_blind_time_is_dropped_from_both_arms() -> None:
    far = unit_in(1, skip=1)
    events = [
        started("a", ANN),
        finished("a"),
        started("b", BOB),
        finished("b"),
        started("x", unit_in(0, skip=1), at=50 * SECOND, share=0, key="k"),
        finished("x", at=51 * SECOND, error="timeout"),
        outcome("fx", inference="x", at=52 * SECOND),
        outcome("fk", key="k", at=52 * SECOND),
        started("c", far, at=51 * SECOND),
        finished("c", at=51 * SECOND),
    ]
    made = tracker()
    found = taken(events, made=made)
    assert found.exposed == {(1, 1): 2, (1, 0): 1}
    assert found.moved == 2
    assert found.sums["errors", 1, 1, 0] == (0, 1)
    assert found.sums["resolved", 1, 1, 1] == (0, 1)
    assert ("resolved", 1, 1, 0) not in found.sums


def test_who_is_of_no_release_or_split_of_the_rollout_counts_nowhere() -> None:
    stray = Started(**{**{f: getattr(started("a", ANN), f) for f in Started.__struct_fields__}, "release": "other@1"})
    found = taken([stray, started("b", BOB, generation=7), finished("a"), finished("b")])
    assert (found.exposed, found.sums, found.moved) == ({}, {}, 2)


def test_who_is_read_after_their_turn_is_late_and_never_enters() -> None:
    made = tracker()
    reading = Reading(made)
    reading.feed([started("a", ANN, at=10 * SECOND), finished("a", at=11 * SECOND)])
    assert made.batch(T0 + HOUR // 2, T0) is not None
    reading.feed([started("b", BOB), finished("b"), started("a0", ANN, at=5 * SECOND)])
    batch = made.batch(T0 + 2 * HOUR, T0)
    assert batch is not None
    # The unit is late for everything but the metrics that take an hour, and so is the other's new first exposure.
    assert (batch.late, batch.exposed) == (1, ())
    assert set(batch.frontier) == {"mood"}
    assert made.batch(T0 + 9 * HOUR, T0) is None


def test_a_first_exposure_that_is_read_after_its_turn_takes_the_unit_out() -> None:
    made = tracker()
    reading = Reading(made)
    reading.feed([started("a", ANN), finished("a"), started("b", BOB, at=80 * SECOND), finished("b")])
    assert made.batch(T0 + 70 * SECOND, T0) is not None
    # Not yet exposed as far as was known, and now before somebody who has entered already.
    reading.feed([started("b0", BOB, at=-SECOND), finished("b0")])
    batch = made.batch(T0 + 2 * HOUR, T0)
    assert batch is not None
    assert (batch.late, batch.exposed) == (1, ())
    assert "errors" not in batch.frontier
    assert "resolved" not in batch.frontier


def test_a_flag_is_settled_at_its_deadline_and_its_errors_are_told_till_then() -> None:
    ids = [unit_in(1, skip=n) for n in range(3)]
    events: list[SpoolEvent] = []
    for unit in ids:
        events += [started(unit, unit, surface="flag"), finished(unit, at=0, attempts=0)]
    events += [outcome("e1", "errors", inference=ids[0]), outcome("e2", "errors", at=31 * SECOND, inference=ids[1])]
    made = tracker()
    reading = Reading(made)
    reading.feed(events)
    batch = made.batch(T0 + 29 * SECOND, T0)
    assert batch is not None
    assert "errors" not in batch.metrics
    batch = made.batch(T0 + HOUR, T0)
    assert batch is not None
    assert batch.metrics["errors"] == (Cell(1, 1, 1, (1, 2)),)
    assert "price" not in batch.metrics


def test_a_closed_unit_that_comes_back_is_nobody_new() -> None:
    made = tracker()
    reading = Reading(made)
    reading.feed([started("a", ANN, key="k"), finished("a")])
    assert made.batch(T0 + 2 * HOUR, T0) is not None
    assert made.sizes == (1, 0)
    reading.feed([started("b", BOB, at=2 * HOUR), finished("b", at=2 * HOUR)])
    assert made.batch(T0 + 4 * HOUR, T0) is not None
    assert made.sizes == (1, 1)
    reading.feed([started("a2", ANN, at=3 * HOUR, key="k"), finished("a2", at=3 * HOUR)])
    assert made.sizes == (2, 1)
    assert made.batch(T0 + 9 * HOUR, T0) is None
    assert made.sizes == (1, 1)
    ways: list[dict[str, Any]] = [{"inference": "a"}, {"inference": "a2"}, {"key": "k"}, {"unit": ANN}]
    for known in ways:
        assert made.feedback(outcome("f", at=3 * HOUR, **known)), known
    assert not made.feedback(outcome("f", inference="?"))
    assert made.finished(finished("a2"))
    assert made.batch(T0 + 9 * HOUR, T0) is None


def test_a_second_that_was_left_empty_takes_somebody_again() -> None:
    made = tracker()
    reading = Reading(made)
    reading.feed([started("a", ANN), finished("a"), started("b", BOB, at=2 * HOUR), finished("b", at=2 * HOUR)])
    assert made.batch(T0 + 4 * HOUR, T0) is not None
    # Who comes back is found to be closed, and was the only one of that second.
    reading.feed([started("a2", ANN, at=3 * HOUR)])
    assert made.batch(T0 + 4 * HOUR, T0) is None
    reading.feed([started("c", unit_in(1, skip=1), at=3 * HOUR)])
    batch = made.batch(T0 + 4 * HOUR, T0)
    assert batch is not None
    assert batch.exposed == ((1, 1, 1),)


def test_no_batch_takes_more_than_a_tick_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "AT_ONCE", 10)
    made = tracker()
    reading = Reading(made)
    for n in range(35):
        reading.feed([started(f"i{n}", f"u{n}", at=n // 2 * SECOND), finished(f"i{n}", at=n // 2 * SECOND)])
    batches = []
    while (batch := made.batch(T0 + 2 * HOUR, T0)) is not None:
        batches.append(batch)
    assert len(batches) == 4
    assert all(sum(units for _, _, units in batch.exposed) <= 11 for batch in batches)
    assert sum(added(batches, METRICS).exposed.values()) == 35
    # Those of the last second stay until somebody enters after them.
    assert made.sizes == (1, 34)


def test_a_unit_with_very_many_events_takes_time_in_proportion() -> None:
    made = tracker()
    events: list[SpoolEvent] = [started("i0", ANN)]
    for n in range(1, 20_000):
        events += [started(f"i{n}", ANN, at=n), finished(f"i{n}", cost=n), outcome("f", "contacts", inference=f"i{n}")]
        events += [outcome(f"f{n}", "contacts", inference=f"i{n}")]
    found = taken(events, made=made)
    assert found.sums["price", 1, 1, 1]
    assert found.exposed == {(1, 1): 1}


# --- any stream, read in any order, stopped anywhere, comes to the same ---


class Story:
    """Random events of a few units over ten minutes, on a ramp with one or two candidates."""

    def __init__(self, generator: random.Random) -> None:
        self.candidates = generator.choice([ONE, TWO])
        cuts = sorted(generator.sample(range(1, 600), generator.randrange(4)))
        shares = sorted(generator.sample(range(50_000, 950_000), len(cuts) + 1))
        out: tuple[str, ...] = ()
        splits = [split(1, shares[0], 0)]
        for number, cut in enumerate(cuts, 2):
            if len(self.candidates) > 1 and not out and generator.random() < 0.4:
                out = (self.candidates[1],)
            splits.append(split(number, generator.choice(shares), cut * SECOND, *out))
        self.splits = tuple(splits)
        self.events: list[SpoolEvent] = []
        grain = generator.choice([1, SECOND, 10 * SECOND])
        people = generator.randrange(1, 12)
        for number in range(generator.randrange(1, 40)):
            self._request(generator, number, people, generator.randrange(600 * SECOND) // grain * grain)
        self.events += [event for event in self.events if generator.random() < 0.2]
        self.read = [(appended(event), event) for event in self.events]

    def _request(self, generator: random.Random, number: int, people: int, at: int) -> None:
        unit, id_ = f"u{generator.randrange(people)}", f"i{number}"
        now = [s for s in self.splits if s.at <= T0 + at][-1]
        blind = generator.random() < 0.04
        key = generator.choice(["", "", f"{unit}-{generator.randrange(2)}"])
        flag = generator.random() < 0.15
        start = started(
            id_,
            unit,
            at=at,
            share=0 if blind else now.share,
            generation=now.generation,
            under=now,
            candidates=self.candidates,
            deadline=at + generator.choice([5, 30, 90]) * SECOND,
            key="" if blind else key,
            surface="flag" if flag else "chat",
        )
        self.events.append(start)
        if generator.random() < 0.9:
            took = 0 if flag else generator.choice([0, 1, 7, 40, 100]) * SECOND
            more = {"error": generator.choice(["", "", "timeout"]), "cost": generator.randrange(9) * 1000}
            self.events.append(finished(id_, at=at + took, duration=took, attempts=0 if flag else 1, **more))
        for turn in range(generator.randrange(4)):
            metric = generator.choice([m.name for m in METRICS if m.name != "price"])
            happened = at + generator.randrange(400 * SECOND)
            by = generator.choice([{"inference": id_}, {"unit": unit}, {"key": key} if key else {"inference": id_}])
            if blind:
                by = {"unit": unit}
            value = generator.randrange(1, 6) if metric == "stars" else generator.randrange(2)
            name = generator.choice([f"f{number}-{turn}", f"{unit}-again"])
            self.events.append(outcome(name, metric, value, at=happened, **by))


def appended(event: SpoolEvent) -> int:
    return event.received if isinstance(event, Feedback) else event.at


def lived(story: Story, generator: random.Random, passes: int, kill: float) -> tuple[list[Batch], int]:
    """Read in passes, in any order within one; return the batches that were kept, and the last watermark.

    A process that dies loses the batch that it had taken, or had it kept just in time; the next one reads everything
    again in another order.
    """
    kept: list[Batch] = []
    frontier: dict[str, int] = {}
    reading = Reading(tracker((), story.candidates))
    watermark = T0
    times = sorted(T0 + generator.randrange(1, 1400 * SECOND) for _ in range(passes))
    for before, watermark in zip([0, *times], times, strict=False):
        if generator.random() < kill:
            reading = Reading(tracker((), story.candidates, resumed=frontier))
            again = [event for at, event in story.read if at <= before]
            # What is closed may be told of by its name alone.
            bound = reading.tracker.bound
            closed = {e.unit for e in again if isinstance(e, Started) and e.share and e.at <= bound}
            if generator.random() < 0.5:
                reading.tracker.closed(closed)
                again = [e for e in again if e.at > bound - 100_000]
            reading.feed(generator.sample(again, len(again)))
        new = [event for at, event in story.read if before < at <= watermark]
        reading.feed(generator.sample(new, len(new)))
        reading.tracker.allocations(tuple(s for s in story.splits if s.at <= watermark))
        batch = reading.tracker.batch(watermark, watermark)
        if batch is None:
            continue
        assert batch.late == 0
        if generator.random() < kill / 2:
            # Taken and not kept: whoever comes next must not know of it.
            reading = Reading(tracker((), story.candidates, resumed=frontier))
            again = [event for at, event in story.read if at <= watermark]
            reading.feed(generator.sample(again, len(again)))
            continue
        for name, until in batch.frontier.items():
            assert until > frontier.get(name, 0)
        frontier.update(batch.frontier)
        kept.append(batch)
    reading.tracker.allocations(tuple(s for s in story.splits if s.at <= watermark))
    batch = reading.tracker.batch(watermark, watermark)
    return [*kept, *([batch] if batch else [])], watermark


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.0, 0.2, 0.6]), st.integers(1, 12))
def test_any_stream_comes_to_what_it_must(seed: int, kill: float, passes: int) -> None:
    generator = random.Random(seed)
    story = Story(generator)
    batches, watermark = lived(story, generator, passes, kill)
    found = added(batches, METRICS)
    read = [event for at, event in story.read if at <= watermark]
    brute = Brute("r1", story.candidates, METRICS, [s for s in story.splits if s.at <= watermark])
    expected = brute.totals(read, watermark)
    assert found.sums == expected.sums
    assert found.exposed == expected.exposed
    assert found.moved == expected.moved


def test_what_a_filter_found_is_seen_of_the_request_itself() -> None:
    (metric,) = (
        one
        for one in watched(
            UseCase.model_validate(
                {
                    "name": "support",
                    "owner": "Ada",
                    "variants": {"assistant": {"upstream": "openai", "model": "m"}},
                    "guardrails": {"found": {"source": "filtered", "direction": "down", "margin": 0.02}},
                },
                strict=False,
            )
        )
        if one.name == "found"
    )
    clean = finished("a")
    flagged = finished("a", hits=(GuardrailHit(guardrail="links", side="out", action="flag"),))
    assert metric.by_gateway
    assert [metric.seen(one) for one in (clean, flagged, None)] == [0, MILLION, 0]
