from __future__ import annotations

import random
from typing import Any

import pytest

from pilotage.clock import HOUR, SECOND
from pilotage.decision.observation import ArmCounts, Exposed, Observation
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.rollout.observe import Observer
from pilotage.rollout.watched import watched
from pilotage.spec.use_case import UseCase

SPEC = UseCase.model_validate(
    {
        "name": "support",
        "owner": "Ada",
        "variants": {"assistant": {"upstream": "openai", "model": "m"}},
        "goals": {
            "resolved": {"minimum_effect": 0.05},
            "bought": {"matures_after": "6h", "minimum_effect": 0.01},
            "stars": {"kind": "rating", "low": 1, "high": 5, "silence": 3},
        },
        "guardrails": {
            "slow": {"source": "slow", "limit": "4s", "direction": "down", "margin": 0.05},
            "price": {"source": "cost", "kind": "money", "direction": "down", "margin": 0.01},
        },
        "signals": {"contacts": {"kind": "count"}},
    },
    strict=False,
)
T0 = 1_790_000_000 * SECOND


def observer() -> Observer:
    made = Observer()
    made.follow({"support": ("r1", watched(SPEC))})
    return made


def started(
    id_: str, unit: str, arm: str = "candidate", *, at: int = 0, step: int = 0, share: int = 500_000, **more: Any
) -> Started:
    return Started(
        id=id_,
        use_case="support",
        at=T0 + at,
        release=f"support/{arm}@0",
        arm=arm,
        deadline=T0 + at + 60 * SECOND,
        unit=unit,
        rollout="r1",
        step=step,
        share=share,
        **more,
    )


def finished(id_: str, *, at: int = SECOND, **more: Any) -> Finished:
    return Finished(id=id_, use_case="support", at=T0 + at, served="support/x@0", status=200, **more)


def outcome(id_: str, metric: str = "resolved", value: float = 1, *, at: int = 2 * SECOND, **by: str) -> Feedback:
    return Feedback(id=id_, use_case="support", at=T0 + at, received=T0 + at, metric=metric, value=value, **by)


def seen(events: list[SpoolEvent], *, until: int = HOUR, step: int = 0) -> Observation:
    watching = observer()
    for event in events:
        watching.feed(event)
    watching.caught_up(T0 + until)
    observation = watching.observe("support", step, now=T0 + until)
    assert observation is not None
    return observation


def arm(observation: Observation, metric: str, side: str = "candidate", stratum: int = 0) -> ArmCounts:
    counts: ArmCounts = getattr(observation.metrics[metric][stratum], side)
    return counts


def test_a_unit_counts_once_by_its_first_exposure() -> None:
    observation = seen(
        [
            started("a1", "ann", "baseline", step=0),
            started("b1", "bob", "candidate", step=0),
            started("a2", "ann", "baseline", step=1, at=SECOND),
            started("c1", "cat", "candidate", step=1, at=SECOND),
        ],
        step=1,
    )
    assert observation.exposed == Exposed(baseline=0, candidate=1)
    first, second = observation.metrics["resolved"]
    assert (first.step, first.baseline.units, first.candidate.units) == (0, 1, 1)
    assert (second.step, second.baseline.units, second.candidate.units) == (1, 0, 1)


def test_the_three_ways_to_join() -> None:
    observation = seen(
        [
            started("a", "ann", key="order-1"),
            started("b", "bob"),
            started("c", "cat"),
            started("d", "dan"),
            outcome("f1", key="order-1"),
            outcome("f2", inference="b"),
            outcome("f3", unit="cat"),
            outcome("f4", inference="elsewhere"),
        ]
    )
    assert arm(observation, "resolved") == ArmCounts(units=4, matured=4, total=3, squares=3)


def test_a_units_value_by_kind() -> None:
    observation = seen(
        [
            started("a", "ann"),
            outcome("r1", value=0, inference="a"),
            outcome("r2", value=1, inference="a"),
            outcome("r3", value=0, inference="a"),
            outcome("s1", "stars", 5, inference="a"),
            outcome("s2", "stars", 2, inference="a"),
            outcome("n1", "contacts", 2, inference="a"),
            outcome("n2", "contacts", 3, inference="a"),
        ]
    )
    assert arm(observation, "resolved").total == 1
    assert arm(observation, "stars").total == 3.5
    assert arm(observation, "contacts").total == 5


