from __future__ import annotations

from typing import Any

from pilotage.clock import HOUR, SECOND
from pilotage.counting.course import Followed
from pilotage.counting.observe import Observer
from pilotage.counting.watched import watched
from pilotage.decision.batch import EXPOSED, Batch
from pilotage.records import Feedback, Finished, Started, Text
from pilotage.spec.use_case import UseCase
from pilotage.status import Allocated, RolloutStatus

SPEC = UseCase.model_validate(
    {
        "name": "support",
        "owner": "Ada",
        "variants": {"assistant": {"upstream": "openai", "model": "m"}},
        "goals": {"resolved": {"minimum_effect": 0.05, "matures_after": "60s"}},
    },
    strict=False,
)
T0 = 1_790_000_000 * SECOND
MATURE = T0 + HOUR


def followed(rollout: str = "r1", frontier: dict[str, int] | None = None, *, splits: int = 1) -> Followed:
    status = RolloutStatus(
        id=rollout,
        candidate="support/candidate@0",
        baseline="support/baseline@0",
        shares=(500_000,),
        started=T0,
        step_since=T0,
        allocations=tuple(Allocated(generation=n + 1, step=0, share=500_000, at=T0 + n) for n in range(splits)),
    )
    return Followed(status, watched(SPEC), frontier or {})


def observer(**frontier: int) -> Observer:
    made = Observer(grace=0)
    made.follow({"support": followed(frontier=frontier)})
    return made


def started(id_: str, unit: str, arm: str = "candidate", *, at: int = 0, **more: Any) -> Started:
    given: dict[str, Any] = {"rollout": "r1", "share": 500_000, "generation": 1, **more}
    return Started(
        id=id_,
        use_case="support",
        at=T0 + at,
        release=f"support/{arm}@0",
        arm=arm,
        deadline=T0 + at + 60 * SECOND,
        unit=unit,
        **given,
    )


def finished(id_: str, **more: Any) -> Finished:
    return Finished(id=id_, use_case="support", at=T0 + SECOND, served="support/x@0", status=200, **more)


def outcome(id_: str, metric: str = "resolved", value: float = 1, *, at: int = 2 * SECOND, **by: str) -> Feedback:
    return Feedback(id=id_, use_case="support", at=T0 + at, received=T0 + at, metric=metric, value=value, **by)


def batch(watching: Observer, at: int = MATURE) -> Batch:
    found = watching.batch("support", at)
    assert found is not None
    return found


def test_what_has_matured_comes_once() -> None:
    watching = observer()
    for event in (started("a", "ann"), finished("a"), outcome("f", inference="a"), started("b", "bob", "baseline")):
        watching.feed(event)
    watching.caught_up(MATURE, 1.0)
    found = batch(watching)
    assert {(cell.arm, cell.sums) for cell in found.metrics["resolved"]} == {(1, (1, 0)), (0, (0, 1))}
    assert found.at == MATURE
    assert watching.batch("support", MATURE) is None
    assert watching.batch("other", MATURE) is None


def test_nothing_comes_before_a_pass_was_complete() -> None:
    watching = observer()
    watching.caught_up(MATURE, 1.0)
    watching.follow({"support": followed("r2")})
    watching.feed(started("a", "ann", rollout="r2"))
    # What was read to its end before this rollout was followed says nothing about it.
    assert watching.batch("support", MATURE) is None
    watching.caught_up(MATURE + 1, 2.0)
    assert batch(watching).exposed == ((1, 1, 1),)


def test_the_watermark_is_the_clocks_time_some_real_time_ago() -> None:
    watching = Observer()
    watching.follow({"support": followed()})
    for second in range(10):
        watching.feed(started(f"i{second}", f"u{second}", at=second * SECOND))
    # A time-lapse: each pass of a tenth of a second of real time moves the clock by a second.
    reached = []
    for number in range(8):
        watching.caught_up(T0 + number * SECOND, 100 + number / 10)
        found = watching.batch("support", T0 + number * SECOND)
        reached.append(found.frontier[EXPOSED] - T0 if found else None)
    assert reached == [None, None, None, 0, SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]


