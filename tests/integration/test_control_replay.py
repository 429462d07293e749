"""A real rollback of a real server, made again from what it left, by the command line."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import USE_CASE, Serving, ask, pilotage, serving
from tests.integration.gateway_rig import Provider, until

FAILING = """
[upstreams.away]
base_url = "{url}"

[variants.after]
upstream = "away"
model = "m"
fallback = ["before"]
price = {{ input = 1.0, output = 1.0 }}

[rollout]
"""


def failing(provider: Provider) -> str:
    good = '[variants.after]\nupstream = "search"\nknowledge = ["knowledge/*.md", "more/*.md"]\n\n[rollout]\n'
    assert good in USE_CASE
    return USE_CASE.replace(good, FAILING.format(url=provider.url("status-500")).lstrip())


def decided(server: Serving) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = server.command("ledger", use_case="help")["entries"]
    return [entry for entry in entries if entry["actor"] == "controller"]


def visits(server: Serving, key: str, first: int, count: int) -> None:
    """Let new users come; whatever the candidate does, each of them gets an answer."""
    for number in range(first, first + count):
        assert server.chat(key, f"unit-{number}").status == 200


def test_a_rollback_is_made_again_bit_for_bit(tmp_path: Path, provider: Provider) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        server.to_canary(failing(provider))
        key = server.key("infer")
        visits(server, key, 0, 4)
        until(lambda: _batches(server))
        # What was counted before it was killed is not counted again by the next one.
        killed = server.kill("pilotage.app.control")
        visits(server, key, 4, 2)
        until(lambda: killed not in server.pids("pilotage.app.control") and _answers(server))
        met = 6
        while not decided(server):
            visits(server, key, met, 1)
            met += 1
            # The next control process waits until the killed one's lease has run out.
            time.sleep(0.1)
            assert met < 600, "a candidate that fails on everything was never rolled back"
        (entry,) = decided(server)
        assert entry["action"] == "roll_back"
        assert entry["detail"]["made_on"]["batches"][0] >= 2
        again = pilotage("ledger", "replay", str(entry["seq"]), workspace=tmp_path / "ws")
        assert again.returncode == 0, again.stderr
        assert "The same decision, bit for bit." in again.stdout
        # One unit is in one batch and no other: no more were counted than came.
        found = _replayed(tmp_path / "ws", entry["seq"])
        assert sum(found["units"].values()) <= met
        (readings,) = found["readings"].values()
        assert readings["errors"]["units"] + readings["errors"]["against"] <= met
        assert readings["errors"]["harmed"]
        human = next(one for one in server.command("ledger")["entries"] if one["action"] == "promote")
        refused = pilotage("ledger", "replay", str(human["seq"]), workspace=tmp_path / "ws")
        assert refused.returncode == 1
        assert "no decision of the controller's" in refused.stderr
    assert _replayed(tmp_path / "ws", entry["seq"]) == found
    assert pilotage("ledger", "verify", workspace=tmp_path / "ws").returncode == 0
    with closing(sqlite3.connect(tmp_path / "ws" / "state.db")) as raw, raw:
        raw.execute("UPDATE batch SET body = CAST(substr(body, 1, length(body) - 1) AS BLOB) WHERE seq = 1")
    for command in (("replay", str(entry["seq"])), ("verify",)):
        altered = pilotage("ledger", *command, workspace=tmp_path / "ws")
        assert altered.returncode == 1
        assert "batch 1 of rollout" in altered.stderr
        assert "Traceback" not in altered.stderr


def _batches(server: Serving) -> int:
    with closing(SqliteStore(Workspace(server.workspace).state)) as store, store.read() as tx:
        return sum(tx.batches.last(rollout)[0] for rollout in tx.batches.rollouts())


def _answers(server: Serving) -> bool:
    try:
        return ask(server.control, "GET", "/healthz").status == 200
    except OSError:
        return False


def _replayed(workspace: Path, seq: int) -> dict[str, Any]:
    again = pilotage("ledger", "replay", str(seq), "--json", workspace=workspace)
    assert again.returncode == 0, again.stderr
    found: dict[str, Any] = json.loads(again.stdout)
    assert found["same"] is True
    return found
