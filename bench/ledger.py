"""How many entries of the ledger are verified in a second.

    .venv/bin/python bench/ledger.py
    .venv/bin/python bench/ledger.py --entries 1000000

Entries of four kinds are appended to a real store in the proportion of a use case's first month: approvals, evidence, keys'
and data's short entries, and the controller's decisions with their readings. Then `ledger verify` reads them back from the
disk, checks each digest and each link, and holds the store's rows against what they tell. Wall time on one core, the best
of several runs, and processor time; beside it the independent verifier of docs/, on the export.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import msgspec

from pilotage.governance import ledger
from pilotage.governance.verification import verify
from pilotage.store.sqlite import SqliteStore

VERIFIER = Path(__file__).parents[1] / "docs" / "verify_ledger.py"
READING = {
    "units": 4210,
    "against": 4188,
    "value": 0.0317,
    "low": 0.0102,
    "high": 0.0531,
    "proved": True,
    "harmed": False,
}
DETAILS = (
    {"rows": 12, "reason": "words:" + "4" * 64},
    {"part": 80, "account": "help", "period": "2026-11-23", "cap": 25_000_000},
    {
        "id": "0" * 32,
        "measure": "quality",
        "value": 0.8125,
        "low": 0.77,
        "high": 0.85,
        "n": 400,
        "method": "Wilson",
        "release": "help/model@0123456789ab",
        "charter": "c" * 64,
        "data": "d" * 64,
        "confidence": 0.95,
    },
    {
        "reason": "resolved is better by 0.0317",
        "release": "help/model@0123456789ab",
        "from": 0.05,
        "to": 0.25,
        "rollout": "0" * 32,
        "spec": "e" * 64,
        "readings": dict.fromkeys(("resolved", "stars", "errors"), READING),
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Entries of the ledger verified in a second.")
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, export = Path(folder) / "state.db", Path(folder) / "ledger.jsonl"
        with closing(SqliteStore(path)) as store:
            with store.write() as tx:
                for number in range(given.entries):
                    ledger.append(
                        tx, at=number, actor="key:0123456789ab", action="noted", detail=DETAILS[number % len(DETAILS)]
                    )
            times, worked = [], []
            for _ in range(given.runs):
                began, busy = time.perf_counter(), time.process_time()
                with store.read() as tx:
                    count, _ = verify(tx)
                times.append(time.perf_counter() - began)
                worked.append(time.process_time() - busy)
            with store.read() as tx, export.open("w") as out:
                for entry in tx.ledger.read():
                    out.write(f"{json.dumps(msgspec.structs.asdict(entry), sort_keys=True, ensure_ascii=False)}\n")
            size = sum(len(msgspec.json.encode(detail)) for detail in DETAILS) / len(DETAILS)
        began = time.perf_counter()
        subprocess.run([sys.executable, VERIFIER, export], check=True, stdout=subprocess.DEVNULL)
        alone = time.perf_counter() - began
    print(f"{count:,} entries with {size:.0f} bytes of detail each, on average")
    print(f"ledger verify          {count / min(times):>10,.0f} a second (the slowest run {count / max(times):,.0f})")
    print(f"  by processor time    {count / min(worked):>10,.0f} a second")
    print(f"docs/verify_ledger.py  {count / alone:>10,.0f} a second")


if __name__ == "__main__":
    main()
