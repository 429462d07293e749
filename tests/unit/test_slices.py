"""Slices of an evaluation have intervals that hold at once."""

from __future__ import annotations

import numpy as np

from pilotage.evaluation.client import Reply
from pilotage.evaluation.comparison import Pair, by_label
from pilotage.evaluation.measures import Judged, quality
from pilotage.records import Score
from pilotage.spec.case import Case


def judged(scenario: str, value: float | None, group: str = "") -> Judged:
    case = Case(id="c", text="q", scenario=scenario, group=group, contains=("x",))
    score = Score(case="c", release="r", scorer="s", value=value, why="")
    return Judged(case=case, reply=Reply(latency=0.1, status=200, text="x"), score=score)


def test_a_slice_has_an_interval_wider_than_alone() -> None:
    cases = [judged("a", 1.0)] * 30 + [judged("a", 0.0)] * 10 + [judged("b", 0.0)] * 5 + [judged("b", None)] * 5
    found = quality(cases).detail["slices"]["scenario"]
    assert found["a"] | {"low": 0, "high": 0} == {
        "right": 30, "wrong": 10, "unscored": 0, "value": 0.75, "low": 0, "high": 0,
    }  # fmt: skip
    alone = quality([one for one in cases if one.case.scenario == "a"])
    assert found["a"]["low"] < alone.low < 0.75 < alone.high < found["a"]["high"]
    # What was not scored may be right: the upper end counts it so.
    assert found["b"]["value"] == 0
    assert found["b"]["high"] > 0.5
    assert quality([judged("a", 1.0), judged("b", None)]).detail["slices"]["scenario"]["b"]["value"] is None
    # One group alone is worth one case.
    grouped = [judged("a", 1.0, "g")] * 30 + [judged("b", float(n % 2), f"g{n}") for n in range(30)]
    assert quality(grouped).detail["slices"]["scenario"]["a"]["low"] < 0.2


def test_intervals_of_all_slices_hold_at_once() -> None:
    rng = np.random.default_rng(7)
    times, held = 400, 0
    for _ in range(times):
        truth = rng.uniform(-0.3, 0.3, 8)
        labelled = {}
        for at, difference in enumerate(truth):
            now, before = rng.random(60) < 0.5 + difference / 2, rng.random(60) < 0.5 - difference / 2
            labelled[str(at)] = [Pair(float(one), float(two)) for one, two in zip(now, before, strict=True)]
        found = by_label(labelled, 0.95)
        held += all(found[str(at)]["low"] <= one <= found[str(at)]["high"] for at, one in enumerate(truth))
    # Of the promised 95 %: what so many draws tell from it is three standard errors.
    assert held / times > 0.95 - 3 * 0.011
