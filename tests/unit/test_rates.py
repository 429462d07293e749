"""Counting who asked how much, over processes that share nothing but a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pilotage.store import rates
from pilotage.store.rates import Count, Rates

TAKER = """
import sys
from pathlib import Path
from pilotage.store.rates import Rates

mine = Rates(Path(sys.argv[1]), sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
mine.follow()
for subject in range(1, 201):
    taken = sum(not mine.take(subject, 7, 2, requests=50, most=0).passed for _ in range(40))
    print(subject, taken, flush=True)
sys.stdin.readline()
"""


def taken(found: Count) -> bool:
    return not found.passed


def test_two_limits_are_told_apart(tmp_path: Path) -> None:
    mine = Rates(tmp_path, "w0")
    assert taken(mine.take(5, 1, 10, requests=2, most=0))
    assert taken(mine.take(5, 1, 10, requests=2, most=0))
    assert mine.take(5, 1, 10, requests=2, most=0).passed == "requests"
    assert mine.take(5, 1, 10, requests=3, most=29).passed == "amount"
    assert taken(mine.take(6, 1, 10, requests=2, most=10))
    assert taken(mine.take(5, 2, 10, requests=2, most=0))
    assert taken(mine.take(5, 3, 10, requests=1, most=0))


def test_workers_count_together_and_one_that_comes_back_goes_on(tmp_path: Path) -> None:
    first, second = Rates(tmp_path, "w0"), Rates(tmp_path, "w1")
    first.follow()
    assert taken(first.take(5, 1, 0, requests=2, most=0))
    assert taken(second.take(5, 1, 0, requests=2, most=0))
    assert first.take(5, 1, 0, requests=2, most=0).passed == "requests"
    assert Rates(tmp_path, "w0").take(5, 1, 0, requests=2, most=0).passed == "requests"
    assert taken(Rates(tmp_path, "w0").take(5, 1, 0, requests=3, most=0))
    assert second.take(5, 1, 0, requests=3, most=0).passed == "requests"


def test_tokens_are_corrected_while_their_minute_lasts(tmp_path: Path) -> None:
    mine = Rates(tmp_path, "w0")
    first = mine.take(5, 1, 100, requests=0, most=100)
    assert isinstance(first, Count)
    first.correct(10)
    second = mine.take(5, 1, 90, requests=0, most=100)
    assert isinstance(second, Count)
    assert taken(mine.take(5, 3, 90, requests=0, most=100))
    second.correct(0)
    assert mine.take(5, 3, 11, requests=0, most=100).passed == "amount"
    first.correct(0)
    assert taken(mine.take(5, 3, 10, requests=0, most=100))


def test_subjects_that_fall_into_one_place_are_apart(tmp_path: Path) -> None:
    mine, other = Rates(tmp_path, "w0"), Rates(tmp_path, "w1")
    mine.follow()
    for number in range(1, 64):
        assert taken(mine.take(number * rates.SLOTS, 1, 0, requests=1, most=0))
    for number in range(1, 64):
        assert other.take(number * rates.SLOTS, 1, 0, requests=1, most=0).passed == "requests"


def test_without_room_for_another_it_is_turned_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mine = Rates(tmp_path, "w0")
    found = [mine.take(number * rates.SLOTS, 1, 0, requests=1, most=0) for number in range(1, 70)]
    assert [taken(one) for one in found] == [True] * 64 + [False] * 5
    assert len(caplog.records) == 1


def test_where_no_file_can_be_made_it_counts_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mine = Rates(tmp_path / "nowhere", "w0")
    assert taken(mine.take(5, 1, 0, requests=1, most=0))
    assert mine.take(5, 1, 0, requests=1, most=0).passed == "requests"
    assert "counts alone" in caplog.text


def test_processes_at_once_never_admit_more_than_the_limit(tmp_path: Path) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path), f"w{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("go\n")
        taker.stdin.flush()
    sums: dict[int, int] = {}
    for taker in takers:
        assert taker.stdout is not None
        for _ in range(200):
            subject, count = map(int, taker.stdout.readline().split())
            sums[subject] = sums.get(subject, 0) + count
    for taker in takers:
        os.kill(taker.pid, signal.SIGKILL)
        taker.wait(20)
        for pipe in (taker.stdin, taker.stdout):
            assert pipe is not None
            pipe.close()
    assert len(sums) == 200
    assert max(sums.values()) <= 50, json.dumps(sums)
    # Who is left finds what was taken, and no less.
    late = Rates(tmp_path, "w9")
    assert all(late.take(subject, 7, 2, requests=sums[subject], most=0).passed == "requests" for subject in sums)
