"""What happens to a rollout while nobody watches it, or not all of it is recorded. Real processes throughout."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.control_rig import USE_CASE, Serving, ask, children, pilotage, serving, write_use_case
from tests.integration.gateway_rig import until

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICKLY_BLIND = USE_CASE.replace("[rollout]\n", '[rollout]\nblind_after = "2s"\n')


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that hangs: it is not dead, so nobody starts it again."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def variant(server: Serving, key: str, unit: str) -> str:
    reply = server.chat(key, unit)
    assert reply.status == 200, reply.body
    return reply.headers["x-pilotage-variant"]


def gets(server: Serving, key: str, unit: str, wanted: str) -> bool:
    return variant(server, key, unit) == wanted


def test_without_a_controller_the_candidate_s_units_get_the_baseline_until_it_is_back(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary(QUICKLY_BLIND)
        rollout = server.rollout
        key = server.key("infer")
        units = [f"unit-{number}" for number in range(10)]
        until(lambda: {variant(server, key, unit) for unit in units} == {"before", "after"})
        candidate = next(unit for unit in units if variant(server, key, unit) == "after")
        baseline = next(unit for unit in units if variant(server, key, unit) == "before")
        with stopped(server.pids("pilotage.app.control")[0]):
            until(partial(gets, server, key, candidate, "before"))
            until(lambda: b"pilotage_rollouts_blind 1" in ask(server.gateway, "GET", "/metrics").body)
            assert variant(server, key, baseline) == "before"
            assert variant(server, key, "newcomer") == "before"
            # A worker that starts now knows at once.
            killed = server.kill("pilotage.app.worker")
            until(lambda: killed not in server.pids("pilotage.app.worker"))
            assert variant(server, key, candidate) == "before"
        until(partial(gets, server, key, candidate, "after"))
        assert server.rollout["id"] == rollout["id"]
    shown = pilotage("events", "--json", "--limit", "1000", workspace=tmp_path / "ws")
    rows: list[dict[str, Any]] = json.loads(shown.stdout)["events"]
    moved = [row for row in rows if row["rollout"] == rollout["id"] and row["share"] == 0]
    assert moved
    for row in moved:
        assert (row["arm"], row["release"], row["served"]) == ("baseline", rollout["baseline"], rollout["baseline"])
        assert (row["step"], row["generation"]) == (0, rollout["generation"])
        assert row["unit"]
    assert {row["share"] for row in rows} == {0, 500_000}
    assert "the controller is heard of again" in server.errors.read_text()


def test_a_heartbeat_of_an_earlier_run_is_none(tmp_path: Path) -> None:
    beats = tmp_path / "ws" / "run"
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary()
        (beat,) = until(lambda: list(beats.glob("*.beat")))
        orphans = list(children(server.process.pid))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
    (beats / "gone.beat").write_bytes(b"\0" * 8)
    beat.write_bytes(b"\0" * 8)
    with serving(tmp_path / "ws", workers=1) as server:
        assert not (beats / "gone.beat").exists()
        until(lambda: beat.exists() and beat.read_bytes() != b"\0" * 8)
        key = server.key("infer")
        assert {variant(server, key, f"unit-{number}") for number in range(10)} == {"before", "after"}
        assert "has not been heard of" not in server.errors.read_text()


def test_records_that_a_worker_cannot_write_hold_the_rollout(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary()
        key = server.key("infer", "feedback")
        until(lambda: ask(server.control, "GET", "/healthz").json["status"] == "ok")
        server.visits(key, 1)
        assert ask(server.control, "GET", "/healthz").json["lost"] == 0
        (worker,) = server.pids("pilotage.app.worker")
        size = max(path.stat().st_size for path in (tmp_path / "ws" / "spool").glob("*.spool"))
        soft, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        # A full disk, as far as this worker can tell: no file may grow any more.
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (size, hard))
        for number in range(5):
            assert server.chat(key, f"lost-{number}").status == 200
        losing = until(lambda: _losing(server))
        assert losing is not None
        assert losing["lost"] >= losing["losing"] > 0
        assert "rollouts hold" in pilotage("status", workspace=tmp_path / "ws").stdout
        page = ask(server.control, "GET", "/", headers={"cookie": sign_in(server)}).body.decode()
        assert "could not be recorded in the last seconds" in page
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (soft, hard))

        # Enough for the next step, but not while some are being lost now and then.
        for number in range(70):
            if number % 10 == 0:
                resource.prlimit(worker, resource.RLIMIT_FSIZE, (size, hard))
                assert server.chat(key, "lost again").status == 200
                resource.prlimit(worker, resource.RLIMIT_FSIZE, (soft, hard))
            assert server.chat(key, f"unit-{number}").status == 200
        ticks = _ticks(server)
        until(lambda: _ticks(server) > ticks)
        lately = _losing(server)
        # Never ten seconds without a loss (a machine that stalls for so long shows nothing here): it goes no further.
        if lately is not None and lately["losing"] >= 14:
            assert server.rollout["step"] == 0
            # What is shown is written once a second.
            until(lambda: "records could not be written" in server.rollout["shown"]["reason"])
        until(lambda: server.rollout["step"] == 1, seconds=60)
        # It is counted for good, also by the worker that comes after this one.
        total = ask(server.control, "GET", "/healthz").json["lost"]
        assert total >= 24
        assert f"Never recorded: {total}" in pilotage("status", workspace=tmp_path / "ws").stdout
        server.kill("pilotage.app.worker")
        until(lambda: server.pids("pilotage.app.worker") not in ([], [worker]))
        assert server.chat(key, "later").status == 200
        assert ask(server.control, "GET", "/healthz").json["lost"] == total


def _losing(server: Serving) -> dict[str, Any] | None:
    body: dict[str, Any] = ask(server.control, "GET", "/healthz").json
    return body if body["losing"] else None


def _ticks(server: Serving) -> int:
    return int(ask(server.control, "GET", "/healthz").json["last_tick"])


def sign_in(server: Serving) -> str:
    link = server.console.removeprefix(server.control)
    return ask(server.control, "GET", link).headers["set-cookie"].partition(";")[0]


def test_texts_expire_on_the_disk_by_the_use_case_s_own_days(tmp_path: Path) -> None:
    # A minute is ten days.
    clock = f"{time.time_ns() // 1000}:{int(20_000.5 * 86_400e6)}:15000"
    text = USE_CASE.replace("[data]\n", '[data]\nretention = "full"\nretain_for = {days}\n')
    texts = tmp_path / "ws" / "texts"
    with serving(tmp_path / "ws", workers=1, PILOTAGE_CLOCK=clock) as server:
        for name, days in (("soon", 1), ("late", 3000)):
            directory = write_use_case(
                tmp_path / name, text.replace("{days}", str(days)).replace('name = "help"', f'name = "{name}"')
            )
            done = pilotage("apply", str(directory), workspace=tmp_path / "ws")
            assert done.returncode == 0, done.stderr
        key = server.key("infer")
        for name in ("soon", "late"):
            until(partial(_answered, server, key, name))
            until(partial(_written, texts / name))
        until(lambda: not list(texts.glob("soon/*")), seconds=60)
        assert list(texts.glob("late/*/*.text"))


def _written(folder: Path) -> bool:
    return any(path.stat().st_size for path in folder.glob("*/*.text"))


def _answered(server: Serving, key: str, name: str) -> bool:
    return server.chat(key, "ann", model=name).status == 200


def test_what_a_killed_server_left_in_the_spool_is_shown(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary()
        key = server.key("infer", "feedback")
        with stopped(server.pids("pilotage.app.control")[0]):
            reply = server.chat(key, "ann")
            said = {"id": "f1", "inference": reply.headers["x-pilotage-inference"], "metric": "resolved", "value": 1}
            assert server.feedback(key, **said).status == 202
            orphans = [*server.pids("pilotage.app.worker"), *server.pids("pilotage.app.control")]
            for pid in (server.process.pid, *orphans):
                os.kill(pid, signal.SIGKILL)
            server.process.wait(10)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
    for _ in range(2):
        assert _shown(tmp_path / "ws", "inferences")[0]["finished"] is True
        assert [row["id"] for row in _shown(tmp_path / "ws", "feedback")] == ["f1"]
    assert not list((tmp_path / "ws" / "spool").glob("*.spool"))


def _shown(workspace: Path, table: str) -> list[dict[str, Any]]:
    shown: subprocess.CompletedProcess[str] = pilotage("events", "--table", table, "--json", workspace=workspace)
    assert shown.returncode == 0, shown.stderr
    rows: list[dict[str, Any]] = json.loads(shown.stdout)["events"]
    return rows
