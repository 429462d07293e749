"""Several processes on one store: real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pilotage.store.base.transaction import Store

# In each round every process reads the same version, and only when all have read does each try to write the next one
# with a ledger entry: one wins.
RACER = """
import sys
from pathlib import Path
from pilotage.errors import Conflict
from pilotage.records import LedgerEntry
from pilotage.status import UseCaseStatus
from pilotage.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
print(store.secret("mac").hex(), flush=True)
for _ in sys.stdin:
    with store.read() as tx:
        found = tx.statuses.get("support")
    version = found.version + 1 if found else 1
    print("read", version, flush=True)
    sys.stdin.readline()
    try:
        with store.write() as tx:
            seq, previous = tx.ledger.head()
            tx.ledger.append(LedgerEntry(
                seq=seq + 1, at=version, actor=sys.argv[2], action="advance", use_case="support",
                detail={"version": version}, previous=previous, digest=f"{seq + 1:064x}",
            ))
            tx.serving.put("support", b"%d" % version)
            tx.statuses.put(UseCaseStatus(use_case="support", charter="c", version=version))
        print("won", flush=True)
    except Conflict:
        print("lost", flush=True)
store.close()
"""
RACERS = 4
ROUNDS = 15


def test_processes_race_for_one_status_and_the_ledger_tells_what_happened(
    store: Store, open_store: Callable[[], Store], tmp_path: Path
) -> None:
    before = store.change()
    with ExitStack() as running:
        racers = [running.enter_context(_racer(tmp_path / "state.db", number)) for number in range(RACERS)]
        assert len(set(_answers(racers))) == 1, "one secret for all, whoever asked first"
        for number in range(1, ROUNDS + 1):
            _tell(racers)
            assert _answers(racers) == [f"read {number}"] * RACERS
            _tell(racers)
            assert sorted(_answers(racers)) == ["lost"] * (RACERS - 1) + ["won"]
    assert [racer.returncode for racer in racers] == [0] * RACERS
    with open_store().read() as tx:
        found = tx.statuses.get("support")
        assert found is not None
        assert found.version == ROUNDS
        # A lost race left no entry; each entry belongs to the version that was written with it.
        assert [entry.detail["version"] for entry in tx.ledger.read()] == list(range(1, ROUNDS + 1))
        assert [row.body for row in tx.serving.changed(0)] == [b"%d" % ROUNDS]
    assert store.change() == before + ROUNDS


def _racer(database: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(database), f"racer:{number}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _tell(racers: list[subprocess.Popen[str]]) -> None:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()


def _answers(racers: list[subprocess.Popen[str]]) -> list[str]:
    return [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
