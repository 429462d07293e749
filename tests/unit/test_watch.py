from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.counting.course import Followed, Period
from pilotage.counting.observe import Observer
from pilotage.counting.watched import told, watched
from pilotage.decision.batch import Batch, Cell
from pilotage.decision.response import respond
from pilotage.decision.stratum import Arm
from pilotage.decision.watch import Crossing, Watching, after, begin, course_of, identity_of, setting
from pilotage.monitor.wording import crossing_text
from pilotage.records import Alarm, Feedback, Started
from pilotage.spec.fairness import Fairness
from pilotage.spec.use_case import UseCase
from pilotage.stats.shape import Shape
from pilotage.status import Action, Phase, RolloutStatus, UseCaseStatus

MINUTE = 60_000_000
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
T0 = 20_000 * DAY


def file(**watch: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "support",
            "owner": "Ada",
            "variants": {"assistant": {"upstream": "openai", "model": "m"}},
            "goals": {"resolved": {"minimum_effect": 0.05}},
            "guardrails": {
                "stars": {"kind": "rating", "low": 1, "high": 5, "margin": 0.2, "silence": 3},
                "revenue": {"kind": "money", "margin": 0.5},
            },
            "watch": watch,
        },
        strict=False,
    )


def cell(*sums: int, arm: int = 1) -> Cell:
    return Cell(1, 1, arm, sums)


class Stream:
    """Ticks of one use case with made-up units."""

    def __init__(self, spec: UseCase, known: dict[str, Arm] | None = None, *, holdback: bool = False) -> None:
        self.setting = setting(spec, holdback=holdback)
        self.watching = begin(self.setting, known or {})
        self.minute = 0
        self.crossed: list[tuple[int, Crossing]] = []
        self.rng = np.random.default_rng(7)

    def go(self, minutes: int, units: int = 4, *, held: int = 0, **rates: float) -> Stream:
        for _ in range(minutes):
            self.minute += 1
            metrics: dict[str, tuple[Cell, ...]] = {}
            for name, rate in rates.items():
                yes = int(self.rng.binomial(units, rate))
                cells = [cell(yes, units - yes)]
                if held:
                    before = int(self.rng.binomial(held, 0.8))
                    cells.append(cell(before, held - before, arm=0))
                metrics[name.replace("_told", "|told")] = tuple(cells)
            batch = Batch(at=T0 + self.minute * MINUTE, metrics=metrics)
            self.watching, crossings = after(self.watching, batch, self.setting)
            self.crossed += [(self.minute, crossing) for crossing in crossings]
        return self

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(crossing.stream, crossing.line) for _, crossing in self.crossed]


KNOWN = {"resolved": Arm(2000, 1200, 0.6, 2000 * 0.24), "errors": Arm(2000, 40, 0.02, 39.2)}


def learned(stream: Stream) -> bool:
    return stream.watching.streams["resolved"].ready


def test_a_drop_is_noticed_and_dated() -> None:
    stream = Stream(file(), KNOWN).go(600, resolved=0.6, resolved_told=0.5, errors=0.02)
    assert stream.crossed == []
    stream.go(400, resolved=0.45, resolved_told=0.5, errors=0.02)
    at, crossing = stream.crossed[0]
    assert (crossing.stream, crossing.line) == ("resolved", "warn")
    assert 600 < at < 900
    assert abs((crossing.since - T0) / MINUTE - 600) < 60
    assert crossing.value == pytest.approx(0.45, abs=0.05)
    assert crossing.level == pytest.approx(0.57, abs=0.02)
    assert stream.lines[1] == ("resolved", "act")


def test_an_error_cliff_is_noticed_within_minutes() -> None:
    stream = Stream(file(), KNOWN).go(100, resolved=0.6, resolved_told=0.5, errors=0.02)
    stream.go(10, resolved=0.6, resolved_told=0.5, errors=1.0)
    assert stream.lines[:1] == [("errors", "act")]
    assert stream.crossed[0][0] <= 105


def test_when_nobody_reports_any_more_it_is_that_which_is_told() -> None:
    stream = Stream(file(), KNOWN).go(2 * 1440, resolved=0.6, resolved_told=0.7, errors=0.02)
    stream.go(60, resolved=0.0, resolved_told=0.0, errors=0.02)
    assert {name for name, _ in stream.lines} == {"resolved|told"}


