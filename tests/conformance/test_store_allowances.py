"""Allowances, on every backend: what is handed out of an account is never more than its cap, whoever takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pilotage.store.base import Handed, Store

Open = Callable[[], Store]
CAP = 5_000
TAKER = """
import sys
from pathlib import Path
from pilotage.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
while True:
    with store.write() as tx:
        handed = tx.allowances.take("support", "2026-11-23", 5_000, 7, 1)
    # Told only once it is this one's, so what a kill swallows was handed out and never told.
    print(handed.given, flush=True)
    if not handed.given:
        break
"""


def take(store: Store, wanted: int, least: int = 0, cap: int = CAP, period: str = "d1") -> Handed:
    with store.write() as tx:
        return tx.allowances.take("support", period, cap, wanted, least)


def test_a_quarter_of_what_is_left_unless_more_is_needed(store: Store) -> None:
    assert take(store, 100) == Handed(100, 100)
    assert take(store, 9_000) == Handed(1_225, 1_325)
    assert take(store, 9_000, least=3_000) == Handed(3_000, 4_325)
    assert take(store, 9_000, least=9_000) == Handed(675, CAP)
    assert take(store, 1, least=1) == Handed(0, CAP)


def test_accounts_and_periods_are_apart_and_outlive_the_process(open_store: Open) -> None:
    store = open_store()
    take(store, 10)
    take(store, 20, period="d2")
    with store.write() as tx:
        tx.allowances.take("other", "d1", 100, 5, 0)
        tx.allowances.give_back("support", "d1", 4)
    with open_store().read() as tx:
        assert tx.allowances.taken("support", "d1") == 6
        assert tx.allowances.taken("support", "d2") == 20
        assert tx.allowances.taken("other", "d1") == 5
        assert tx.allowances.taken("support", "d3") == 0


def test_under_a_cap_that_was_lowered_nothing_more_is_handed_out(store: Store) -> None:
    take(store, 1_000)
    assert take(store, 10, least=10, cap=500) == Handed(0, 1_000)


def test_threads_never_get_more_than_the_cap_together(store: Store) -> None:
    got: list[int] = []

    def taker() -> None:
        while given := take(store, 97, least=1).given:
            got.append(given)

    threads = [threading.Thread(target=taker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == CAP


def test_processes_that_are_killed_leave_no_more_than_the_cap(tmp_path: Path, open_store: Open) -> None:
    store = open_store()
    told = 0
    for number in range(6):
        taker = subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path / "state.db")], stdout=subprocess.PIPE, text=True
        )
        assert taker.stdout is not None
        for line in taker.stdout:
            told += int(line)
            if told > (number + 1) * CAP // 8:
                os.kill(taker.pid, signal.SIGKILL)
                break
        told += sum(int(line) for line in taker.stdout.read().split())
        taker.stdout.close()
        taker.wait(20)
    with store.read() as tx:
        assert told <= tx.allowances.taken("support", "2026-11-23") <= CAP
