"""Evaluation and rehearsal over the real parts: registered files, a real gateway worker, evidence in the store."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotage.access import Actor, Role
from pilotage.clock import SystemClock
from pilotage.errors import Denied, NotMeasured
from pilotage.evaluation.judge.run import judge
from pilotage.evaluation.run import evaluate
from pilotage.governance.commands import Context, run
from pilotage.staging.rehearse import rehearse
from tests.integration.gateway_rig import Rig, until

PROVIDER_KEY = "plt_test_secret"
ACTOR = Actor(id="local:tester", roles=(Role.ADMIN,))

FILE = """
name = "desk"
owner = "Service desk"
status_quo = "search"
candidate = "{candidate}"

[traffic]
new_units_a_day = 3000

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

[variants.mute]
upstream = "provider"
model = "desk/mute@provider"
fallback = ["search"]

[variants.judge]
upstream = "provider"
model = "desk/judge@provider"
prompt = "rubric.jinja"
price = {{ input = 2.0, output = 8.0 }}

[evaluation]
cases = ["cases/*.jsonl"]
judge = "judge"
labels = ["labels/*.csv"]
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    script = Path(__file__).with_name("evaluate_gateway.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


def case(number: int, words: str, **more: Any) -> dict[str, Any]:
    return {"id": f"case-{number}", "text": f"{words} number {number}", "required": [[f"{words} number"]], **more}


class Desk:
    """A workspace with the use case registered in it and a worker serving it."""

    def __init__(self, path: Path, provider: str) -> None:
        self.rig = Rig(path, environment={"DESK_API_KEY": PROVIDER_KEY})
        self.provider = provider
        self.context = Context(self.rig.store, SystemClock())

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return run(self.context, ACTOR, name, arguments)

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.rig.port}"

    def apply(self, candidate: str, cases: list[dict[str, Any]], labels: str = "case,reply,right\n") -> str:
        files = {
            "usecase.toml": FILE.format(candidate=candidate, url=self.provider),
            "knowledge/hours.md": "# Opening hours\n\nThe shop opens at nine.\n",
            "cases/all.jsonl": "\n".join(map(json.dumps, cases)),
            "rubric.jinja": "You judge replies of a service desk.",
            "labels/all.csv": labels,
        }
        encoded = {path: base64.b64encode(text.encode()).decode() for path, text in files.items()}
        reference = str(self("apply", {"files": encoded})["candidate"])
        if self.rig.process is None:
            self.rig.start()
        until(lambda: self.rig.chat(reference, key=self.rig.operator).status == 200)
        return reference

    def evaluate(self, **options: Any) -> dict[str, Any]:
        key = options.pop("key", self.rig.operator)
        return asyncio.run(evaluate(self, self.gateway, key, "desk", **options))

    def evidence(self) -> dict[str, dict[str, Any]]:
        return {one["measure"]: one for one in self("evidence", {"use_case": "desk"})["evidence"]}

    def questions(self) -> Counter[str]:
        with urllib.request.urlopen(f"{self.provider}/log") as response:
            return Counter(one["question"] for one in json.load(response) if "number" in one["question"])


@pytest.fixture
def desk(tmp_path: Path, provider: str) -> Iterator[Desk]:
    made = Desk(tmp_path / "workspace", provider)
    yield made
    made.rig.close()


def test_a_good_candidate_gets_evidence_that_its_gate_reads(desk: Desk) -> None:
    cases = [case(number, "carts") for number in range(75)]
    cases += [case(number, "bank card", kind="privacy", required=[], forbidden=["4111"]) for number in range(75, 80)]
    release = desk.apply("good", cases)
    result = desk.evaluate()

    evidence = desk.evidence()
    # Cases of kind privacy are for the suite of that name.
    assert set(evidence) == {"quality", "quality_difference", "latency", "cost", "cost_a_goal"}
    assert {one["release"] for one in evidence.values()} == {release}
    assert all(one["counts"] for one in evidence.values())
    assert evidence["quality"]["value"] == 1.0
    assert evidence["quality_difference"]["low"] > 0.9
    assert evidence["quality_difference"]["baseline"].startswith("desk/search@")
    assert evidence["cost"]["value"] > 0
    assert (result["asked"], result["unscored"]) == (160, 0)
    assert [entry["action"] for entry in desk("ledger", {})["entries"]].count("evidence") == 5
    assert desk.evaluate()["asked"] == 0


