from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pilotage.clock import DAY, HOUR, SECOND
from pilotage.errors import FaultyFile, NotMeasured
from pilotage.staging.arrivals import HOURLY, Burstiness, declared_days, fit
from pilotage.staging.trace import Arrival, Trace, read_trace, recorded

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def a_trace(tmp_path: Path, text: str) -> Trace:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return read_trace(path)


def test_times_with_seven_digits_zones_and_none(tmp_path: Path) -> None:
    rows = [
        "2023-11-16 18:15:46.6805909,374,44",
        "2023-11-16 18:15:47,1,2",
        "2023-11-16T19:15:48.5+01:00,3,4",
        "2023-11-16 18:15:49.000001Z,5,6",
    ]
    trace = a_trace(tmp_path, HEAD + "\n".join(rows))
    assert trace.arrivals == (
        Arrival(0, 374, 44),
        Arrival(319_410, 1, 2),
        Arrival(1_819_410, 3, 4),
        Arrival(2_319_411, 5, 6),
    )
    assert (trace.disordered, trace.faults) == (0, ())


def test_disorder_is_sorted_and_counted(tmp_path: Path) -> None:
    rows = [f"2026-03-01 00:00:{second:02},1,1" for second in (10, 30, 20, 25, 40)]
    trace = a_trace(tmp_path, HEAD + "\n".join(rows))
    assert [arrival.at // SECOND for arrival in trace.arrivals] == [0, 10, 15, 20, 30]
    assert trace.disordered == 2


def test_bad_rows_are_named_by_line_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = [
        "2026-03-01 00:00:01,1,1",
        "yesterday,1,1",
        "2026-13-01 00:00:01,1,1",
        "2026-03-01 00:00:02,-3,1",
        "2026-03-01 00:00:03,1",
        "",
        "2026-03-01 00:00:04,1,1",
    ]
    trace = a_trace(tmp_path, HEAD + "\n".join(rows))
    assert len(trace.arrivals) == 2
    assert [fault.split(": ")[0] for fault in trace.faults] == [f"trace.csv:{line}" for line in (3, 4, 5, 6)]
    assert "'-3'; write a whole number" in trace.faults[2]


@pytest.mark.parametrize("text", ["", HEAD, HEAD + "soon,1,1\n"])
def test_no_arrival_is_not_measured(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotMeasured, match="no arrival"):
        a_trace(tmp_path, text)


def test_other_columns_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FaultyFile) as fault:
        a_trace(tmp_path, "time,ContextTokens\n1,2\n")
    assert fault.value.faults == (
        "trace.csv:1: no column TIMESTAMP, GeneratedTokens; the first line is TIMESTAMP,ContextTokens,GeneratedTokens",
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("absent", "binary"):
        with pytest.raises(NotMeasured, match="cannot read the trace"):
            read_trace(tmp_path / name)


def test_the_busiest_stretch_is_the_one_that_took_the_least_time() -> None:
    at = [0, 10, 20, 21, 22, 40, 60]
    trace = Trace(source="x", arrivals=tuple(Arrival(time, time) for time in at))
    assert trace.busiest(3) == (Arrival(0, 20), Arrival(1, 21), Arrival(2, 22))
    assert trace.busiest(1) == (Arrival(0, 0),)
    assert trace.busiest(7) == trace.busiest(99) == trace.arrivals


def test_a_declared_day_follows_its_hours_and_comes_in_sessions() -> None:
    steady = Burstiness(1e-6, 80.0)
    trace = declared_days(50_000, 1.4, 1, np.random.default_rng(7), steady)
    at = np.array([arrival.at for arrival in trace.arrivals])
    assert at[0] == 0
    assert (np.diff(at) >= 0).all()
    # Sessions vary in length, so their requests scatter more than those of people who come once.
    assert len(at) == pytest.approx(50_000, abs=10 * 50_000**0.5)
    shares = np.histogram(at, bins=24, range=(0, DAY))[0] / len(at)
    assert shares == pytest.approx(np.array(HOURLY) / sum(HOURLY), abs=0.01)
    sessions = len({arrival.session for arrival in trace.arrivals})
    assert len(at) / sessions == pytest.approx(1.4, abs=0.03)
    again = declared_days(50_000, 1.4, 1, np.random.default_rng(7), steady)
    assert again.arrivals == trace.arrivals


def test_a_small_use_case_has_at_least_one_arrival() -> None:
    assert declared_days(0.01, 1.0, 1, np.random.default_rng(7)).arrivals


def test_a_fit_finds_again_what_arrivals_were_drawn_with() -> None:
    truth = Burstiness(0.6, 120.0)
    day = declared_days(400_000, 1.0, 1, np.random.default_rng(5), truth).arrivals
    # One hour, in which the day's shape is flat.
    hour = [one for one in day if 14 * HOUR <= one.at < 15 * HOUR]
    found = [
        fit(
            [
                one
                for one in declared_days(400_000, 1.0, 1, np.random.default_rng(seed), truth).arrivals
                if 14 * HOUR <= one.at < 15 * HOUR
            ]
        )
        for seed in (6, 7, 8)
    ] + [fit(hour)]
    spreads = [one.spread for one in found if one is not None]
    assert len(spreads) == 4
    assert np.mean(spreads) == pytest.approx(0.6, abs=0.15)
    assert 30 < np.median([one.memory for one in found if one is not None]) < 300


def test_arrivals_without_memory_have_nothing_to_fit() -> None:
    at = np.sort(np.random.default_rng(3).uniform(0, HOUR, 5_000))
    found = fit([Arrival(int(one)) for one in at])
    assert found is None or found.spread < 0.1
    assert fit([Arrival(0)]) is None


def test_users_and_sessions_are_read_and_stay_together(tmp_path: Path) -> None:
    rows = ["2026-03-01 00:00:01,1,1,ann,a1", "2026-03-01 00:00:02,1,1,bob,b1", "2026-03-01 00:00:03,1,1,ann,a1"]
    trace = a_trace(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens,User,Session\n" + "\n".join(rows))
    assert [(one.user, one.session) for one in trace.arrivals] == [("ann", "a1"), ("bob", "b1"), ("ann", "a1")]
    assert [one.user for one in trace.busiest(2)] == ["ann", "bob"]


def test_a_silence_of_the_record_is_told() -> None:
    at = [*range(0, 100 * SECOND, SECOND), *range(3 * HOUR, 3 * HOUR + 100 * SECOND, SECOND)]
    gaps = Trace(source="x", arrivals=tuple(map(Arrival, at)), began=1).gaps
    assert gaps == [pytest.approx(3 * 3600 - 99)]


def test_recorded_events_are_a_trace_of_live_requests() -> None:
    def row(minute: int, unit: str, **more: object) -> dict[str, object]:
        known = {"at": minute * 60 * SECOND, "unit": unit, "source": "live", "surface": "chat", "counted": True}
        return {**known, "input_tokens": 10, "output_tokens": 20, **more}

    rows = [
        row(50, "a"), row(1, "a"), row(2, "b", counted=False), row(5, "a"), row(3, "", source="replay"),
        row(4, "c", surface="flag"),
    ]  # fmt: skip
    trace = recorded(rows)
    assert [(one.at // (60 * SECOND), one.output_tokens, one.user) for one in trace.arrivals] == [
        (0, 20, "a"), (1, None, "b"), (4, 20, "a"), (49, 20, "a"),
    ]  # fmt: skip
    assert [one.session for one in trace.arrivals] == ["a.0", "b.0", "a.0", "a.1"]
    with pytest.raises(NotMeasured, match="no live request"):
        recorded([])


def test_an_hour_of_a_real_service() -> None:
    data = os.environ.get("PILOTAGE_TEST_DATA")
    path = Path(data or "") / "traffic" / "azure_llm_conversation_2023.csv"
    if not data or not path.exists():
        pytest.skip("PILOTAGE_TEST_DATA names no folder with traffic/azure_llm_conversation_2023.csv")
    trace = read_trace(path)
    assert (len(trace.arrivals), trace.faults) == (19_366, ())
    assert 0 < trace.arrivals[-1].at <= HOUR
    burst = trace.busiest(300)
    assert len(burst) == 300
    assert burst[-1].at < trace.arrivals[-1].at / (19_366 / 300)
