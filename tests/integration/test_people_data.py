"""People's data, by what lies on the disk: found, given out, destroyed, with a real server and under load."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

from tests.integration.control_rig import USE_CASE, ask, files_of, pilotage, serving, write_use_case
from tests.integration.gateway_rig import until

KEEPING = USE_CASE.replace("personal_data = false", 'personal_data = true\nretention = "full"')
SECRET = "where-is-the-parcel-of-wilhelmina"


def on_disk(workspace: Path, what: bytes) -> list[str]:
    """Return the files below a workspace that hold these bytes, read whole."""
    return [str(path) for path in workspace.rglob("*") if path.is_file() and what in path.read_bytes()]


def test_an_erased_unit_leaves_no_key_and_no_name_and_figures_stay(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    with serving(workspace, workers=1) as server:
        server.command("apply", files=files_of(write_use_case(tmp_path / "help", KEEPING)))
        key = server.key("infer", "feedback")
        for unit in ("wilhelmina", "other"):
            reply = server.chat(key, unit, f"{SECRET}-{unit}?")
            assert reply.status == 200
            said = {"id": f"f-{unit}", "use_case": "help", "unit": unit, "metric": "resolved", "value": 1}
            assert server.feedback(key, **said).status == 202

        def held(unit: str) -> dict[str, int]:
            found: dict[str, int] = server.command("data_find", unit=unit)["held"].get("help", {})
            return found

        whole = {"keys": 1, "started": 1, "finished": 1, "texts": 1, "feedback": 1}
        until(lambda: held("wilhelmina") == whole == held("other"))
        given = server.command("data_export", unit="wilhelmina", reason="asked for")["data"]["help"]
        assert SECRET in given["texts"][0]["request"]
        digest = given["started"][0]["unit"]
        with_key = _unit_key(workspace, digest)
        assert on_disk(workspace, with_key)

        # Erasure while others go on asking.
        stop, failed = threading.Event(), []

        def ask_on() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                if server.chat(key, f"load-{number}", "When do parcels arrive?").status != 200:
                    failed.append(number)

        asking = threading.Thread(target=ask_on)
        asking.start()
        try:
            erased = server.command("data_erase", unit="wilhelmina")["erased"]["help"]
        finally:
            stop.set()
            asking.join()
        assert not failed
        assert (erased["keys"], erased["started"], erased["feedback"]) == (1, 1, 1)
        assert held("wilhelmina") == {}
        assert held("other") == whole
        # The proof: every byte of every file, the database's free pages and its write-ahead log too.
        assert sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file()) > 500_000
        assert on_disk(workspace, with_key) == []
        assert on_disk(workspace, SECRET.encode()) == []
        assert on_disk(workspace / "events", digest.encode()) == []
        assert server.command("ledger_verify")["ok"] is True
        entries = json.dumps(server.command("ledger")["entries"])
        assert "wilhelmina" not in entries
        assert digest not in entries
        events = "/api/v1/events?use_case=help&limit=1000&table="
        for table, least in (("started", 2), ("feedback", 2)):
            rows = ask(server.control, "GET", events + table, key=server.token).json["events"]
            assert len(rows) >= least, "figures stay"
        # Who comes back is new.
        assert server.chat(key, "wilhelmina", "Hello again?").status == 200
        until(lambda: held("wilhelmina").get("texts") == 1)
        assert held("wilhelmina")["started"] == 1
    found = pilotage("data", "find", "--unit", "wilhelmina", "--json", workspace=workspace)
    assert json.loads(found.stdout)["held"]["help"]["texts"] == 1
    gone = pilotage("data", "erase", "--unit", "wilhelmina", "--reason", "asked again", workspace=workspace)
    assert gone.returncode == 0, gone.stderr
    assert "Nothing is held" in pilotage("data", "find", "--unit", "wilhelmina", workspace=workspace).stdout
    assert "unbroken" in pilotage("ledger", "verify", workspace=workspace).stdout
    rolled_up = json.loads(pilotage("portfolio", "--json", workspace=workspace).stdout)
    assert rolled_up["use_cases"][0]["spent"] == 0.0
    assert "Ada Writer" in pilotage("portfolio", workspace=workspace).stdout


def _unit_key(workspace: Path, unit: str) -> bytes:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(workspace / "state.db")) as raw:
        (value,) = raw.execute("SELECT key FROM unit_key WHERE unit = ?", (unit,)).fetchone()
    return bytes(value)


def test_what_may_not_leave_is_stopped_at_the_gateway_at_once(tmp_path: Path) -> None:
    provider = '[upstreams.far]\nbase_url = "http://127.0.0.1:9/v1"\nretries = 0\n[variants.after]\nupstream = "far"\nmodel = "m"\nprice = { input = 0, output = 0 }'
    search = '[variants.after]\nupstream = "search"\nknowledge = ["knowledge/*.md", "more/*.md"]'
    text = USE_CASE.replace("personal_data = false", "personal_data = true").replace(search, provider)
    text = text.replace('status_quo = "before"\ncandidate = "after"', 'status_quo = "after"')
    rules = 'name = "T"\n[providers.far]\nhosts = ["127.0.0.1"]\nregion = "us"\n[data.personal]\nregions = ["eu"]\n'
    with serving(tmp_path / "ws", workers=1) as server:
        server.command("apply", files=files_of(write_use_case(tmp_path / "help", text)))
        key = server.key("infer")
        assert server.chat(key, "u1").status == 502, "nobody listens there, but it was asked"
        server.command("policy_apply", file=base64.b64encode(rules.encode()).decode())
        until(lambda: server.chat(key, "u1").status == 403)
        assert "stays within eu" in server.chat(key, "u1").json["error"]["message"]
        server.command("policy_apply", file=base64.b64encode(rules.replace('"us"', '"eu"').encode()).decode())
        until(lambda: server.chat(key, "u1").status == 502)