def test_a_judge_counts_for_what_people_say_of_its_verdicts(desk: Desk) -> None:
    cases = [case(number, "carts") for number in range(40)] + [case(40, "beg carts")]
    desk.apply("good", cases)
    judged = asyncio.run(judge(desk, desk.gateway, desk.rig.operator, "desk", pairs=True, labels=30))
    first = desk.evidence()
    assert {"judge", "judge_difference", "preference"} <= first.keys()
    # One answer was prose: it is no verdict, and no pass.
    assert first["judge"]["detail"]["verdicts"] == {"right": 40, "no verdict": 1}
    assert (first["judge"]["low"], first["judge"]["high"], first["judge"]["detail"]["calibrated"]) == (0.0, 1.0, False)
    assert first["preference"]["value"] == 1.0
    assert first["preference"]["low"] == 0.0
    heading, *rows = csv.reader(judged["sheet"].splitlines())
    assert (heading[3], {row[3] for row in rows}) == ("prefers", {""})
    paid = sum(desk.questions().values())

    asked = asyncio.run(judge(desk, desk.gateway, desk.rig.operator, "desk", labels=30))
    table = list(csv.DictReader(asked["sheet"].splitlines()))
    assert len(table) == 60
    filled = io.StringIO()
    writer = csv.DictWriter(filled, table[0].keys())
    writer.writeheader()
    for row in table:
        writer.writerow({**row, "right": "yes" if row["text of the reply"].startswith("You asked") else "no"})
    desk.apply("good", cases, labels=filled.getvalue())
    asyncio.run(judge(desk, desk.gateway, desk.rig.operator, "desk"))
    second = desk.evidence()["judge"]
    assert second["detail"]["labels"] == 30
    assert second["low"] > 0.8
    assert desk.evidence()["judge_difference"]["low"] > 0.6
    # Nothing was asked twice, of the candidate or of the judge.
    assert sum(desk.questions().values()) == paid
    desk.apply("good", [*cases, case(41, "trams")])
    capped = judge(desk, desk.gateway, desk.rig.operator, "desk", max_cost=1e-9)
    with pytest.raises(NotMeasured, match="cap"):
        asyncio.run(capped)


def test_a_candidate_whose_fallback_answers_for_it_is_not_measured(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.staging.rehearse.LATE", 60.0)  # a busy machine may hold the sender up
    desk.apply("mute", [case(number, "opening hours") for number in range(3)])
    with pytest.raises(
        NotMeasured, match=r"its provider failed \(status:\d+\), and desk/search@\w+ answered in its place"
    ):
        desk.evaluate()
    assert desk.evidence() == {}

    async def rehearsed() -> dict[str, Any]:
        return await rehearse(desk, desk.gateway, desk.rig.operator, "desk", trace=None, requests=20, seconds=0.5)

    assert "100.0% errors" in asyncio.run(rehearsed())["summary"]
    assert desk.evidence()["replay_errors"]["value"] == 1.0


def test_a_key_that_may_not_pin_a_release_is_told_so(desk: Desk) -> None:
    desk.apply("good", [case(1, "opening hours")])
    with pytest.raises(Denied, match="refuses the key"):
        desk.evaluate(key=desk.rig.key)


SCRIPT = """
import asyncio, sys
from pathlib import Path
from pilotage.access import Actor, Role
from pilotage.clock import SystemClock
from pilotage.evaluation.judge.run import judge
from pilotage.evaluation.run import evaluate
from pilotage.governance.commands import Context, run
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

workspace, gateway, key = sys.argv[1:]
context = Context(SqliteStore(Workspace(workspace).state), SystemClock())
actor = Actor(id="local:tester", roles=(Role.ADMIN,))

def command(name, arguments):
    answer = run(context, actor, name, arguments)
    if name == "record_results":
        print("kept", flush=True)
    return answer

asyncio.run(evaluate(command, gateway, key, "desk", concurrency=2))
"""


def test_a_killed_run_goes_on_where_it_stopped(desk: Desk, tmp_path: Path) -> None:
    desk.apply("good", [case(number, "slow kettles") for number in range(30)])
    before = desk.questions()
    script = tmp_path / "evaluate.py"
    script.write_text(SCRIPT)
    arguments = [sys.executable, str(script), str(desk.rig.path), desk.gateway, desk.rig.operator]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "kept\n"
        os.kill(running.pid, signal.SIGKILL)
    assert desk.evidence() == {}

    result = desk.evaluate()
    assert result["kept"] > 0
    assert desk.evidence()["quality"]["n"] == 30
    asked = desk.questions() - before
    assert len(asked) == 30
    # What had been kept was not asked again.
    assert sum(asked.values()) <= 30 + (30 - result["kept"])
    assert sum(number == 1 for number in asked.values()) >= result["kept"]