def test_who_never_answers_counts_as_the_file_says() -> None:
    observation = seen([started("a", "ann"), started("b", "bob"), outcome("s", "stars", 5, inference="a")])
    assert arm(observation, "stars") == ArmCounts(units=2, matured=2, total=8, squares=34)
    assert arm(observation, "resolved") == ArmCounts(units=2, matured=2, total=0, squares=0)


def test_nothing_counts_before_it_is_mature_and_nothing_after() -> None:
    events: list[SpoolEvent] = [
        started("a", "ann"),
        started("b", "bob"),
        outcome("f1", "bought", inference="a", at=5 * HOUR),
        outcome("f2", "bought", inference="b", at=7 * HOUR),
    ]
    assert arm(seen(events, until=6 * HOUR - 1), "bought") == ArmCounts(units=2)
    assert arm(seen(events, until=6 * HOUR), "bought") == ArmCounts(units=2, matured=2, total=1, squares=1)


def test_feedback_counts_once_by_its_id() -> None:
    again = outcome("s", "stars", 1, inference="a")
    observation = seen([started("a", "ann"), again, again, outcome("t", "stars", 5, inference="a"), again])
    assert arm(observation, "stars").total == 3


def test_feedback_read_before_the_start_waits_for_it() -> None:
    watching = observer()
    watching.feed(outcome("f1", inference="a"))
    watching.feed(outcome("f2", "bought", key="order-1"))
    watching.feed(finished("a", error="timeout"))
    watching.caught_up(T0 + SECOND)
    watching.feed(started("a", "ann", key="order-1"))
    watching.caught_up(T0 + 7 * HOUR)
    observation = watching.observe("support", 0, now=T0 + 7 * HOUR)
    assert observation is not None
    assert [arm(observation, name).total for name in ("resolved", "bought", "errors")] == [1, 1, 1]
    assert watching.unmatched == {"support": 0}


def test_what_still_joins_nothing_is_said_and_let_go() -> None:
    watching = observer()
    watching.feed(outcome("f1", inference="a"))
    watching.caught_up(T0 + 1)
    watching.caught_up(T0 + 2)
    assert watching.unmatched == {"support": 1}
    watching.feed(started("a", "ann"))
    watching.caught_up(T0 + HOUR)
    observation = watching.observe("support", 0, now=T0 + HOUR)
    assert observation is not None
    assert arm(observation, "resolved").total == 0


def test_what_the_gateway_saw() -> None:
    observation = seen(
        [
            started("a", "ann"),
            finished("a", error="timeout", fallback=True, duration=5 * SECOND, cost=3000),
            started("a2", "ann"),
            finished("a2", duration=SECOND, cost=1000),
            started("b", "bob"),
            finished("b", duration=SECOND, cost=1000),
        ]
    )
    assert arm(observation, "errors") == ArmCounts(units=2, matured=2, total=1, squares=1)
    assert arm(observation, "fallbacks").total == 1
    assert arm(observation, "slow").total == 1
    assert arm(observation, "price").total == pytest.approx(0.003)


def test_a_start_without_an_end_is_an_error_once_its_deadline_is_behind() -> None:
    watching = observer()
    watching.feed(started("a", "ann"))
    watching.caught_up(T0 + 59 * SECOND)
    observation = watching.observe("support", 0, now=T0 + 59 * SECOND)
    assert observation is not None
    assert arm(observation, "errors") == ArmCounts(units=1)
    watching.caught_up(T0 + 60 * SECOND)
    observation = watching.observe("support", 0, now=T0 + 60 * SECOND)
    assert observation is not None
    assert arm(observation, "errors") == ArmCounts(units=1, matured=1, total=1, squares=1)
    watching.feed(finished("a"))
    observation = watching.observe("support", 0, now=T0 + 60 * SECOND)
    assert observation is not None
    assert arm(observation, "errors") == ArmCounts(units=1, matured=1)


def test_who_crosses_over_counts_for_neither_side_afterwards() -> None:
    observation = seen(
        [
            started("a", "ann", "baseline", step=0),
            finished("a"),
            started("a2", "ann", "candidate", step=1, at=10 * SECOND),
            finished("a2", error="timeout", at=11 * SECOND),
            outcome("f1", inference="a2", at=12 * SECOND),
            outcome("f2", "contacts", unit="ann", at=12 * SECOND),
            outcome("f3", "contacts", unit="ann", at=9 * SECOND),
            outcome("f4", "contacts", unit="ann", at=-SECOND),
        ]
    )
    assert len(observation.metrics["errors"]) == 1
    assert arm(observation, "errors", "baseline") == ArmCounts(units=1, matured=1)
    assert arm(observation, "resolved", "baseline").total == 0
    assert arm(observation, "contacts", "baseline").total == 1


