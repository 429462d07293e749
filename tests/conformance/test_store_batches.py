"""Batches and leases, on every backend: one chain a rollout, one holder a lease, also over processes that die."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotage.errors import Conflict
from pilotage.store.base.handed_out import Lease
from pilotage.store.base.transaction import Store

Open = Callable[[], Store]
PROCESSES = 4
ROUNDS = 20


def link(previous: str, body: bytes) -> str:
    return hashlib.sha256(previous.encode() + body).hexdigest()


def append(store: Store, rollout: str, body: bytes) -> tuple[int, str]:
    with store.write() as tx:
        seq, digest = tx.batches.last(rollout)
        made = seq + 1, link(digest, body)
        tx.batches.append(rollout, made[0], 10 * made[0], body, made[1])
    return made


def test_batches_come_back_in_order_by_rollout(open_store: Open) -> None:
    store = open_store()
    with store.read() as tx:
        assert tx.batches.last("r1") == (0, "")
        assert list(tx.batches.read("r1")) == []
        assert tx.batches.rollouts() == []
    bodies = [bytes(range(number)) for number in range(252, 257)]
    made = [append(store, "r1", body) for body in bodies]
    append(store, "r0", b"")
    rows = [(seq, 10 * seq, body, digest) for (seq, digest), body in zip(made, bodies, strict=True)]
    with open_store().read() as tx:
        assert list(tx.batches.read("r1")) == rows
        assert list(tx.batches.read("r1", after=2)) == rows[2:]
        assert list(tx.batches.read("r1", after=1, until=3)) == rows[1:3]
        assert list(tx.batches.read("r1", until=0)) == []
        assert tx.batches.last("r1") == made[-1]
        assert tx.batches.last("r0") == (1, link("", b""))
        assert tx.batches.rollouts() == ["r0", "r1"]


@pytest.mark.parametrize("seq", [0, 1, 2, 4])
def test_only_the_batch_that_follows_the_last_is_taken(store: Store, seq: int) -> None:
    append(store, "r1", b"a")
    append(store, "r1", b"b")
    with pytest.raises(Conflict, match=f"batch {seq} of rollout r1 does not follow batch 2"), store.write() as tx:
        tx.batches.append("r1", seq, 30, b"c", "d")
    with store.read() as tx:
        assert [body for _, _, body, _ in tx.batches.read("r1")] == [b"a", b"b"]


def test_a_batch_is_there_with_what_was_written_beside_it_or_not_at_all(open_store: Open) -> None:
    store = open_store()
    with contextlib.suppress(ZeroDivisionError), store.write() as tx:
        tx.batches.append("r1", 1, 10, b"a", link("", b"a"))
        tx.batches.keep("r1", 1, b"state", b"{}")
        _ = 1 / 0
    with open_store().read() as tx:
        assert tx.batches.last("r1") == (0, "")
        assert tx.batches.kept("r1") is None
    append(store, "r1", b"a")


def test_what_is_kept_takes_the_place_of_what_was(open_store: Open) -> None:
    store = open_store()
    with store.write() as tx:
        tx.batches.keep("r1", 3, b"\x00state", b'{"at":1}')
        tx.batches.keep("r2", 1, b"", b"")
        tx.batches.keep("r1", 7, b"later", b'{"at":2}')
    with open_store().read() as tx:
        assert tx.batches.kept("r1") == (7, b"later", b'{"at":2}')
        assert tx.batches.kept("r2") == (1, b"", b"")
        assert tx.batches.kept("r3") is None
        assert tx.batches.rollouts() == ["r1", "r2"]


def test_a_lease_is_one_holder_s_until_it_runs_out(open_store: Open) -> None:
    one, other = open_store(), open_store()

    def take(store: Store, holder: str, now: int) -> int | None:
        with store.write() as tx:
            return tx.leases.take("controller", holder, now, now + 10)

    with one.read() as tx:
        assert tx.leases.held("controller") is None
        with pytest.raises(Conflict, match="is nobody's"):
            tx.leases.check("controller", 1)
    assert take(one, "a", 100) == 1
    assert take(other, "b", 109) is None
    assert take(one, "a", 109) == 1, "renewing keeps the fence"
    assert take(other, "b", 118) is None
    with other.write() as tx:
        assert tx.leases.take("another", "b", 100, 110) == 1
        tx.leases.check("controller", 1)
    assert take(other, "b", 119) == 2, "it ran out"
    with pytest.raises(Conflict, match=r"is b's now \(fence 2\).*under fence 1"), one.write() as tx:
        tx.leases.check("controller", 1)
    assert take(one, "a", 120) is None
    with one.read() as tx:
        tx.leases.check("controller", 2)
        assert tx.leases.held("controller") == Lease(fence=2, holder="b", until=129)


def test_a_holder_that_comes_late_to_a_lease_that_nobody_took_has_it_still(store: Store) -> None:
    with store.write() as tx:
        assert tx.leases.take("controller", "a", 100, 110) == 1
        tx.leases.check("controller", 1)
        assert tx.leases.take("controller", "a", 500, 510) == 1


def test_a_released_lease_is_free_at_once_and_only_its_own_fence_releases_it(store: Store) -> None:
    with store.write() as tx:
        assert tx.leases.take("controller", "a", 100, 200) == 1
        tx.leases.release("controller", 1)
        assert tx.leases.take("controller", "b", 101, 201) == 2
        tx.leases.release("controller", 1)
        assert tx.leases.take("controller", "c", 102, 202) is None


# Each appends under its lease, if it has one, until it is killed, and says what it was told is committed.
RIVAL = """
import hashlib, sys, time
from pathlib import Path
from pilotage.errors import Conflict
from pilotage.store.sqlite import SqliteStore

