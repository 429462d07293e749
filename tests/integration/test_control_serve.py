"""`pilotage serve` as processes: who dies comes back, nothing counted is lost, and the end is orderly."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pilotage.decision.batch import Batch
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import Reply, Serving, ask, children, pilotage, serving, write_use_case
from tests.integration.gateway_rig import Provider, until


def test_a_second_server_on_the_workspace_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        second = pilotage("serve", "--port", "0", "--control-port", "0", workspace=tmp_path / "ws")
        assert second.returncode == 1
        assert f"in use by process {server.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        taken = server.gateway.rpartition(":")[2]
        third = pilotage("serve", "--port", taken, "--control-port", "0", workspace=tmp_path / "other")
        assert third.returncode == 1
        assert "--port; 0 takes a free one" in third.stderr


def test_where_it_is_reached_is_written_for_this_user_alone_and_removed(tmp_path: Path) -> None:
    place, anchors = tmp_path / "ws" / "run" / "control.json", tmp_path / "anchors.jsonl"
    with serving(tmp_path / "ws", workers=1, PILOTAGE_ANCHORS=str(anchors)) as server:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "ws").stat().st_mode) == 0o700
        facts = json.loads(place.read_text())
        assert (facts["pid"], facts["gateway"]) == (server.process.pid, server.gateway)
        # Secrets are not for `ps` to show.
        commands = " ".join(children(server.process.pid).values())
        assert facts["token"] not in commands
        server.key("infer")
        assert server.command("ledger_verify")["entries"] == 1
    assert not place.exists()
    assert server.process.returncode == 0
    # At its end, what came since its start went out.
    assert json.loads(anchors.read_text().splitlines()[-1])["checkpoint"].split("\n")[1] == "1"


def test_a_killed_worker_comes_back_and_requests_go_on(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        server.to_canary()
        key = server.key("infer", "feedback")
        for number in range(3):
            killed = server.kill("pilotage.app.worker")
            until(partial(_others, server, killed))
            # The other worker has the same socket: nothing is refused meanwhile.
            assert server.chat(key, f"unit-{number}").status == 200
            until(lambda: len(server.pids("pilotage.app.worker")) == 2)
        assert "signal 9" in server.errors.read_text()


def _others(server: Serving, killed: int) -> list[int]:
    pids = server.pids("pilotage.app.worker")
    return [] if killed in pids else pids


def test_a_killed_control_process_comes_back_with_the_same_numbers(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        server.to_canary()
        key = server.key("infer", "feedback")
        server.command("pause", use_case="help", reason="only count")
        units: dict[str, list[float]] = {"before": [], "after": []}

        def serve(until_candidates: int, *, value: float) -> None:
            while len(units["after"]) < until_candidates:
                unit = f"unit-{sum(map(len, units.values()))}"
                reply = server.chat(key, unit)
                assert reply.status == 200, reply.body
                units[reply.headers["x-pilotage-variant"]].append(value)
                said = {"id": unit, "inference": reply.headers["x-pilotage-inference"], "metric": "resolved"}
                assert server.feedback(key, value=value, **said).status == 202

        serve(25, value=1)
        until(lambda: "resolved" in server.rollout["readings"])
        for more in (40, 60):
            until(lambda: server.pids("pilotage.app.control") and _answers(server))
            server.kill("pilotage.app.control")
            # The gateway does not need it.
            serve(more, value=float(more == 60))
        until(lambda: _answers(server))
        serve(80, value=0)
        came = {variant: (int(sum(values)), int(len(values) - sum(values))) for variant, values in units.items()}
        until(lambda: _counted(server) == [came["before"], came["after"]])
        # What is shown follows within seconds, and is what was counted.
        until(lambda: server.rollout["readings"]["resolved"]["units"] == 80)
        shown = server.rollout["shown"]
        rollout = server.rollout
        assert shown["exposed"] == {rollout["baseline"]: len(units["before"]), rollout["candidate"]: 80}
        assert (shown.get("late", 0), shown.get("moved", 0)) == (0, 0)
        assert server.rollout["readings"]["resolved"]["against"] == len(units["before"])
        server.command("ledger_verify")


def _counted(server: Serving) -> list[tuple[int, ...]]:
    """Return (successes, failures) by arm that all recorded batches of the one rollout add up to."""
    sums = [(0, 0), (0, 0)]
    with closing(SqliteStore(Workspace(server.workspace).state)) as store, store.read() as tx:
        for _, _, body, _ in tx.batches.read(server.rollout["id"]):
            for cell in msgspec.msgpack.decode(body, type=Batch).metrics.get("resolved", ()):
                (yes, no), (more, fewer) = sums[cell.arm], cell.sums
                sums[cell.arm] = (yes + more, no + fewer)
    return [*sums]


def _answers(server: Serving) -> bool:
    try:
        return ask(server.control, "GET", "/healthz").status == 200
    except OSError:
        return False


def test_sigterm_answers_what_was_begun_and_seals_it(tmp_path: Path, provider: Provider) -> None:
    text = (write_use_case(tmp_path / "help") / "usecase.toml").read_text()
    slow = f'[upstreams.slow]\nbase_url = "{provider.url("gated-end")}"\n\n[variants.before]\nupstream = "slow"\nmodel = "m"\nprice = {{ input = 1, output = 2 }}\n'
    text = text.replace('[variants.before]\nupstream = "search"\nknowledge = ["knowledge/*.md"]\n', slow)
    (tmp_path / "help" / "usecase.toml").write_text(text)
    replies: list[Reply] = []
    with serving(tmp_path / "ws", workers=1) as server:
        applied = pilotage("apply", str(tmp_path / "help"), workspace=tmp_path / "ws")
        assert applied.returncode == 0, applied.stderr
        key = server.key("infer")
        asking = threading.Thread(target=lambda: replies.append(server.chat(key, "ann", stream=True)))
        asking.start()
        until(lambda: provider.seen("gated-end")["requests"])
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "ending" in server.errors.read_text())
        provider.open_gate("gated-end")
        asking.join(30)
        assert server.process.wait(60) == 0
    assert [reply.status for reply in replies] == [200]
    assert replies[0].body.rstrip().endswith(b"data: [DONE]")
    assert not list((tmp_path / "ws" / "spool").glob("*.spool"))
    shown = pilotage("events", "--json", workspace=tmp_path / "ws")
    rows: list[dict[str, Any]] = json.loads(shown.stdout)["events"]
    assert [(row["use_case"], row["finished"], row["status"]) for row in rows] == [("help", True, 200)]


def test_children_end_with_a_killed_parent_and_the_next_server_starts(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        orphans = list(children(server.process.pid))
        assert len(orphans) == 3
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
    # The address that it left behind leads nowhere; commands see that nobody has the workspace.
    assert (tmp_path / "ws" / "run" / "control.json").exists()
    shown = pilotage("status", workspace=tmp_path / "ws")
    assert shown.returncode == 0, shown.stderr
    with serving(tmp_path / "ws", workers=1) as server:
        assert ask(server.gateway, "GET", "/healthz").status == 200


def test_a_failing_tick_is_said_and_moves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary()
        until(lambda: ask(server.control, "GET", "/healthz").json["status"] == "ok")
        # A folder where a segment should be cannot be read.
        obstacle = tmp_path / "ws" / "spool" / "zz-1.spool"
        obstacle.mkdir()
        health = until(lambda: _failing(server))
        assert health is not None
        assert health["faults"] >= 1
        status = ask(server.control, "GET", "/api/v1/status", key=server.token).json
        assert "events" in status["controller"]["faults"]
        shown = pilotage("status", workspace=tmp_path / "ws")
        assert "The controller fails at events" in shown.stdout
        server.visits(server.key("infer", "feedback"), 120)
        assert server.rollout["step"] == 0
        obstacle.rmdir()
        until(lambda: ask(server.control, "GET", "/healthz").json["status"] == "ok")
        until(lambda: server.rollout["step"] == 1)


def _failing(server: Serving) -> dict[str, Any] | None:
    reply = ask(server.control, "GET", "/healthz")
    body: dict[str, Any] = reply.json
    return body if reply.status == 503 and body["status"] == "failing" else None


def test_ctrl_c_ends_it_as_well(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0


def test_the_clock_is_every_process_s(tmp_path: Path) -> None:
    clock = "1000000:1500000000000000:1"
    with serving(tmp_path / "ws", workers=1, PILOTAGE_CLOCK=clock) as server:
        entry = server.command("keys_create", name="k", roles=["infer"])
        assert entry["created"] > 2_500_000_000_000_000

        def ticked() -> bool:
            status = ask(server.control, "GET", "/api/v1/status", key=server.token).json
            return bool(status["controller"]["at"] > entry["created"] - 10**9)

        until(ticked)


def test_a_workspace_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "ws").write_text("a file")
    refused = pilotage("serve", "--port", "0", "--control-port", "0", workspace=tmp_path / "ws")
    assert refused.returncode == 1
    assert "not a folder" in refused.stderr
    assert isinstance(refused, subprocess.CompletedProcess)