@pytest.mark.parametrize(("rate", "told_of"), [(0.3, {"resolved"}), (0.0, {"resolved|told"})])
def test_where_only_the_good_is_told_of_fewer_reports_are_the_metric_itself(rate: float, told_of: set[str]) -> None:
    stream = Stream(file(), KNOWN)
    for minute in range(1, 1600):
        yes = int(stream.rng.binomial(4, 0.6 if minute < 1500 else rate))
        cells = (cell(yes, 4 - yes),)
        batch = Batch(at=T0 + minute * MINUTE, metrics={"resolved": cells, "resolved|told": cells})
        stream.watching, crossings = after(stream.watching, batch, stream.setting)
        stream.crossed += [(minute, crossing) for crossing in crossings]
    assert {name for name, _ in stream.lines} == told_of


def test_a_level_that_no_rollout_has_shown_is_learned_for_a_day() -> None:
    stream = Stream(file()).go(1380, resolved=0.6)
    assert not learned(stream)
    # Bad from the beginning is no change.
    stream.go(400, resolved=0.6)
    assert learned(stream)
    assert stream.crossed == []
    stream.go(900, resolved=0.4)
    assert ("resolved", "act") in stream.lines


def test_nights_are_no_change() -> None:
    stream = Stream(file(false_alarms="30d", false_actions="60d"))
    for _ in range(6):
        stream.go(720, resolved=0.65).go(720, resolved=0.55)
    assert stream.crossed == []
    # A day that is as bad as a night is one.
    stream.go(720, resolved=0.5)
    assert stream.lines


def test_a_holdback_is_what_it_is_compared_with() -> None:
    stream = Stream(file(holdback=20), {"resolved": Arm(2000, 1600, 0.8, 320.0)}, holdback=True)
    stream.go(400, held=1, resolved=0.8)
    assert stream.crossed == []
    stream.go(600, held=1, resolved=0.6)
    assert ("resolved|holdback", "act") in stream.lines
    crossing = next(crossing for _, crossing in stream.crossed if crossing.stream == "resolved|holdback")
    assert crossing.level == pytest.approx(0.8, abs=0.08)


def test_a_group_for_which_alone_it_gets_worse_is_named() -> None:
    spec = file().model_copy(update={"fairness": Fairness(segments={"language": ("de", "en")})})
    one = setting(spec, holdback=False)
    assert {"resolved|language=de", "errors|language=en"} <= set(one.asked)
    assert one.warn > setting(file(), holdback=False).warn
    assert identity_of(spec, status()) != identity_of(file(), status())
    watching, rng = begin(one, {}), np.random.default_rng(5)
    crossed: list[Crossing] = []
    for minute in range(1, 2400):
        worse = minute > 1600
        of = {"de": int(rng.binomial(2, 0.3 if worse else 0.6)), "en": int(rng.binomial(18, 0.6))}
        groups: dict[str, dict[str, tuple[Cell, ...]]] = {
            f"language={name}": {"resolved": (cell(yes, (2 if name == "de" else 18) - yes),)}
            for name, yes in of.items()
        }
        whole: dict[str, tuple[Cell, ...]] = {"resolved": (cell(sum(of.values()), 20 - sum(of.values())),)}
        watching, crossings = after(watching, Batch(at=T0 + minute * MINUTE, metrics=whole, groups=groups), one)
        crossed += crossings
    first = crossed[0]
    assert (first.stream, first.metric) == ("resolved|language=de", "resolved")
    words = crossing_text(spec, spec.goals["resolved"], one.asked[first.stream], first)
    assert "users of language=de), and was at least" in words


def test_what_has_no_bounds_is_not_watched() -> None:
    asked = setting(file(), holdback=True).asked
    assert {question.metric for question in asked.values()} == {"resolved", "stars", "errors", "fallbacks"}
    assert "errors|told" not in asked


def test_stars_that_fall_are_noticed() -> None:
    one = setting(file(), holdback=False)
    watching = begin(one, {"stars": Arm(2000, 0, 4.0, 2000.0)})
    method = one.asked["stars"].method
    rng, crossed = np.random.default_rng(3), []
    for minute in range(1, 1200):
        mean = 4.0 if minute < 600 else 3.4
        values = np.clip(np.rint(rng.normal(mean, 1, 4)), 1, 5)
        sums = method.gather([int(value) * 1_000_000 for value in values])
        batch = Batch(at=T0 + minute * MINUTE, metrics={"stars": (cell(*sums),)})
        watching, crossings = after(watching, batch, one)
        crossed += [(minute, crossing.stream) for crossing in crossings]
    assert crossed[0][1] == "stars"
    assert crossed[0][0] > 600


