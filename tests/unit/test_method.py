"""What is gathered of values: the same in any order and any parting, and exact."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.decision.method import MANY, Bounded, Method, Rate, Unbounded, method_of
from pilotage.spec.metric import Goal
from pilotage.stats import asymptotic, histogram

MILLION = 1_000_000


def metric(**tables: Any) -> Goal:
    return Goal.model_validate({"silence": None, **tables})


STARS = method_of(metric(kind="rating", low=1.0, high=5.0))
SECONDS = method_of(metric(kind="duration", high=30.0))
WIDE = method_of(metric(kind="money", high=5e9))
PAID = method_of(metric(kind="money"))
METHODS = (Rate(), STARS, SECONDS, WIDE, PAID)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_parts_come_to_the_whole_in_any_order(method: Method, data: st.DataObject) -> None:
    values = data.draw(
        st.lists(st.integers(-(10**7), 10**17) | st.sampled_from([0, MILLION, 5 * MILLION]), max_size=99)
    )
    whole = method.gather(values)
    cut = data.draw(st.integers(0, len(values)))
    parts = [method.gather(values[cut:]), method.gather(values[:cut]), method.gather([])]
    random.Random(1).shuffle(values)
    assert method.merge(parts) == whole == method.gather(values)
    assert method.units(whole) == len(values)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=tuple[int, ...]) == whole
    assert all(type(x) is int for x in whole)


@pytest.mark.parametrize("method", [STARS, SECONDS, WIDE])
def test_many_values_are_gathered_as_few_are(method: Bounded) -> None:
    rng = np.random.default_rng(5)
    values = [int(x) for x in rng.integers(-(10**6), 6 * 10**15 if method is WIDE else 33 * MILLION, 5 * MANY)]
    values += [0, 10**30, -(10**30), *(edge for edge in method.scale.edges)]
    few = [method.gather(values[start : start + MANY - 1]) for start in range(0, len(values), MANY - 1)]
    assert method.gather(values) == method.merge(few)


def test_sums_read_as_what_statistics_bet_on() -> None:
    rng = np.random.default_rng(6)
    seconds = rng.lognormal(0, 1, 300)
    values = [round(x * MILLION) for x in seconds]
    assert isinstance(SECONDS, Bounded)
    read = SECONDS.read(SECONDS.gather(values))
    assert read == histogram.gather(SECONDS.scale, seconds)
    assert read.mean == pytest.approx(np.minimum(seconds, 30).mean(), abs=1e-6)
    assert isinstance(PAID, Unbounded)
    signed = [-value if index % 2 else value for index, value in enumerate(values)]
    assert PAID.read(PAID.gather(signed)) == asymptotic.gather([value / MILLION for value in signed])
    assert Rate().gather([MILLION, 0, 0, MILLION, 0]) == (2, 3)


def test_every_metric_has_its_method() -> None:
    assert method_of(metric()) == Rate()
    assert method_of(metric(silence=1.0)) == Rate()
    half = method_of(metric(silence=0.25))
    assert isinstance(half, Bounded)
    assert half.scale.edges == (0, 250_000, MILLION)
    assert isinstance(method_of(metric(kind="rating")), Unbounded)
    assert isinstance(method_of(metric(kind="duration", high=1e300)), Unbounded)


@pytest.mark.parametrize(
    "tables",
    [
        {"kind": "rating", "low": 1.0, "high": 5.0},
        {"kind": "rating", "low": -3.0, "high": 3.0},
        {"kind": "rating", "low": 0.0, "high": 100.0},
        {"kind": "count", "high": 7.0},
    ],
)
def test_whole_numbers_lie_on_edges(tables: dict[str, Any]) -> None:
    declared = metric(**tables)
    method = method_of(declared)
    assert isinstance(method, Bounded)
    low, high = (round(end) for end in declared.bounds)
    assert {whole * MILLION for whole in range(low, high + 1)} <= set(method.scale.edges)
    assert len(method.scale.edges) <= 101


@pytest.mark.parametrize("cap", [1e-9, 1e-6, 0.002, 4.0, 1e6, 3e7, 1e12])
def test_a_cap_of_any_size_gives_a_scale(cap: float) -> None:
    method = method_of(metric(kind="money", high=cap))
    assert isinstance(method, Bounded)
    assert method.scale.points[-1] == pytest.approx(max(cap, 2e-6))
    sums = method.gather([round(cap * MILLION)] * 1000)
    assert method.read(sums).mean == pytest.approx(cap, abs=1.1e-6)
    assert method.merge([sums] * 1000)[2] < 2**63


def test_what_lies_beyond_the_ends_counts_as_the_end() -> None:
    for many in (1, MANY):
        assert STARS.gather([0, 9 * MILLION] * many) == STARS.gather([MILLION, 5 * MILLION] * many)
    assert PAID.gather([10**40]) == PAID.gather([10**15])
