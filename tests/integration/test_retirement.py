"""A model's end is heard of from its provider, over a real socket, or read in the file; people are told once in time."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pilotage.access import Actor, Role
from pilotage.app.announced import announced, note_retirements
from pilotage.clock import DAY, HOUR, FrozenClock
from pilotage.errors import Refused, WrongCall
from pilotage.governance.commands import Context, run
from pilotage.governance.mandate import Mandate
from pilotage.monitor.retirements import Retirements
from pilotage.spec.release import UpstreamAddress
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

LOCAL = Actor(id="local:test", roles=(Role.ADMIN,))
MARCH = 1_803_859_200_000_000
"""1 March 2027, 00:00 UTC."""
FILE = """
name = "help"
owner = "Ada"
status_quo = "assistant"

[upstreams.mine]
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "MINE_API_KEY"

[variants.assistant]
upstream = "mine"
model = "small"
fallback = ["spare"]

[variants.spare]
upstream = "mine"
model = "spare"
{retires}
"""


@contextmanager
def provider(rows: dict[str, dict[str, Any]], *, single: bool, header: str = "") -> Iterator[tuple[int, list[str]]]:
    """List models; tell of a single one too where `single`."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("authorization", ""))
            name = self.path.removeprefix("/v1/models").lstrip("/")
            found: Any = (
                {"object": "list", "data": list(rows.values())} if not name else rows.get(name) if single else None
            )
            body = json.dumps(found).encode()
            self.send_response(200 if found else 404)
            if header:
                self.send_header("sunset", header)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port, keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def row(**more: Any) -> dict[str, Any]:
    return {"id": "small", "object": "model", **more}


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(
    ("told", "at"),
    [
        ({"deprecation": "2027-03-01T00:00:00Z"}, MARCH),
        ({"deprecation": {"fine_tune": 1, "inference": MARCH // 1_000_000}}, MARCH),
        ({"expiration_date": "2027-03-01"}, MARCH),
        ({"deprecation": None}, 0),
        ({"deprecation": "soon", "sunset": True, "retires_at": -5, "shutdown_date": 1e300}, 0),
        ({"deprecation": [1], "expiration_date": {}}, 0),
    ],
)
def test_what_a_provider_says_of_a_models_end(told: dict[str, Any], at: int, *, single: bool) -> None:
    with provider({"small": row(**told)}, single=single) as (port, keys):
        address = UpstreamAddress(kind="openai", base_url=f"http://127.0.0.1:{port}/v1", api_key_env="MINE_API_KEY")
        assert announced(address, "small", {"MINE_API_KEY": "sk-1"}.get) == at  # type: ignore[arg-type]
        assert set(keys) == {"Bearer sk-1"}


def test_a_sunset_header_counts_and_nobody_to_ask_says_nothing() -> None:
    with provider({"small": row()}, single=True, header="Mon, 01 Mar 2027 00:00:00 GMT") as (port, _):
        address = UpstreamAddress(kind="openai", base_url=f"http://127.0.0.1:{port}/v1")
        assert announced(address, "small", str) == MARCH
        assert announced(address, "other", str) is None
    assert announced(address, "small", str) is None
    assert announced(UpstreamAddress(kind="search"), "", str) is None


def test_people_are_told_in_time_and_once(tmp_path: Path) -> None:
    with (
        provider({"small": row(deprecation="2027-03-01")}, single=True) as (port, _),
        closing(SqliteStore(Workspace(tmp_path / "ws").prepare().state)) as store,
    ):
        clock = FrozenClock(MARCH - 40 * DAY)
        context, mandate = Context(store, clock), Mandate(store, "test")

        def command(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return run(context, LOCAL, name, arguments)

        def apply(retires: str) -> dict[str, Any]:
            text = FILE.format(port=port, retires=retires).encode()
            return command("apply", {"files": {"usecase.toml": base64.b64encode(text).decode()}})

        def alarms() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = command("alarms", {"use_case": "help", "everything": True})["alarms"]
            return sorted(found, key=lambda one: one["at"])

        def turn() -> None:
            mandate.renew()
            Retirements(context, mandate).turn()

        applied = apply("retires = 2027-06-01")
        live, spare = applied["releases"]["assistant"], applied["releases"]["spare"]
        # The day is about the model and not part of what is served.
        assert apply('retires = "2027-06-02"')["releases"] == applied["releases"]
        assert note_retirements(command, str, "help", [live, spare]) == {live: MARCH}
        first, second = command("status", {"use_case": "help"})["use_cases"][0]["retirements"]
        assert (first["release"], first["day"], first["days"], first["source"]) == (
            live,
            "1 March 2027",
            40,
            "its provider",
        )
        assert (second["release"], second["day"], second["source"], second["soon"]) == (
            spare,
            "2 June 2027",
            "the file",
            False,
        )
        turn()
        assert alarms() == []

        clock.advance(11 * DAY)
        turn()
        (near,) = alarms()
        assert (near["kind"], near["what"]) == ("retirement", "small of assistant")
        assert near["says"].startswith("is shut down on 1 March 2027, as its provider says: in 29 days; it serves")
        command("alarm_resolve", {"use_case": "help", "alarm": near["id"]})
        clock.advance(DAY)
        turn()
        # It was resolved, and its date is no news.
        assert len(alarms()) == 1
        clock.advance(30 * DAY)
        turn()
        _, come = alarms()
        assert "which has come" in come["says"]

        # A provider that takes it back is believed, and so is an earlier day in the file.
        command("record_retirement", {"use_case": "help", "release": live, "at": 0})
        command("record_retirement", {"use_case": "help", "release": spare, "at": MARCH + 200 * DAY})
        (only,) = command("status", {"use_case": "help"})["use_cases"][0]["retirements"]
        assert (only["release"], only["source"]) == (spare, "the file")
        with pytest.raises(Refused, match="does not serve"):
            command("record_retirement", {"use_case": "help", "release": "help/other@1", "at": 0})
        with pytest.raises(WrongCall):
            command("record_retirement", {"use_case": "help", "release": live, "at": -HOUR})
