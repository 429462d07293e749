"""What went through lately: counted by bucket, forgotten in time, never more than the window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.clock import MINUTE, SECOND
from pilotage.console.live import pictures
from pilotage.counting.pulse import BUCKETS, Pulse, bin_of, percentile
from pilotage.records import Finished, Started

NOW = 1_000 * MINUTE


def ended(at: int, *, duration: int = 20_000, error: str = "", served: str = "shop/new@1", cost: int = 500) -> Finished:
    return Finished(
        id=f"i{at}", use_case="shop", at=at, served=served, status=200, duration=duration, error=error, cost=cost
    )


def test_requests_are_counted_by_release() -> None:
    pulse = Pulse(NOW - 60 * MINUTE)
    for second in range(120):
        pulse.feed(ended(NOW - second * SECOND, duration=40_000 if second % 10 == 0 else 10_000), NOW)
    pulse.feed(ended(NOW - 30 * SECOND, error="timeout", served=""), NOW)
    pulse.feed(Started(id="x", use_case="shop", at=NOW, release="shop/new@1", arm="live", deadline=NOW), NOW)
    found = pulse.shown("shop", NOW + 10 * SECOND)
    nobody, new = found["releases"]
    assert (nobody["release"], nobody["errors"]) == ("", 1)
    assert new["requests"] == 120
    assert new["cost"] == pytest.approx(120 * 500 / 1e6)
    assert new["p50"] == pytest.approx(10, rel=0.2)
    assert new["p95"] == pytest.approx(40, rel=0.2)
    assert max(new["a_second"]) == 1.0
    assert len(new["a_second"]) == len(new["slow"]) == BUCKETS - 1
    assert pulse.shown("other", NOW)["releases"] == []
    assert max(new["an_hour"]) == pytest.approx(0.0005 * 3_600)
    flow, slow, money = pictures({**found, "use_case": "shop", "currency": "EUR"})
    assert "EUR an hour" in money
    assert "requests a second" in flow
    assert "95 % answered within" in slow


def test_a_process_that_just_began_says_since_when() -> None:
    pulse = Pulse(NOW)
    assert pulse.shown("shop", NOW + MINUTE)["since"] == NOW
    assert pictures({**pulse.shown("shop", NOW), "use_case": "shop", "currency": "EUR"}) == []


def test_what_began_within_a_bucket_is_not_taken_for_slow() -> None:
    began = NOW + 4 * SECOND
    pulse = Pulse(began)
    for tenth in range(60):
        pulse.feed(ended(began + tenth * SECOND // 10), began + 6 * SECOND)
    found = pulse.shown("shop", NOW + 11 * SECOND)
    assert (found["since"], found["until"]) == (began, NOW + 10 * SECOND)
    assert found["releases"][0]["a_second"] == [10.0]


def test_a_clock_that_goes_ahead_hides_nothing() -> None:
    pulse = Pulse(NOW - 60 * MINUTE)
    pulse.feed(ended(NOW + 10_000 * MINUTE), NOW)
    pulse.feed(ended(NOW - SECOND), NOW)
    assert pulse.shown("shop", NOW + 10 * SECOND)["releases"][0]["requests"] == 2


def test_a_time_lapse_shows_as_much_real_time() -> None:
    pulse = Pulse(0, rate=3_600.0)
    late = 100_000 * pulse.width
    pulse.feed(ended(late), late)
    found = pulse.shown("shop", late + 2 * pulse.width)
    assert found["until"] - found["since"] == (BUCKETS - 1) * pulse.width == 89 * 10 * 3_600 * SECOND


@given(st.lists(st.integers(0, 10**13), max_size=300))
def test_no_stream_of_events_grows_it(times: list[int]) -> None:
    pulse = Pulse(0)
    last = 0
    for at in times:
        last = max(last, at)
        pulse.feed(ended(at), last)
    assert len(pulse._buckets) <= BUCKETS
    shown = pulse.shown("shop", last + 10 * SECOND)["releases"]
    lately = sum(at // pulse.width > last // pulse.width - BUCKETS + 1 for at in times)
    assert sum(one["requests"] for one in shown) == lately


@given(st.integers(0, 10**12))
def test_a_bin_holds_its_durations(duration: int) -> None:
    place = bin_of(duration)
    upper = percentile({place: 1}, 0.5)
    assert upper is not None
    if 0 < place < 80:
        assert upper * 1_000 / 1.2 * 0.999 <= duration <= upper * 1_000 * 1.001
    assert percentile({}, 0.5) is None