store, name = SqliteStore(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
while True:
    now = time.monotonic_ns()
    with store.write() as tx:
        fence = tx.leases.take("controller", name, now, now + 100_000_000)
    if fence is None:
        time.sleep(0.01)
        continue
    for _ in range(5):
        body = b"%s %d" % (name.encode(), fence)
        try:
            with store.write() as tx:
                tx.leases.check("controller", fence)
                seq, digest = tx.batches.last("r1")
                digest = hashlib.sha256(digest.encode() + body).hexdigest()
                tx.batches.append("r1", seq + 1, seq, body, digest)
                tx.batches.keep("r1", seq + 1, body, digest.encode())
        except Conflict:
            break
        print(seq + 1, digest, flush=True)
        time.sleep(0.005)
"""


def test_processes_that_are_killed_leave_one_unbroken_chain_with_all_that_they_were_told(
    open_store: Open, tmp_path: Path
) -> None:
    store = open_store()
    told: dict[int, str] = {}
    for number in range(PROCESSES):
        with subprocess.Popen(
            [sys.executable, "-c", RIVAL, str(tmp_path / "state.db"), f"p{number}"], stdout=subprocess.PIPE, text=True
        ) as rival:
            assert rival.stdout is not None
            assert rival.stdout.readline() == "ready\n"
            said = [rival.stdout.readline() for _ in range(ROUNDS)]
            os.kill(rival.pid, signal.SIGKILL)
            said += rival.stdout.read().splitlines(keepends=True)
        for line in said:
            if line.endswith("\n"):
                place, said_digest = line.split()
                assert told.setdefault(int(place), said_digest) == said_digest
    with store.read() as tx:
        rows = list(tx.batches.read("r1"))
        kept = tx.batches.kept("r1")
    previous, fences = "", []
    for index, (seq, _, body, digest) in enumerate(rows):
        assert seq == index + 1
        assert digest == link(previous, body)
        previous = digest
        fences.append(int(body.split()[1]))
    assert kept == (len(rows), rows[-1][2], previous.encode())
    assert told.items() <= {seq: digest for seq, _, _, digest in rows}.items()
    assert fences == sorted(fences)
    assert set(fences) == set(range(1, PROCESSES + 1))


def test_processes_that_race_under_one_lease_never_write_under_an_old_fence(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    rivals = []
    try:
        for number in range(2):
            with (tmp_path / f"said{number}").open("wb") as said:
                command = [sys.executable, "-c", RIVAL, str(tmp_path / "state.db"), f"p{number}"]
                rivals.append(subprocess.Popen(command, stdout=said))
        deadline = time.monotonic() + 60
        while (lease := _lease(store)) is None or lease.fence < 5:
            assert time.monotonic() < deadline, "the lease never went from hand to hand"
            time.sleep(0.05)
            if lease is not None:
                # Whoever writes now hangs for longer than its lease lasts, wherever it is just then.
                holder = rivals[int(lease.holder[1:])]
                os.kill(holder.pid, signal.SIGSTOP)
                time.sleep(0.3)
                os.kill(holder.pid, signal.SIGCONT)
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    with store.read() as tx:
        bodies = [body.split() for _, _, body, _ in tx.batches.read("r1")]
    fences = [int(fence) for _, fence in bodies]
    assert fences == sorted(fences)
    assert len({(name, fence) for name, fence in bodies}) == len(set(fences)) >= 4


def _lease(store: Store) -> Lease | None:
    with store.read() as tx:
        return tx.leases.held("controller")
