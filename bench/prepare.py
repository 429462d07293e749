"""Write into a workspace what governance would: half of all users for each of two releases, and more use cases of the same kind.

    python bench/prepare.py WORKSPACE OTHERS [--split]

A program of its own, for the workspace of another version is prepared by that version's code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace


def prepare(workspace: Path, others: int, *, split: bool) -> None:
    store = SqliteStore(Workspace(workspace).state)
    with store.write() as tx:
        route = json.loads(next(row.body for row in tx.serving.changed(0) if row.use_case == "bench"))
        if split:
            baseline, candidate = sorted(route["releases"], reverse=True)[:2]
            sides = {"baseline": baseline, "candidate": candidate}
            route["allocation"] = {"rollout": "bench-1", **sides, "step": 0, "share": 500_000, "generation": 1}
            route["blind_after"] = 86_400_000_000
        for name in ("bench", *[f"bench{number}" for number in range(others)]):
            tx.serving.put(name, json.dumps({**route, "use_case": name}).encode())
    store.close()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), int(sys.argv[2]), split="--split" in sys.argv)
