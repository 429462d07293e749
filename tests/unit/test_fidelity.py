"""What a replay loses, each loss seen in its own part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.staging.fidelity import BURSTS, GAPS, RATE, SESSIONS, SIZES, fidelity
from pilotage.staging.trace import Arrival, read_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60_000_000


def service(seed: int = 3, count: int = 6000) -> list[Arrival]:
    """Arrivals whose rate wanders, with answers that grow with their questions."""
    random = np.random.default_rng(seed)
    pace = np.exp(np.cumsum(random.normal(0, 0.1, count // 20)) * 0.5)
    gaps = random.exponential(1.0, count) * np.repeat(pace / pace.mean(), 20)
    questions = random.lognormal(5, 1, count)
    answers = questions * random.lognormal(-1, 0.4, count)
    at = np.cumsum(gaps) * 1e6
    return [Arrival(int(t), int(q), int(a)) for t, q, a in zip(at, questions, answers, strict=True)]


def moved(stream: Sequence[Arrival], times: Sequence[float]) -> list[Arrival]:
    return [
        Arrival(int(at), one.input_tokens, one.output_tokens) for at, one in zip(sorted(times), stream, strict=True)
    ]


def test_the_same_stream_loses_nothing_at_any_speed() -> None:
    trace = service()
    for factor in (1, 60):
        found = fidelity(trace, moved(trace, [one.at / factor for one in trace]), compression=factor)
        assert found.parts == pytest.approx({RATE: 1, GAPS: 1, BURSTS: 1, SIZES: 1}, abs=1e-3)
        assert found.missing.keys() == {SESSIONS}


def test_each_loss_is_seen_where_it_is() -> None:
    trace = service()
    random = np.random.default_rng(5)
    plain = fidelity(trace, moved(trace, random.uniform(0, trace[-1].at, len(trace)).tolist()))
    assert plain.parts[BURSTS] < 0.2
    assert plain.parts[SIZES] == 1

    answers = random.permutation([one.output_tokens or 0 for one in trace])
    mixed = fidelity(
        trace, [Arrival(one.at, one.input_tokens, int(size)) for one, size in zip(trace, answers, strict=True)]
    )
    assert mixed.parts[SIZES] < 0.2
    assert mixed.parts[BURSTS] == 1

    half = fidelity(trace, [one for one, kept in zip(trace, random.random(len(trace)) < 0.5, strict=True) if kept])
    assert half.parts[RATE] == pytest.approx(0.5, abs=0.03)
    assert half.score == half.parts[RATE]

    steady = fidelity(trace, moved(trace, np.linspace(0, trace[-1].at, len(trace)).tolist()))
    assert steady.parts[GAPS] < 0.5


def test_what_cannot_be_told_is_missing_and_not_a_pass() -> None:
    few = fidelity([Arrival(0), Arrival(5)], [Arrival(0), Arrival(5)])
    assert (few.parts, few.score) == ({}, None)
    assert few.missing.keys() == {RATE, GAPS, BURSTS, SIZES, SESSIONS}
    at_once = [Arrival(0)] * 9
    assert fidelity(at_once, at_once).score is None
    short = fidelity(service(count=60), service(count=60))
    assert "arrivals" in short.missing[BURSTS]
    sizeless = [Arrival(one.at) for one in service()]
    assert "how large" in fidelity(sizeless, service()).missing[SIZES]
    assert "how large" in fidelity(service(), sizeless).missing[SIZES]


@given(
    st.lists(st.integers(0, 10**9), min_size=0, max_size=60),
    st.lists(st.integers(0, 10**9), min_size=0, max_size=60),
    st.booleans(),
)
def test_any_two_streams_score_between_nothing_and_all(one: list[int], other: list[int], sized: bool) -> None:
    trace, replay = ([Arrival(at, at % 7, at % 5) if sized else Arrival(at) for at in sorted(s)] for s in (one, other))
    found = fidelity(trace, replay)
    assert all(0 <= part <= 1 for part in found.parts.values())
    assert found.parts.keys() | found.missing.keys() == {RATE, GAPS, BURSTS, SIZES, SESSIONS}


def test_an_hour_of_a_real_service() -> None:
    data = os.environ.get("PILOTAGE_TEST_DATA")
    path = Path(data or "") / "traffic" / "azure_llm_conversation_2023.csv"
    if not data or not path.exists():
        pytest.skip("PILOTAGE_TEST_DATA names no folder with traffic/azure_llm_conversation_2023.csv")
    trace = read_trace(path).arrivals
    half = trace[-1].at // 2
    first, second = ([one for one in trace if (one.at >= half) == late] for late in (False, True))
    second = [Arrival(one.at - half, one.input_tokens, one.output_tokens) for one in second]
    random = np.random.default_rng(1)
    faster = moved(
        trace, [one.at / 60 + jitter for one, jitter in zip(trace, random.exponential(300, len(trace)), strict=True)]
    )
    good = {"halves": fidelity(first, second), "60 times": fidelity(trace, faster, compression=60)}
    assert all((found.score or 0) >= 0.9 for found in good.values()), good

    answers = random.permutation([one.output_tokens or 0 for one in trace])
    bad = {
        "poisson": fidelity(trace, moved(trace, random.uniform(0, trace[-1].at, len(trace)).tolist())),
        "shuffled": fidelity(
            trace, [Arrival(one.at, one.input_tokens, int(size)) for one, size in zip(trace, answers, strict=True)]
        ),
        "half": fidelity(
            trace, [one for one, kept in zip(trace, random.random(len(trace)) < 0.5, strict=True) if kept]
        ),
    }
    assert all(found.score is not None and found.score <= 0.6 for found in bad.values()), bad
