"""What is left of a rollout's way, and how it is shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.console.rollout import belongs, metric_of, moves, scale_of, share_of, span_of, split_picture, writer
from pilotage.governance.trail import MOST, Point, Trail, longer
from pilotage.report.line import Line
from pilotage.report.steps import step_chart
from pilotage.report.tile import tile

HOUR = 3_600_000_000
CANDIDATE, BASELINE = "shop/new@1", "shop/old@1"


def point(at: int, share: int = 10_000, value: float = 0.01) -> Point:
    return Point(at, share, 0, {CANDIDATE: {"resolved": (value, value - 0.05, value + 0.05, 40, 400)}})


def trail(points: int, every: int = 1_000_000) -> Trail:
    found = Trail(use_case="shop", rollout="r1", started=0, baseline=BASELINE, candidates=(CANDIDATE,))
    for n in range(points):
        found = longer(found, point(n * every, 10_000 if n < points // 2 else 50_000))
    return found


def test_a_long_way_is_thinned_and_keeps_its_ends_and_its_turns() -> None:
    found = trail(20_000)
    assert MOST // 3 < len(found.points) <= MOST
    times = [one.at for one in found.points]
    assert times == sorted(set(times))
    assert times[0] == 0
    assert 19_999 * 1_000_000 - times[-1] <= found.spacing
    turn = next(one for one in found.points if one.share == 50_000)
    assert turn.at == 10_000 * 1_000_000
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Trail) == found


def test_two_points_of_one_moment_are_one() -> None:
    found = trail(3)
    assert longer(found, point(found.points[-1].at, 50_000)) is found
    assert len(longer(found, point(found.points[-1].at, 70_000)).points) == len(found.points) + 1


@given(st.lists(st.tuples(st.integers(0, 10**15), st.sampled_from([10_000, 50_000])), max_size=600))
def test_no_way_gets_longer_than_a_picture(steps: list[tuple[int, int]]) -> None:
    found = trail(0)
    for at, share in sorted(steps):
        found = longer(found, point(at, share))
    turns = sum(one.share != other.share for one, other in zip(found.points, found.points[1:], strict=False))
    assert len(found.points) <= MOST + 2 * turns + 1


def shown(**more: Any) -> dict[str, Any]:
    points = [msgspec.to_builtins(point(n * HOUR, value=0.02 * n)) for n in range(1, 6)]
    reading = {
        "value": 0.1, "low": 0.05, "high": 0.15, "units": 40, "against": 400, "log_proof": 1.5, "log_against": -1.0,
        "proved": False, "harmed": False, "futile": False, "needed": 20, "says": "resolved +10 points",
    }  # fmt: skip
    state = {
        "phase": "running", "step": 1, "shares": [10_000, 50_000, 250_000], "share": 50_000,
        "steps": [{"demands": ["safe"]}, {"demands": ["safe", "hold 6h"]}, {"demands": ["prove"]}],
        "readings": {CANDIDATE: {"resolved": reading}}, "expected": {}, "minimum_units": 50, "blind_after": 60_000_000,
    }  # fmt: skip
    return {
        "id": "r1", "unit": "user", "candidates": [CANDIDATE], "baseline": BASELINE, "points": points,
        "splits": [(0, 10_000), (2 * HOUR, 50_000), (5 * HOUR, 50_000)], "state": state, **more,
    }  # fmt: skip


METRIC = {
    "name": "resolved", "role": "goal", "kind": "binary", "direction": "up", "margin": 0.06, "line": 0.06,
    "margin_text": "6.0 points", "proof_line": 3.0, "against_line": None,
}  # fmt: skip


def test_a_metric_has_a_picture_a_tile_and_a_table() -> None:
    found = metric_of(METRIC, shown(), "hours", HOUR)
    assert found["picture"].startswith("<svg")
    assert "smallest that matters" in found["picture"]
    (one,) = found["tiles"]
    assert (one["proof"], one["against"], one["matured"], one["shown"]) == (50, None, 440, "nothing yet")
    assert "<circle" in one["tile"]
    assert found["rows"][0]["value"] == "+10"
    assert metric_of(METRIC, shown(points=[], state=None), "hours", HOUR)["picture"] == ""


def test_the_first_wide_bands_do_not_press_the_rest_flat() -> None:
    bands = tuple((-1.0, 1.0) if n < 5 else (-0.02, 0.03) for n in range(40))
    line = Line("new", tuple((float(n), 0.0) for n in range(40)), bands)
    assert span_of([line], [(0.0, "")]) == pytest.approx((-0.0225, 0.0325))
    assert span_of([], []) is None


def test_what_would_move_it_is_said_in_words() -> None:
    goes, back, blind = moves(shown())
    assert goes.startswith(
        "It goes on to 25 % once no guardrail shows harm and it has been here for 6h, at 50 candidate users"
    )
    assert "rolls back by itself" in back
    assert "60 s" in blind
    last = shown()
    last["state"]["step"] = 2
    assert "into production once every guardrail is shown" in moves(last)[0]
    assert moves(shown(state=None)) == []


def test_time_is_counted_in_what_fits() -> None:
    assert scale_of(shown()) == ("hours", HOUR)
    assert scale_of(shown(points=[], splits=[]))[0] == "minutes"
    assert scale_of(shown(splits=[(0, 1), (100 * HOUR, 1)]))[0] == "days"


def test_entries_of_a_rollout_are_those_that_name_it_or_its_candidates() -> None:
    one = {"action": "advance", "at": HOUR, "detail": {"rollout": "r1"}}
    assert belongs(one, shown())
    assert not belongs({**one, "detail": {"rollout": "r2"}}, shown())
    assert not belongs({**one, "action": "evidence"}, shown())
    assert belongs({**one, "detail": {"release": CANDIDATE}}, shown())
    assert not belongs({**one, "at": 9 * HOUR, "detail": {"release": CANDIDATE}}, shown())


def test_pictures_of_shares_and_differences() -> None:
    assert "<path" in split_picture(shown(), "hours", HOUR)
    assert split_picture(shown(splits=[(0, 1)]), "hours", HOUR) == ""
    with pytest.raises(ValueError, match="two or more"):
        step_chart("t", [(0.0, 0.1)], across="hours", name="share")
    for bad in ((0.2, 0.3, 0.4), (0.0, float("-inf"), 1.0)):
        with pytest.raises(ValueError, match="within its interval"):
            tile("t", *bad)
    assert "&lt;b&gt;" in tile("<b>", 0.0, 0.0, 0.0).inline
    assert writer(METRIC)(0.031) == "+3.1"
    assert writer({**METRIC, "kind": "money", "margin_text": "0.3 EUR"})(-1.5) == "-1.5"
    assert [share_of(log_e, 3.0) for log_e in (-1.0, 1.5, 9.0)] == [0, 50, 100]
