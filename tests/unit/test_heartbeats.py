"""Heartbeats, and what a worker makes of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pilotage.app.sight import Sight
from pilotage.spec.route import Allocation, Route
from pilotage.store.heartbeats import Heartbeats


def a_route(name: str, rollout: str, blind_after: int = 1000) -> Route:
    split = Allocation(rollout=rollout, baseline="b", candidate="c", step=0, share=1, generation=1) if rollout else None
    return Route(
        use_case=name, unit="user", live="", releases={}, metrics={}, allocation=split, blind_after=blind_after
    )


def test_the_newest_beat_is_heard_and_others_are_forgotten(tmp_path: Path) -> None:
    heartbeats = Heartbeats(tmp_path)
    (tmp_path / "control.json").write_text("{}")
    assert heartbeats.heard("r1") is None
    for at in (5, 2**40, 7):
        heartbeats.beat("r1", at)
        assert Heartbeats(tmp_path).heard("r1") == at
    heartbeats.beat("r2", 1)
    heartbeats.retain({"r2"})
    assert (heartbeats.heard("r1"), heartbeats.heard("r2")) == (None, 1)
    heartbeats.retain(())
    assert [path.name for path in tmp_path.iterdir()] == ["control.json"]
    (tmp_path / "r1.beat").write_bytes(b"cut")
    assert heartbeats.heard("r1") is None


def test_each_rollout_has_its_own_patience(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 10_000
    heartbeats = Heartbeats(tmp_path)
    sight = Sight(heartbeats, timer=lambda: now)
    routes = [a_route("one", "r1"), a_route("two", "r2", 5000), a_route("none", "")]
    assert sight.blind(routes) == frozenset()
    heartbeats.beat("r1", now)
    now += 1001
    assert sight.blind(routes) == {"r1"}
    now += 4000
    assert sight.blind(routes) == {"r1", "r2"}
    heartbeats.beat("r1", now)
    heartbeats.beat("r2", now)
    assert sight.blind(routes) == frozenset()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["one", "two", "one", "two"]


def test_a_new_rollout_counts_from_when_it_was_read_of(tmp_path: Path) -> None:
    now = 10_000
    heartbeats = Heartbeats(tmp_path)
    sight = Sight(heartbeats, timer=lambda: now)
    assert sight.blind([a_route("one", "r1")]) == frozenset()
    now += 2000
    assert sight.blind([a_route("one", "r2")]) == frozenset()
    now += 1001
    assert sight.blind([a_route("one", "r2")]) == {"r2"}
    # A worker that starts late hears at once that the controller fell silent long ago.
    heartbeats.beat("r2", now - 1001)
    assert Sight(heartbeats, timer=lambda: now).blind([a_route("one", "r2")]) == {"r2"}
