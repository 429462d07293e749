"""Allowances, on every backend: what is handed out of an account is never more than its cap, whoever takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pilotage.store.base.handed_out import Handed
from pilotage.store.base.transaction import Store

Open = Callable[[], Store]
CAP = 5_000
TAKER = """
import sys
from pathlib import Path
from pilotage.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
while True:
    with store.write() as tx:
        handed = tx.allowances.take("support", "2026-11-23", sys.argv[2], cap=5_000, wanted=7, least=1)
    # Told only once it is this one's, so what a kill swallows was handed out and never told.
    print(handed.given, flush=True)
    if not handed.given:
        break
"""


def take(store: Store, wanted: int, least: int = 0, cap: int = CAP, period: str = "d1", holder: str = "w0-1") -> Handed:
    with store.write() as tx:
        return tx.allowances.take("support", period, holder, cap=cap, wanted=wanted, least=least)


def total(store: Store, account: str = "support", period: str = "d1") -> tuple[int, int]:
    with store.read() as tx:
        return tx.allowances.total(account, period)


def test_a_quarter_of_what_is_left_unless_more_is_needed(store: Store) -> None:
    assert take(store, 100) == Handed(100, 100)
    assert take(store, 9_000) == Handed(1_225, 1_325)
    assert take(store, 9_000, least=3_000) == Handed(3_000, 4_325)
    # What is not enough for one who needs much is left to those who need less.
    assert take(store, 9_000, least=9_000) == Handed(168, 4_493)
    assert take(store, 9_000, least=507) == Handed(507, CAP)
    assert take(store, 1, least=1) == Handed(0, CAP)


def test_accounts_and_periods_are_apart_and_outlive_the_process(open_store: Open) -> None:
    store = open_store()
    take(store, 10)
    take(store, 20, period="d2")
    with store.write() as tx:
        tx.allowances.take("other", "d1", "w0-1", cap=100, wanted=5, least=0)
        tx.allowances.give_back("support", "d1", "w0-1", 4)
        tx.allowances.spent("support", "d2", "w0-1", 7)
    again = open_store()
    assert total(again) == (6, 0)
    assert total(again, period="d2") == (20, 7)
    assert total(again, "other") == (5, 0)
    assert total(again, period="d3") == (0, 0)


def test_a_holder_that_is_gone_is_settled_once_and_what_it_did_not_spend_is_free_again(store: Store) -> None:
    take(store, 1_000)
    take(store, 500, holder="w1-1")
    with store.write() as tx:
        assert [(one.holder, one.taken) for one in tx.allowances.shares()] == [("w0-1", 1_000), ("w1-1", 500)]
        tx.allowances.settle("support", "d1", "w0-1", 300)
        tx.allowances.settle("support", "d1", "w0-1", 300)
        tx.allowances.settle("support", "d1", "nobody", 300)
        assert [one.holder for one in tx.allowances.shares()] == ["w1-1"]
    assert total(store) == (800, 300)
    with store.write() as tx:
        # It never took so much: more than its share nobody spends.
        tx.allowances.settle("support", "d1", "w1-1", 9_000)
    assert total(store) == (800, 800)


def test_what_is_given_back_by_one_who_took_nothing_frees_nothing_for_the_cap(store: Store) -> None:
    take(store, 100)
    with store.write() as tx:
        tx.allowances.give_back("support", "d1", "w0-1", 0)
        tx.allowances.spent("support", "d1", "nobody", 5)
    assert total(store) == (100, 0)


def test_each_part_of_a_cap_is_told_once(store: Store) -> None:
    with store.write() as tx:
        assert [tx.allowances.tell("support", "d1", part) for part in (80, 80, 100, 80, 100)] == [
            True, False, True, False, False,
        ]  # fmt: skip
        assert tx.allowances.tell("support", "d2", 80)


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
            [sys.executable, "-c", TAKER, str(tmp_path / "state.db"), f"w0-{number}"], stdout=subprocess.PIPE, text=True
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
    assert told <= total(store, period="2026-11-23")[0] <= CAP
