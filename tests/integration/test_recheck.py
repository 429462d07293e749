"""What serves is measured again through a real gateway: a model that changes is noticed, and so is a gate that is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pilotage.decision.rounds import FIRST, LEARNED
from pilotage.evaluation.again import ask_again, probe_models
from tests.integration.control_rig import Serving, files_of, pilotage, serving
from tests.integration.gateway_rig import until

FILE = """
name = "help"
owner = "Ada Writer"

[watch]
recheck = "1d"
reevaluate = "30d"

[upstreams.mine]
base_url = "{address}"

[variants.assistant]
upstream = "mine"
model = "small"
price = {{ input = 0.1, output = 0.1 }}

[evaluation]
cases = ["cases.jsonl"]

[gates.staging]
quality = {{ at_least = 0.5 }}
"""
CASES = "".join(
    json.dumps({"id": f"c{n}", "kind": "golden", "text": f"What is {n} and one?", "required": [["right"]]}) + "\n"
    for n in range(30)
)
Says = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


@contextmanager
def provider() -> Iterator[tuple[str, list[Says], list[int]]]:
    """Answer chats by the newest of a list of manners; count the requests."""
    manners: list[Says] = [manner("it is right")]
    count = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one write, or the other end waits 40 ms for the second.
        wbufsize = -1

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            count[0] += 1
            status, said = manners[-1](asked)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", manners, count
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def manner(text: str, *, model: str = "small-2026", shift: float = 0.0) -> Says:
    def says(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        top = [{"token": "it", "logprob": -0.1 + shift, "bytes": None}, {"token": "so", "logprob": -2.0, "bytes": None}]
        logs = {"content": [{**top[0], "top_logprobs": top}]} if asked.get("logprobs") else None
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": logs,
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        return 200, {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [choice],
            "usage": usage,
        }

    return says


def refuses(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 403, {"error": {"message": "probing is not allowed", "type": "forbidden"}}


def watches(server: Serving) -> set[str]:
    return {alarm["watch"] for alarm in server.command("alarms", use_case="help")["alarms"]}


def test_a_model_that_changes_and_a_gate_that_is_lost(tmp_path: Path) -> None:
    with provider() as (address, manners, count), serving(tmp_path / "ws", workers=1) as server:
        folder = tmp_path / "help"
        folder.mkdir()
        (folder / "usecase.toml").write_text(FILE.format(address=address))
        (folder / "cases.jsonl").write_text(CASES)
        server.command("apply", files=files_of(folder))

        # The server itself asks the first round, by the file's clock.
        until(lambda: count[0] >= 25)
        key = server.key("infer", "operate")

        def run(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return server.command(name, **arguments)

        def probe() -> dict[str, Any]:
            (found,) = asyncio.run(probe_models(run, server.gateway, key, "help"))
            return found

        while not (found := probe())["learned"]:
            assert found["rounds"] <= FIRST + LEARNED
        assert found["models"] == ["small-2026"]
        assert watches(server) == set()

        manners.append(manner("it is right", shift=-0.5))
        for _ in range(6):
            probe()
        assert watches(server) == {"model/log-probabilities"}

        manners.append(manner("it is wrong", model="small-2027"))
        probe()
        assert "model/model/small-2027" in watches(server)

        # Refused, it is said once, however often.
        manners.append(refuses)
        assert all(probe()["alarms"] for _ in range(2))
        (refused,) = [a for a in server.command("alarms", use_case="help")["alarms"] if a["watch"] == "model/refused"]
        assert refused["count"] == 2
        assert "403" in refused["says"]

        # An alarm about the model has the cases asked again by itself: evidence joins, and what is lost is an alarm.
        manners.append(manner("it is wrong"))
        until(lambda: "evaluation/cases" in watches(server), seconds=60)
        evidence = server.command("evidence", use_case="help")["evidence"]
        assert [one["value"] for one in evidence if one["measure"] == "quality"][-1] == 0
        again = asyncio.run(ask_again(run, server.gateway, key, "help", at=2))
        assert any("gate into staging" in lost for lost in again[0]["lost"])
        manners.append(manner("it is right"))
        told = pilotage("recheck", "help", "--cases", workspace=tmp_path / "ws")
        assert told.returncode == 0, told.stderr
        assert "nothing that it had shown is lost" in told.stdout