def test_it_is_the_same_however_it_is_stored() -> None:
    straight = Stream(file(), KNOWN).go(50, resolved=0.5, errors=0.1)
    stored = Stream(file(), KNOWN)
    for _ in range(50):
        stored.go(1, resolved=0.5, errors=0.1)
        stored.watching = msgspec.msgpack.decode(msgspec.msgpack.encode(stored.watching), type=Watching)
    assert msgspec.msgpack.encode(stored.watching) == msgspec.msgpack.encode(straight.watching)


def test_a_clock_that_jumps_brings_no_alarm() -> None:
    one = setting(file(), holdback=False)
    watching, _ = after(begin(one, KNOWN), Batch(at=T0, metrics={"resolved": (cell(5, 5),)}), one)
    for at in (T0 + 20 * 365 * DAY, T0 - 20 * 365 * DAY, T0):
        watching, crossings = after(watching, Batch(at=at, metrics={"resolved": (cell(6, 4),)}), one)
        assert crossings == ()


def test_empty_ticks_are_time_too() -> None:
    """An empty tick is M <- M + 1, so a gap of k ticks adds k - 1 before the tick that ends it."""
    one = setting(file(), holdback=False)
    first, _ = after(begin(one, KNOWN), Batch(at=T0, metrics={"resolved": (cell(5, 5),)}), one)
    after_gap, _ = after(first, Batch(at=T0 + 100 * MINUTE, metrics={"resolved": (cell(5, 5),)}), one)
    stepwise = first
    for minute in range(1, 101):
        metrics: dict[str, tuple[Cell, ...]] = {"resolved": (cell(5, 5),)} if minute == 100 else {}
        stepwise, _ = after(stepwise, Batch(at=T0 + minute * MINUTE, metrics=metrics), one)
    assert after_gap.streams["resolved"].state == pytest.approx(stepwise.streams["resolved"].state)


@given(st.integers(0, 400), st.integers(0, 167), st.floats(0, 1))
def test_the_shape_of_a_level_without_one_is_flat(days: int, hour: int, rate: float) -> None:
    shape = Shape()
    for day in range(min(days, 20)):
        for at in range(0, 24, 6):
            shape = shape.after(day * 24 + at, 50, 50 * rate, keep=True)
    assert shape.offset(hour) == pytest.approx(0, abs=1e-9)


def test_the_shape_holds_whole_days_of_before_that_were_good() -> None:
    shape = Shape()
    for at in range(48):
        shape = shape.after(at, 1000, 1000 * (0.8 if at % 24 < 12 else 0.4), keep=at < 24)
    assert shape.offset(0) == 0.0
    shape = shape.after(48, 1, 0.0, keep=True)
    assert shape.offset(49) == pytest.approx(0.2, abs=0.04)
    assert shape.offset(60) == pytest.approx(-0.2, abs=0.04)
    bad = shape.after(72, 10_000, 0.0, keep=False)
    assert bad.offset(49) == pytest.approx(shape.offset(49), abs=0.01)


def status(**more: Any) -> UseCaseStatus:
    given: dict[str, Any] = {"live": "support/b@1", "previous": "support/a@1", **more}
    return UseCaseStatus(use_case="support", charter="c", version=3, **given)


def alarm(action: str) -> Alarm:
    return Alarm(
        id="a",
        use_case="support",
        release="support/b@1",
        kind="degradation",
        what="resolved",
        watch="resolved",
        at=T0,
        since=T0,
        says="has been 40 %",
        action=action,
        acts=True,
    )


RAMP = RolloutStatus(
    id="r",
    candidate="support/c@1",
    baseline="support/b@1",
    shares=(10_000,),
    started=T0,
    step_since=T0,
    phase=Phase.RUNNING,
)


@pytest.mark.parametrize(
    ("action", "more", "does", "says"),
    [
        ("hold", {}, None, "nothing is on its way"),
        ("hold", {"candidate": "support/c@1"}, Action.PAUSE, "Paused. resolved: has been 40 %"),
        ("hold", {"candidate": "support/c@1", "paused": True}, None, "paused already"),
        ("rollback", {}, Action.ROLL_BACK, "Rolled back to support/a@1. resolved: has been 40 %"),
        ("rollback", {"previous": ""}, None, "no earlier release"),
        ("rollback", {"live": "support/a@1"}, None, "does not serve any more"),
        ("rollback", {"rollout": RAMP, "candidate": "support/c@1"}, Action.PAUSE, "its baseline, which is not moved"),
    ],
)
def test_what_is_done_about_an_alarm(action: str, more: dict[str, Any], does: Action | None, says: str) -> None:
    response = respond(status(**more), alarm(action))
    assert response.action is does
    assert says in response.reason


