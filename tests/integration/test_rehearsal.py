"""Rehearsals whole: a staging copy of the gateway, the provider's stand-in, faults, a ramp, and live traffic's shadow."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotage.app.client import Commander
from pilotage.app.rehearsal import Wanted, rehearsal
from pilotage.clock import SystemClock
from pilotage.errors import NotMeasured, WrongCall
from pilotage.staging.faults import Fault

FILE = """
name = "desk"
owner = "Service desk"
status_quo = "search"
candidate = "{candidate}"

[traffic]
new_units_a_day = 3000
requests_a_unit = 1.5
peak_requests_a_second = 20

[upstreams.provider]
base_url = "{url}/v1"
api_key_env = "DESK_API_KEY"

[variants.search]
upstream = "search"
knowledge = ["knowledge/*.md"]

[variants.good]
upstream = "provider"
model = "desk/good@provider"
fallback = ["search"]
price = {{ input = 2.0, output = 8.0 }}

[budget]
a_day = {a_day}

[variants.alone]
upstream = "provider"
model = "desk/mute@provider"
price = {{ input = 2.0, output = 8.0 }}

[evaluation]
cases = ["cases/*.jsonl"]
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    script = Path(__file__).with_name("evaluate_gateway.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept a sender that a busy machine holds up, and give the staging copy the provider's key."""
    monkeypatch.setattr("pilotage.staging.rehearse.LATE", 60.0)
    monkeypatch.setattr("pilotage.staging.ramp.LATE", 60.0)
    monkeypatch.setenv("DESK_API_KEY", "plt_test_secret")


class Desk:
    def __init__(self, path: Path, provider: str, candidate: str, a_day: float = 1_000.0) -> None:
        self.commander = Commander(path / "workspace", SystemClock(), user="tester")
        self.provider = provider
        cases = [
            {"id": f"c{number}", "text": f"opening hours {number}", "required": [["hours"]]} for number in range(5)
        ]
        files = {
            "usecase.toml": FILE.format(candidate=candidate, url=provider, a_day=a_day),
            "knowledge/hours.md": "# Opening hours\n\nWe open at nine.\n",
            "cases/all.jsonl": "\n".join(map(json.dumps, cases)),
        }
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
        self.release = str(self.commander.run("apply", {"files": encoded})["candidate"])

    def rehearse(self, **wanted: Any) -> dict[str, Any]:
        asked = Wanted(use_case="desk", **wanted)
        return asyncio.run(rehearsal(self.commander, asked, lambda _what, _done, _of: None))

    def evidence(self) -> dict[str, dict[str, Any]]:
        return {one["measure"]: one for one in self.commander.run("evidence", {"use_case": "desk"})["evidence"]}

    def asked(self) -> int:
        with urllib.request.urlopen(f"{self.provider}/log") as response:
            return len(json.load(response))


def test_faults_show_what_users_would_have_seen_and_nobody_pays(tmp_path: Path, provider: str) -> None:
    desk = Desk(tmp_path, provider, "good")
    before = desk.asked()
    outage = Fault(kind="outage", at=0.2, lasts=0.3)
    result = desk.rehearse(requests=80, seconds=4.0, faults=(outage, Fault(kind="worker", at=0.75)))

    assert desk.asked() - before == 12, "a probe learned how the provider behaves; the replay itself asked the stand-in"
    assert "probe" in result["provider"]
    seen = result["faults"]
    assert [one["kind"] for one in seen] == ["outage", "worker"]
    assert seen[0]["fallback"] > 0, "the search answered while the provider was out"
    assert result["users"]["fallback"] >= seen[0]["fallback"]
    evidence = desk.evidence()
    assert "fault_failures" in evidence
    assert result["users"]["money"] == 0, "the worker after the killed one has what is left of the budget"
    assert "replay_errors" not in evidence, "what fails under faults says nothing of the candidate itself"
    assert evidence["fault_failures"]["release"] == desk.release
    assert evidence["fault_failures"]["detail"]["faults"] == seen


def test_a_trace_is_replayed_in_its_own_sizes_at_the_stand_in(tmp_path: Path, provider: str) -> None:
    desk = Desk(tmp_path, provider, "good")
    rows = [
        f"2026-03-01 09:00:{number // 4:02}.{number % 4}00000,{200 + 37 * (number % 30)},{20 + 9 * (number % 30)},u{number % 7},s{number % 7}"
        for number in range(160)
    ]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens,User,Session", *rows]))
    result = desk.rehearse(trace=str(trace), requests=160, seconds=2.0, stand_in=True)
    assert result["users"]["failed"] == 0, "the first requests find the budget's share ready"
    assert (result["money"], result["limited_by"]) == ({}, "")
    fidelity = result["fidelity"]
    assert fidelity["parts"]["sessions"] > 0.5
    assert fidelity["parts"].get("sizes", 1.0) == pytest.approx(1.0, abs=0.2)
    assert desk.evidence()["replay_errors"]["value"] == 0.0


def test_where_everything_fails_the_cause_is_named(tmp_path: Path, provider: str) -> None:
    desk = Desk(tmp_path, provider, "alone")
    result = desk.rehearse(requests=20, seconds=0.5)
    assert desk.evidence()["replay_errors"]["value"] == 1.0
    causes = result["causes"]
    assert (causes["failed"], causes["of"]) == (20, 20)
    assert causes["first"]["status"] == 502
    assert "every request failed" in result["summary"]
    assert causes["look"] in result["summary"]
    with pytest.raises(NotMeasured, match="too little is known"):
        desk.rehearse(requests=20, seconds=0.5, stand_in=True)


def test_a_ramp_says_what_holds_and_what_limits(tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.staging.ramp.RUNGS", (0.5, 1.0))
    monkeypatch.setattr("pilotage.staging.ramp.RUNG_SECONDS", 0.5)
    monkeypatch.setattr("pilotage.staging.ramp.FEWEST", 5)
    desk = Desk(tmp_path, provider, "good", a_day=0.05)
    result = desk.rehearse(kind="ramp")
    assert result["rungs"][0]["rate"] == 10.0
    scalability = desk.evidence()["scalability"]
    assert scalability["low"] == scalability["value"] <= scalability["high"]
    assert any("money limits" in one for one in result["limits"]), result["limits"]
    assert result["limited_by"] == "money"


def test_a_budget_that_does_not_suffice_is_told_apart(tmp_path: Path, provider: str) -> None:
    # An answer may have 4,096 tokens at 8 EUR a million, so a cent never suffices for one.
    desk = Desk(tmp_path, provider, "good", a_day=0.01)
    result = desk.rehearse(requests=20, seconds=0.5)
    assert result["money"] | {"from": 0.0} == {"refused": 20, "of": 20, "from": 0.0}
    assert (result["limited_by"], result["users"]["money"]) == ("money", 20)
    assert "money limits: the budget refused 20 of 20" in result["summary"]
    assert "lower max_tokens" in result["causes"]["look"]


def test_shadow_and_faults_that_cannot_be(tmp_path: Path, provider: str) -> None:
    desk = Desk(tmp_path, provider, "good")
    with pytest.raises(NotMeasured, match="0 copies of live requests"):
        desk.rehearse(kind="shadow")
    with pytest.raises(NotMeasured, match="no live request"):
        desk.rehearse(trace="events")
    other = '[variants.other]\nupstream = "search"\nknowledge = ["knowledge/*.md"]\n'
    searching = FILE.format(candidate="other", url=provider, a_day=1.0) + other
    encoded = {
        "usecase.toml": searching,
        "knowledge/hours.md": "# Opening hours\n\nWe open at nine.\n",
        "cases/all.jsonl": json.dumps({"id": "c", "text": "opening hours"}),
    }
    files = {name: base64.b64encode(text.encode()).decode() for name, text in encoded.items()}
    desk.commander.run("apply", {"files": files})
    with pytest.raises(WrongCall, match="asks no provider"):
        desk.rehearse(faults=(Fault(kind="outage", at=0.1, lasts=0.1),))
