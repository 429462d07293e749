"""What serves gets worse on a real server: it is noticed, people are told, and the release of before serves again."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pilotage.monitor.watches import decode
from tests.integration.control_rig import USE_CASE, Serving, files_of, pilotage, serving, write_use_case
from tests.integration.gateway_rig import until

WATCH = """
[watch]
tick = "1h"
cycle = "2h"
learns_from = 60
false_alarms = "30d"
false_actions = "60d"
notify = [{ name = "on-call", url_env = "TEST_WEBHOOK_URL" }]
"""
RATE = 20_000
"""A day is 4.3 seconds."""


def watched_file() -> str:
    text = USE_CASE[: USE_CASE.index("[[rollout.steps]]")] + '[[rollout.steps]]\nshare = 50\ndemands = ["safe"]\n'
    text = text.replace('matures_after = "2s"', 'matures_after = "4h"')
    return text.replace("[goals.resolved]\n", '[goals.resolved]\non_alarm = "rollback"\n') + WATCH


@contextmanager
def receiver(refuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Take CloudEvents at an address of this machine, after refusing the first few."""
    taken: list[dict[str, Any]] = []
    left = [refuses]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            left[0] -= 1
            if left[0] < 0:
                assert self.headers["content-type"] == "application/cloudevents+json"
                taken.append(json.loads(body))
            self.send_response(500 if left[0] >= 0 else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def visits(server: Serving, key: str, first: int, count: int, resolved: float, rng: random.Random) -> int:
    for number in range(first, first + count):
        reply = server.chat(key, f"unit-{number}")
        assert reply.status == 200
        inference = reply.headers["x-pilotage-inference"]
        for metric, chance in (("resolved", resolved), ("complained", 0.05)):
            said = {"id": f"{metric}-{number}", "inference": inference, "metric": metric}
            assert server.feedback(key, **said, value=int(rng.random() < chance)).status == 202
    return first + count


def standing(server: Serving) -> dict[str, Any]:
    found: dict[str, Any] = server.command("status", use_case="help")["use_cases"][0]
    return found


def known(one: dict[str, Any]) -> bool:
    streams = (one["watch"] or {"streams": []})["streams"]
    return any(stream["stream"] == "resolved" and stream["level"] is not None for stream in streams)


def test_a_release_that_gets_worse_is_rolled_back_and_told_of(tmp_path: Path) -> None:
    rng = random.Random(5)
    clock = f"{time.time_ns() // 1000}:{time.time_ns() // 1000}:{RATE}"
    with (
        receiver(refuses=2) as (address, taken),
        serving(tmp_path / "ws", workers=2, PILOTAGE_CLOCK=clock, TEST_WEBHOOK_URL=address) as server,
    ):
        server.to_canary(watched_file())
        key = server.key("infer", "feedback")
        asked = 0
        while not (one := standing(server))["live"].startswith("help/after@"):
            asked = visits(server, key, asked, 20, 0.9, rng)
            assert asked < 3000, one["rollout"]["shown"]
        live = one["live"]
        while not known(one := standing(server)):
            asked = visits(server, key, asked, 20, 0.9, rng)
            assert asked < 9000, one["watch"]
        assert one["alarms"] == []
        drill = pilotage(
            "rehearse", "help", "--degrade", "resolved=-0.5", "--runs", "5", "--json", workspace=tmp_path / "ws"
        )
        assert drill.returncode == 0, drill.stderr
        (alarm_line, action_line) = json.loads(drill.stdout)["noticed"]
        assert alarm_line["within"] == action_line["within"] == 1
        # The control process dies over it; the next one goes on from what was kept.
        server.kill("pilotage.app.control")
        while (one := until(lambda: standing(server)))["live"] == live:
            asked = visits(server, key, asked, 20, 0.2, rng)
            assert asked < 12000, one["watch"]
        assert one["live"].startswith("help/before@")
        (alarm,) = server.command("alarms", use_case="help")["alarms"]
        assert (alarm["what"], alarm["kind"], alarm["release"]) == ("resolved", "degradation", live)
        assert alarm["did"].startswith("Rolled back to help/before@")
        assert alarm["detail"]["value"] < 0.6 < alarm["detail"]["level"]
        until(lambda: {event["type"] for event in taken} >= {"pilotage.alarm.raised", "pilotage.alarm.acted"})
        assert len({event["id"] for event in taken}) == len(taken)
        told = pilotage("alarms", "ack", "help", alarm["id"][:30], "--note", "looking", workspace=tmp_path / "ws")
        assert told.returncode == 0, told.stderr
        assert "looking" in pilotage("alarms", "list", workspace=tmp_path / "ws").stdout
        verified = pilotage("ledger", "verify", workspace=tmp_path / "ws")
        assert verified.returncode == 0, verified.stderr


COUNTED = """
[watch]
tick = "1s"
cycle = "30d"
learns_from = 100000
false_alarms = "30d"
false_actions = "60d"
"""


def test_killed_at_any_moment_it_counts_everybody_once(tmp_path: Path) -> None:
    text = USE_CASE.replace('candidate = "after"\n', "")
    with serving(tmp_path / "ws", workers=1) as server:
        server.command("apply", files=files_of(write_use_case(tmp_path / "help", text + COUNTED)))
        key = server.key("infer", "feedback")
        rng = random.Random(11)
        for number in range(120):
            inference = until(partial(asked, server, key, f"unit-{number}"))
            told = {"id": f"f{number}", "metric": "complained", "inference": inference}
            # Twice: a reporter that was not sure tells again.
            for _ in range(1 + number % 2):
                assert server.feedback(key, **told, value=int(number % 3 == 0)).status == 202
            if number in (40, 80, 119):
                time.sleep(rng.random())
                until(lambda: server.pids("pilotage.app.control"))
                server.kill("pilotage.app.control")
        everybody = {"complained": (120, 40), "errors": (120, 0), "complained|told": (120, 120)}
        until(lambda: counts(server).items() >= everybody.items(), seconds=60)
        # Nobody comes twice when everything is read again.
        until(lambda: server.pids("pilotage.app.control"))
        server.kill("pilotage.app.control")
        until(lambda: asked(server, key, "last"))
        until(lambda: counts(server).get("complained") == (121, 40), seconds=60)
        assert counts(server)["complained|told"] == (121, 120)


def asked(server: Serving, key: str, unit: str) -> str:
    """Return the inference's id, or an empty string where nothing serves yet."""
    return server.chat(key, unit).headers.get("x-pilotage-inference", "")


def counts(server: Serving) -> dict[str, tuple[int, int]]:
    """Return (units, the sum of their values) by stream, of what is kept; none while nobody answers."""
    try:
        kept = server.command("watch_record", use_case="help")["watching"]
    except (OSError, HTTPException):
        return {}
    streams = watch.streams if kept and (watch := decode(base64.b64decode(kept))) else {}
    return {name: (one.learned.n, round(one.learned.n * one.learned.mean)) for name, one in streams.items()}