def test_other_metrics_make_another_watch_and_other_receivers_do_not() -> None:
    here = status(live_since=T0)
    assert identity_of(file(), here) != identity_of(file(tick="5m"), here)
    receivers = [{"name": "on-call", "url_env": "A_WEBHOOK_URL"}]
    assert identity_of(file(), here) == identity_of(file(notify=receivers), here)
    assert identity_of(file(), here) != identity_of(file(), status(live_since=T0 + 1))


def follower(period: int = HOUR, holdback: tuple[str, str] = ("", "")) -> Observer:
    base = [metric for metric in watched(file()) if metric.name == "resolved"]
    made = Observer(grace=0)
    course = course_of("w", "support/b@1", holdback[1], T0)
    period_ = Period(period, "support/b@1", holdback)
    made.follow({"support/watch": Followed(course, [*base, *map(told, base)], {}, period_)})
    return made


def started(id_: str, unit: str, at: int, **more: Any) -> Started:
    given: dict[str, Any] = {"release": "support/b@1", "arm": "live", **more}
    return Started(id=id_, use_case="support", at=T0 + at, deadline=T0 + at + MINUTE, unit=unit, **given)


def resolved(id_: str, at: int, **by: str) -> Feedback:
    return Feedback(id=id_, use_case="support", at=T0 + at, received=T0 + at, metric="resolved", value=1, **by)


def sums(observer: Observer, at: int) -> dict[str, list[tuple[int, tuple[int, ...]]]]:
    observer.caught_up(T0 + at, 1.0)
    batch = observer.batch("support/watch", T0 + at)
    assert batch is not None
    return {name: [(cell.arm, cell.sums) for cell in cells] for name, cells in batch.metrics.items()}


def test_a_unit_counts_once_a_cycle_and_whoever_has_none_by_its_request() -> None:
    watching = follower()
    for number, (unit, at) in enumerate([("ann", 1), ("ann", 2), ("", 3), ("", 4), ("ann", HOUR + 1), ("bob", 5)]):
        watching.feed(started(f"i{number}", unit, at))
    watching.feed(started("pinned", "eve", 6, arm="pinned"))
    watching.feed(started("other", "eve", 7, release="support/c@1", arm="candidate", rollout="r"))
    watching.feed(started("replay", "eve", 8, source="replay"))
    watching.feed(resolved("f1", 10, unit="ann"))
    watching.feed(resolved("f2", HOUR + 10, unit="ann"))
    watching.feed(resolved("f3", HOUR + 3, unit="bob"))
    watching.feed(resolved("f4", 30, inference="i2"))
    found = sums(watching, 3 * HOUR)
    # Ann twice, Bob, who was told of an hour later, and two requests of nobody.
    assert found == {"resolved": [(1, (4, 1))], "resolved|told": [(1, (4, 1))]}


def test_who_is_held_back_is_the_other_side() -> None:
    watching = follower(holdback=("r", "support/a@1"))
    watching.feed(started("1", "ann", 1, arm="candidate", rollout="r", share=950_000))
    watching.feed(started("2", "bob", 2, arm="baseline", release="support/a@1", rollout="r", share=950_000))
    watching.feed(started("3", "eve", 3, release="support/a@1", rollout="q", arm="baseline"))
    watching.feed(resolved("f", 10, inference="2"))
    assert sums(watching, 3 * HOUR)["resolved"] == [(0, (1, 0)), (1, (0, 1))]


def test_the_two_lines_are_as_far_apart_as_the_file_says() -> None:
    one = setting(file(false_alarms="10d", false_actions="100d", tick="60s"), holdback=False)
    assert one.act - one.warn == pytest.approx(math.log(10))
    assert one.warn == pytest.approx(math.log(10 * 1440 * len(one.asked) / 0.8))


@pytest.mark.parametrize(
    ("watch", "says"),
    [
        ({"tick": "0s"}, "tick = '0s' is no clock"),
        ({"cycle": "10s"}, "cycle is shorter than tick"),
        ({"false_alarms": "2d", "false_actions": "1d"}, "not shorter than false_alarms"),
        ({"notify": [{"name": "a", "url_env": "https://hooks.example"}]}, "url_env"),
        (
            {"notify": [{"name": "a", "url_env": "A_WEBHOOK_URL"}, {"name": "a", "url_env": "B_WEBHOOK_URL"}]},
            "one name",
        ),
    ],
)
def test_a_file_that_cannot_be_watched_by_says_why(watch: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        file(**watch)
