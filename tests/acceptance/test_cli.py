"""The command line as people and scripts use it: on the workspace itself, through its server, and from elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.control_rig import USE_CASE, Serving, files_of, pilotage, serving, write_use_case


class Place:
    """Where commands work: `local`, through the workspace's `server`, or at a server's address from `elsewhere`."""

    def __init__(self, folder: Path, mode: str, server: Serving | None) -> None:
        self.folder, self.mode, self.server = folder, mode, server
        self.workspace = folder / "ws"
        self.key = server.key("admin") if server and mode == "elsewhere" else ""

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if self.mode != "elsewhere":
            return pilotage(*arguments, workspace=self.workspace)
        assert self.server is not None
        return pilotage(*arguments, "--server", self.server.control, PILOTAGE_KEY=self.key)

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(params=["local", "server", "elsewhere"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    write_use_case(tmp_path / "help")
    if request.param == "local":
        yield Place(tmp_path, request.param, None)
        return
    with serving(tmp_path / "ws", workers=1) as server:
        yield Place(tmp_path, request.param, server)


def test_every_command_wherever_it_works(place: Place) -> None:
    applied = place.json("apply", str(place.folder / "help"))
    assert applied["unchanged"] is False
    again = place("apply", str(place.folder / "help"))
    assert (again.returncode, again.stdout.strip()) == (0, "help: unchanged.")

    assert [one["use_case"] for one in place.json("status")["use_cases"]] == ["help"]
    shown = place("status", "help")
    assert "Gate into poc: open" in shown.stdout
    assert place("status").stdout.split()[:3] == ["use", "case", "stage"]

    dry = place.json("promote", "help", "--dry-run")
    assert (dry["gate"]["open"], dry["done"]) == (True, False)
    assert place("promote", "help", "--reason", "worth trying").stdout.strip() == "help went from concept to poc."

    closed = place("promote", "help", "--dry-run")
    assert closed.returncode == 1
    assert "missing" in closed.stdout
    assert "opens with: Run `pilotage evaluate help`." in closed.stdout
    refused = place("promote", "help")
    assert refused.returncode == 1
    assert "quality_difference" in refused.stderr
    assert refused.stdout == ""
    told = place("promote", "help", "--json")
    assert told.returncode == 1
    fault = json.loads(told.stderr)["error"]
    assert (fault["code"], fault["gate"]["open"]) == ("gate_closed", False)

    assert place("pause", "help", "--reason", "lunch").returncode == 0
    assert place.json("status", "help")["use_cases"][0]["paused"] is True
    assert place("pause", "help").returncode == 1
    assert place("resume", "help").stdout.strip() == "help goes on."
    back = place("rollback", "help")
    assert back.returncode == 1
    assert back.stderr.startswith("pilotage: ")

    assert "no evidence" in place("evidence", "list", "help").stdout
    made = place.json("keys", "create", "shop", "--role", "infer", "--use-case", "help", "--expires-in", "90d")
    assert made["secret"].startswith("plt_")
    listed = place("keys", "list")
    assert made["id"] in listed.stdout
    assert made["secret"] not in listed.stdout
    assert place("keys", "revoke", made["id"]).returncode == 0
    assert place("keys", "revoke", made["id"]).returncode == 1

    entries = place.json("ledger", "show", "--newest", "100")["entries"]
    assert [entry["action"] for entry in entries if entry["use_case"]] == ["register", "promote", "pause", "resume"]
    who = {entry["actor"].partition(":")[0] for entry in entries if entry["action"] == "promote"}
    assert who == {"key" if place.mode == "elsewhere" else "local"}
    assert "worth trying" in place("ledger", "show").stdout
    verified = place.json("ledger", "verify")
    assert (verified["ok"], verified["entries"]) == (True, entries[-1]["seq"])
    exported = place("ledger", "export").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in exported] == [entry["seq"] for entry in entries]
    assert place("ledger", "export", str(place.folder / "out.jsonl")).returncode == 0
    assert (place.folder / "out.jsonl").read_text().splitlines() == exported

    assert place.json("events")["events"] == []
    assert place("events", "--table", "feedback").stdout.strip() == "No events yet."
    assert place("retire", "help", "--reason", "done").returncode == 0
    assert place.json("status", "help")["use_cases"][0]["retired"] is True
    unknown = place("status", "nobody")
    assert unknown.returncode == 1
    assert "there is no use case 'nobody'" in unknown.stderr


def test_a_faulty_folder_lists_every_fault_and_registers_nothing(place: Place) -> None:
    file = place.folder / "help" / "usecase.toml"
    file.write_text(file.read_text().replace('tier = "minimal"', 'tier = "tiny"\nnonsense = 1'))
    checked = pilotage("check", str(place.folder / "help"))
    applied = place("apply", str(place.folder / "help"))
    for done in (checked, applied):
        assert done.returncode == 1
        faults = [line for line in done.stderr.splitlines() if line.startswith("usecase.toml:")]
        assert len(faults) == 2, done.stderr
        assert "Traceback" not in done.stderr
    told = place("apply", str(place.folder / "help"), "--json")
    assert len(json.loads(told.stderr)["error"]["faults"]) == 2
    listed = place("status", "--json")
    if listed.returncode == 0:
        assert json.loads(listed.stdout)["use_cases"] == []


def test_the_ledger_shows_what_was_altered(tmp_path: Path) -> None:
    import sqlite3

    write_use_case(tmp_path / "help")
    assert pilotage("apply", str(tmp_path / "help"), workspace=tmp_path / "ws").returncode == 0
    assert pilotage("promote", "help", workspace=tmp_path / "ws").returncode == 0
    with sqlite3.connect(tmp_path / "ws" / "state.db") as state:
        tables = [row[0] for row in state.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%previous%'")]
        for (trigger,) in state.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            state.execute(f"DROP TRIGGER {trigger}")
        changed = state.execute(f"UPDATE {tables[0]} SET actor = 'local:nobody' WHERE seq = 2").rowcount
    state.close()
    assert changed == 1
    found = pilotage("ledger", "verify", workspace=tmp_path / "ws")
    assert found.returncode == 1
    assert "2" in found.stderr


def test_a_checkpoint_kept_elsewhere_finds_what_the_chain_cannot(tmp_path: Path) -> None:
    write_use_case(tmp_path / "help")
    workspace, kept = tmp_path / "ws", tmp_path / "elsewhere.txt"
    assert pilotage("apply", str(tmp_path / "help"), workspace=workspace).returncode == 0
    shutil.copytree(workspace, tmp_path / "older")
    assert pilotage("promote", "help", workspace=workspace).returncode == 0
    made = pilotage("ledger", "checkpoint", str(kept), workspace=workspace)
    assert made.returncode == 0, made.stderr
    key = made.stderr.strip().removeprefix("verifier key: ")
    assert pilotage("pause", "help", workspace=workspace).returncode == 0

    against = ("ledger", "verify", "--checkpoint", str(kept), "--key", key)
    told = pilotage(*against, "--json", workspace=workspace)
    assert json.loads(told.stdout)["checkpoint"]["since"] == 1

    # An older copy put back is whole in itself.
    assert pilotage("ledger", "verify", workspace=tmp_path / "older").returncode == 0
    found = pilotage(*against, workspace=tmp_path / "older")
    assert found.returncode == 1
    assert "cut off" in found.stderr
    alone = pilotage("ledger", "verify", "--checkpoint", str(kept), workspace=workspace)
    assert alone.returncode == 2

    # The same is found without Pilotage, from an export.
    script = Path(__file__).parents[2] / "docs" / "verify_ledger.py"
    exports = []
    for place in (workspace, tmp_path / "older"):
        exports.append(tmp_path / f"{place.name}.jsonl")
        assert pilotage("ledger", "export", str(exports[-1]), workspace=place).returncode == 0
    runs = [
        subprocess.run(
            [sys.executable, str(script), str(export), str(kept), key], capture_output=True, text=True, check=False
        )
        for export in exports
    ]
    assert [run.returncode for run in runs] == [0, 1]
    assert runs[0].stdout.endswith("entries, unbroken; 1 anchors hold\n")
    assert "gone" in runs[1].stderr
    lines = exports[0].read_text().splitlines(keepends=True)
    for altered in (lines[1:], lines[::-1], [lines[0].replace("local", "somebody"), *lines[1:]]):
        exports[0].write_text("".join(altered))
        run = subprocess.run(
            [sys.executable, str(script), str(exports[0])], capture_output=True, text=True, check=False
        )
        assert run.returncode == 1
        assert "does not verify" in run.stderr


def test_init_writes_what_check_passes_and_apply_takes(tmp_path: Path) -> None:
    made = pilotage("init", str(tmp_path / "night-desk"))
    assert made.returncode == 0, made.stderr
    checked = pilotage("check", str(tmp_path / "night-desk"), "--json")
    assert json.loads(checked.stdout)["use_case"] == "night-desk"
    assert pilotage("apply", str(tmp_path / "night-desk"), workspace=tmp_path / "ws").returncode == 0
    again = pilotage("init", str(tmp_path / "night-desk"))
    assert again.returncode == 1
    assert pilotage("check", str(tmp_path / "nowhere")).returncode == 1


def test_alone_it_says_what_to_try() -> None:
    done = pilotage()
    assert done.returncode == 0
    tried = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("  pilotage ")]
    assert tried == [["pilotage", "demo"], ["pilotage", "init"], ["pilotage", "serve"]]
    assert pilotage("--version").stdout.startswith("pilotage 0.")
    assert pilotage("--help").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("promote",),
        ("nonsense",),
        ("status", "--nonsense"),
        ("ledger", "show", "--newest", "0"),
        ("keys", "create", "x", "--role", "king"),
        ("keys", "create", "x", "--expires-in", "soon"),
        ("events", "--table", "keys"),
        ("status", "--server", "nowhere"),
    ],
)
def test_a_wrong_call_is_exit_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_use_case(tmp_path / "help")
    pilotage("apply", str(tmp_path / "help"), workspace=tmp_path / "ws")
    done = pilotage(*arguments, workspace=None if "--server" in arguments else tmp_path / "ws")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_both_a_workspace_and_a_server_is_a_wrong_call(tmp_path: Path) -> None:
    done = pilotage("status", "--server", "http://127.0.0.1:1", workspace=tmp_path)
    assert done.returncode == 2


@pytest.mark.parametrize("variable", [{"PILOTAGE_CLOCK": "noon"}, {"PILOTAGE_LOG": "loud"}, {"PILOTAGE_SERVER": "x"}])
def test_a_bad_setting_is_said(variable: dict[str, str]) -> None:
    done = pilotage("status", workspace=None, **variable)
    assert done.returncode == 2
    assert next(iter(variable)) in done.stderr


def test_no_workspace_and_no_server(tmp_path: Path) -> None:
    done = pilotage("status", workspace=tmp_path / "none")
    assert done.returncode == 1
    assert "pilotage apply DIR" in done.stderr
    assert not (tmp_path / "none").exists()
    gone = pilotage("status", "--server", "http://127.0.0.1:1")
    assert gone.returncode == 1
    assert "no answer from http://127.0.0.1:1" in gone.stderr


def test_a_bad_key_for_a_server_elsewhere(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        done = pilotage("status", PILOTAGE_SERVER=server.control, PILOTAGE_KEY="nonsense")
        assert done.returncode == 1
        assert "PILOTAGE_KEY" in done.stderr
        gateway = pilotage("status", "--server", server.gateway)
        assert gateway.returncode == 1
        assert "control API" in gateway.stderr


def test_evaluating_and_rehearsing_through_a_server_of_its_own(tmp_path: Path) -> None:
    directory = write_use_case(tmp_path / "help")
    (directory / "cases").mkdir()
    cases = [
        {
            "id": f"c{n}",
            "text": "Are returns free?" if n % 2 else "When do parcels arrive?",
            "scenario": "s",
            "kind": "quality",
        }
        | {"required": [["thirty days"]] if n % 2 else [["three days"]], "forbidden": []}
        for n in range(40)
    ]
    (directory / "cases" / "all.jsonl").write_text("".join(f"{json.dumps(case)}\n" for case in cases))
    file = directory / "usecase.toml"
    file.write_text(file.read_text() + '\n[evaluation]\ncases = ["cases/*.jsonl"]\n')
    workspace = tmp_path / "ws"
    assert pilotage("apply", str(directory), workspace=workspace).returncode == 0
    assert pilotage("promote", "help", workspace=workspace).returncode == 0
    measured = pilotage("evaluate", "help", "--json", workspace=workspace)
    assert measured.returncode == 0, measured.stderr
    figures = {one["measure"]: one["value"] for one in json.loads(measured.stdout)["measures"]}
    assert (figures["quality"], figures["quality_difference"]) == (1.0, 0.5)
    assert pilotage("promote", "help", workspace=workspace).returncode == 0
    rehearsed = pilotage("rehearse", "help", "--requests", "200", "--seconds", "4", workspace=workspace)
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "replay_errors" in rehearsed.stdout
    assert pilotage("promote", "help", workspace=workspace).returncode == 0
    assert json.loads(pilotage("keys", "list", "--json", workspace=workspace).stdout)["keys"] == []
    keys = json.loads(pilotage("keys", "list", "--all", "--json", workspace=workspace).stdout)["keys"]
    assert keys
    assert all(key["revoked"] for key in keys)
    shown = pilotage("evidence", "list", "help", workspace=workspace)
    assert "quality_difference" in shown.stdout


def test_what_cannot_be_measured_is_exit_3(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    assert pilotage("apply", str(write_use_case(tmp_path / "help")), workspace=workspace).returncode == 0
    done = pilotage("evaluate", "help", workspace=workspace)
    assert done.returncode == 3, done.stderr
    assert "has no cases" in done.stderr


def test_shadow_traffic_from_the_file_to_its_evidence(tmp_path: Path) -> None:
    shadow = (
        "\n[staging]\nshadow = 100\nshadow_a_day = 1.0\n\n[gates.staging]\nquality_difference = { at_least = -1.0 }\n"
    )
    directory = write_use_case(tmp_path / "help", USE_CASE + '\n[evaluation]\ncases = ["cases.jsonl"]\n' + shadow)
    case = {"text": "When do parcels arrive?", "required": [["three days"]]}
    (directory / "cases.jsonl").write_text("\n".join(json.dumps({**case, "id": f"c{n}"}) for n in range(8)))
    with serving(tmp_path / "ws", workers=1) as server:
        server.command("apply", files=files_of(directory))
        server.command("promote", use_case="help")
        assert pilotage("evaluate", "help", workspace=tmp_path / "ws").returncode == 0
        server.command("promote", use_case="help")
        key = server.key("infer")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert server.chat(key, "anna").status == 200
            told = pilotage("rehearse", "help", "--shadow", "--json", workspace=tmp_path / "ws")
            if told.returncode == 0:
                break
            assert told.returncode == 3, told.stderr
        result = json.loads(told.stdout)
    assert result["copies"] >= 2
    assert {one["measure"] for one in result["measures"]} >= {"shadow_errors", "shadow_slower"}
    assert result["candidate"].startswith("help/after@")