def blind(id_: str, unit: str, **more: Any) -> Started:
    return started(id_, unit, "baseline", share=0, **more)


def test_who_was_moved_because_nobody_watched_counts_for_neither_side_meanwhile() -> None:
    """The candidate's unit and the baseline's live through the same, and count the same."""
    events: list[SpoolEvent] = []
    for unit, side in (("ann", "candidate"), ("bob", "baseline")):
        events += [
            started(f"{unit}1", unit, side),
            finished(f"{unit}1"),
            outcome(f"{unit}-f1", "contacts", unit=unit, at=2 * SECOND),
            blind(f"{unit}2", unit, at=10 * SECOND, key=f"{unit}-order"),
            finished(f"{unit}2", at=11 * SECOND, error="timeout"),
            outcome(f"{unit}-f2", inference=f"{unit}2", at=12 * SECOND),
            outcome(f"{unit}-f3", "contacts", key=f"{unit}-order", at=12 * SECOND),
            outcome(f"{unit}-f4", "contacts", unit=unit, at=12 * SECOND),
            started(f"{unit}3", unit, side, at=20 * SECOND),
            finished(f"{unit}3", at=21 * SECOND),
            outcome(f"{unit}-f5", "contacts", 2, inference=f"{unit}3", at=22 * SECOND),
        ]
    observation = seen(events)
    assert observation.exposed == Exposed(baseline=1, candidate=1)
    for metric, total in (("errors", 0), ("resolved", 0), ("contacts", 3)):
        sides = [arm(observation, metric, side) for side in ("baseline", "candidate")]
        assert sides[0] == sides[1]
        assert (sides[0].units, sides[0].matured, sides[0].total) == (1, 1, total)


def test_who_came_first_while_nobody_watched_is_enrolled_on_coming_back() -> None:
    events: list[SpoolEvent] = [
        blind("a1", "ann"),
        finished("a1", error="timeout"),
        outcome("f1", inference="a1"),
        outcome("f2", "contacts", unit="ann", at=2 * SECOND),
        blind("b1", "bob"),
        started("a2", "ann", "candidate", at=10 * SECOND, step=1),
        finished("a2", at=11 * SECOND),
        outcome("f3", "contacts", unit="ann", at=12 * SECOND),
    ]
    for order in (events, events[::-1]):
        observation = seen(order, step=1)
        assert observation.exposed == Exposed(candidate=1)
        assert seen(order, step=0).exposed == Exposed()
        (stratum,) = observation.metrics["errors"]
        assert (stratum.step, stratum.baseline.units, stratum.candidate) == (1, 0, ArmCounts(units=1, matured=1))
        assert arm(observation, "resolved").total == 0
        assert arm(observation, "contacts").total == 1


def test_a_blind_start_that_never_ends_is_nobodys_error() -> None:
    observation = seen([started("a", "ann"), finished("a"), blind("a2", "ann", at=SECOND)])
    assert arm(observation, "errors") == ArmCounts(units=1, matured=1)


def test_only_enrolled_requests_of_the_rollout_count() -> None:
    watching = observer()
    other = Started(
        id="o", use_case="support", at=T0, release="r", arm="candidate", deadline=T0, unit="ann", rollout="r0", step=0
    )
    for event in (other, started("n", ""), started("p", "ann", "pinned"), started("l", "ann", "live")):
        watching.feed(event)
    watching.caught_up(T0 + HOUR)
    observation = watching.observe("support", 0, now=T0 + HOUR)
    assert observation is not None
    assert observation.metrics["resolved"] == ()
    assert watching.observe("other", 0, now=T0) is None


def test_a_new_rollout_starts_from_nothing_and_an_ended_one_is_forgotten() -> None:
    watching = observer()
    watching.feed(started("a", "ann"))
    watching.follow({"support": ("r1", watched(SPEC))})
    observation = watching.observe("support", 0, now=T0)
    assert observation is not None
    assert observation.exposed == Exposed(candidate=1)
    watching.follow({"support": ("r2", watched(SPEC))})
    assert watching.follows("support", "r2")
    observation = watching.observe("support", 0, now=T0)
    assert observation is not None
    assert observation.exposed == Exposed()
    watching.follow({})
    assert watching.observe("support", 0, now=T0) is None