def test_after_a_long_pause_the_watermark_is_old_and_not_early() -> None:
    watching = Observer()
    watching.follow({"support": followed()})
    watching.feed(started("a", "ann", at=50 * SECOND))
    watching.caught_up(T0, 100.0)
    watching.caught_up(MATURE, 160.0)
    # Only the pass of a minute ago is known to be old enough; nobody was exposed by then.
    assert watching.batch("support", MATURE) is None
    watching.caught_up(MATURE + SECOND, 160.3)
    assert batch(watching).exposed == ((1, 1, 1),)


def test_feedback_and_ends_read_before_the_start_wait_for_it() -> None:
    watching = observer()
    for said in (outcome("f1", inference="a"), outcome("f2", key="order-1"), outcome("f3", unit="cat")):
        watching.feed(said)
    watching.feed(finished("a", error="timeout"))
    watching.caught_up(T0, 1.0)
    for event in (started("a", "ann"), started("b", "bob", "baseline", key="order-1"), started("c", "cat")):
        watching.feed(event)
    watching.caught_up(MATURE, 2.0)
    found = batch(watching).metrics
    assert {(cell.arm, cell.sums) for cell in found["resolved"]} == {(1, (2, 0)), (0, (1, 0))}
    assert {(cell.arm, cell.sums) for cell in found["errors"]} == {(1, (2, 0)), (0, (1, 0))}
    assert watching.unmatched == {"support": 0}


def test_what_still_joins_nothing_is_said_and_let_go() -> None:
    watching = observer()
    watching.feed(outcome("f1", inference="a"))
    watching.feed(finished("b"))
    watching.caught_up(T0 + 1, 1.0)
    assert watching.unmatched == {"support": 0}
    watching.caught_up(T0 + 2, 2.0)
    assert watching.unmatched == {"support": 1}
    watching.feed(started("a", "ann"))
    watching.caught_up(MATURE, 3.0)
    assert batch(watching).metrics["resolved"][0].sums == (0, 1)


def test_only_enrolled_requests_of_the_rollout_count() -> None:
    watching = observer()
    for event in (
        started("o", "ann", rollout="r0"),
        started("n", ""),
        started("p", "ann", "pinned"),
        started("l", "ann", "live", rollout=""),
        Text(id="a", use_case="support", at=T0, unit_key="k", segment="s", offset=0, length=1),
    ):
        watching.feed(event)
    watching.caught_up(MATURE, 1.0)
    assert watching.batch("support", MATURE) is None


def test_a_new_rollout_starts_from_nothing_and_an_ended_one_is_forgotten() -> None:
    watching = observer()
    watching.feed(started("a", "ann"))
    watching.follow({"support": followed(splits=2)})
    assert watching.follows("support", "r1")
    watching.feed(started("b", "bob", generation=2))
    watching.caught_up(MATURE, 1.0)
    assert batch(watching).exposed == ((1, 1, 1), (2, 1, 1))
    watching.follow({"support": followed("r2")})
    assert not watching.follows("support", "r1")
    watching.caught_up(MATURE, 2.0)
    assert watching.batch("support", MATURE) is None
    watching.follow({})
    assert watching.batch("support", MATURE) is None
    assert watching.unmatched == {}


def test_it_goes_on_from_the_recorded_frontier() -> None:
    metrics = {"errors": T0, "fallbacks": T0, "resolved": T0 + 60 * SECOND, EXPOSED: T0}
    watching = observer(**metrics)
    for event in (started("a", "ann"), finished("a"), started("b", "bob", "baseline", at=SECOND)):
        watching.feed(event)
    watching.caught_up(MATURE, 1.0)
    found = batch(watching)
    assert found.exposed == ((1, 0, 1),)
    assert found.late == 0
    assert {cell.arm for cells in found.metrics.values() for cell in cells} == {0}