def _history(generator: random.Random) -> list[SpoolEvent]:
    """Return events of units that come back, cross over, fail, answer twice, answer late and come while nobody watches."""
    events: list[SpoolEvent] = []
    for number in range(400):
        unit, at = f"u{generator.randrange(120)}", number * 100 * SECOND
        step = number // 150
        share = 0 if 60 < number < 90 or number > 370 else (100_000, 400_000, 700_000)[step]
        side = "candidate" if hash_of(unit) * 10_000 < share else "baseline"
        key = f"k{generator.randrange(300)}"
        events.append(started(f"i{number}", unit, side, at=at, step=step, share=share, key=key))
        if generator.random() < 0.95:
            error = generator.choice(["", "", "timeout"])
            duration = generator.randrange(6 * SECOND)
            events.append(finished(f"i{number}", at=at + SECOND, error=error, duration=duration, cost=number))
        for metric, value in (("stars", generator.uniform(1, 5)), ("bought", 1), ("resolved", generator.randrange(2))):
            if generator.random() < 0.5:
                later = at + generator.randrange(8 * HOUR)
                by = generator.choice([{"inference": f"i{number}"}, {"unit": unit}])
                feedback = outcome(f"{metric}-{number}", metric, value, at=later, **by)
                events.extend([feedback] * generator.choice([1, 1, 2]))
    return events


def hash_of(unit: str) -> int:
    return int(unit[1:]) * 37 % 100


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_reading_changes_nothing(seed: int) -> None:
    generator = random.Random(seed)
    events = _history(generator)
    expected = seen(events, until=20 * HOUR)
    assert len(expected.metrics["stars"]) == 3
    shuffled = generator.sample(events, len(events))
    watching = observer()
    for event in shuffled:
        watching.feed(event)
    watching.caught_up(T0 + 20 * HOUR)
    assert watching.observe("support", 0, now=T0 + 20 * HOUR) == expected


@pytest.mark.parametrize("value", [1e200, 1e308, -1e308])
def test_no_number_stops_the_counting(value: float) -> None:
    observation = seen([started("a1", "ann"), started("b1", "bob"), outcome("f1", "contacts", value, inference="a1")])
    counts = arm(observation, "contacts")
    assert abs(counts.total) == 1e12
    assert counts.squares == 1e24


def test_what_has_had_no_feedback_is_unheard() -> None:
    events: list[SpoolEvent] = [started("a1", "ann"), started("b1", "bob"), outcome("f1", "resolved", inference="a1")]
    assert seen(events).unheard == ("bought", "contacts", "stars")


def test_a_cost_beyond_all_measure_is_counted() -> None:
    observation = seen([started("a", "ann"), finished("a", cost=10**400)])
    assert arm(observation, "price").matured == 1
    assert arm(observation, "price").total <= 1e12


def test_feedback_that_could_not_be_counted_is_no_duplicate_when_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watching = observer()
    watching.feed(started("a", "ann"))
    answer = outcome("f1", inference="a")
    with monkeypatch.context() as failing:
        failing.setattr("pilotage.rollout.units.round", lambda _: 1 // 0, raising=False)
        with pytest.raises(ZeroDivisionError):
            watching.feed(answer)
    watching.feed(answer)
    watching.feed(answer)
    watching.caught_up(T0 + HOUR)
    observation = watching.observe("support", 0, now=T0 + HOUR)
    assert observation is not None
    assert arm(observation, "resolved").total == 1


def test_a_flag_exposes_a_unit_and_its_errors_are_told() -> None:
    observation = seen(
        [
            started("a", "ann", surface="flag"),
            finished("a", at=0, attempts=0),
            outcome("e1", "errors", inference="a"),
            outcome("e2", "slow", unit="ann"),
            started("b", "bob", surface="flag", key="order-1"),
            finished("b", at=0, attempts=0),
            outcome("e3", "fallbacks", key="order-1"),
            started("c", "cat", surface="flag"),
            finished("c", at=0, attempts=0),
        ]
    )
    # Silence is no error, as silence is no outcome.
    for name in ("errors", "fallbacks", "slow"):
        assert arm(observation, name) == ArmCounts(units=3, matured=3, total=1, squares=1), name
    # What a call cost that the gateway did not make, nobody has measured: that is not nothing.
    assert arm(observation, "price") == ArmCounts(units=3)
    assert arm(observation, "resolved").matured == 3
