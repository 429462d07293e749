"""What a pull request shows, in the words of each CI system."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from tests.unit.test_quoted_commands import faults
from typer.testing import CliRunner

from pilotage.cli.ci import tell_faults, tell_gate
from pilotage.cli.root import app
from pilotage.errors import FaultyFile

ROOT = Path(__file__).parents[2]
GATE = {
    "stage": "canary",
    "criteria": [
        {"name": "quality", "verdict": "pass", "says": "fine"},
        {"name": "security", "verdict": "fail", "says": "5 %, it must be 1 %", "opens_with": "Change\nit."},
        {"name": "cost", "verdict": "inconclusive", "says": "not known"},
        {"name": "bias", "verdict": "waived", "says": "until Monday"},
    ],
}


def test_faults_stand_at_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    as_junit, quality = tmp_path / "j.xml", tmp_path / "q.json"
    told = ["usecase.toml:20: unit = 'a:b, 50%' is none\nof them", "it has no line"]
    tell_faults(Path("help"), told, as_junit=as_junit, github=True, code_quality=quality)
    assert capsys.readouterr().out.splitlines() == [
        "::error file=help/usecase.toml,line=20,title=pilotage check::unit = 'a:b, 50%25' is none%0Aof them",
        "::error file=help,line=1,title=pilotage check::it has no line",
    ]
    suite = ET.parse(as_junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    rows = json.loads(quality.read_text())
    assert rows[0]["location"] == {"path": "help/usecase.toml", "lines": {"begin": 20}}
    # A fault that only moves is the same fault.
    tell_faults(Path("help"), [told[0].replace(":20:", ":21:")], as_junit=None, github=False, code_quality=quality)
    assert json.loads(quality.read_text())[0]["fingerprint"] == rows[0]["fingerprint"]
    tell_faults(Path("help"), [], as_junit=as_junit, github=True, code_quality=quality)
    assert json.loads(quality.read_text()) == []
    assert ET.parse(as_junit).getroot().get("failures") == "0"
    assert capsys.readouterr().out == ""


def test_a_gate_is_told_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "j.xml"
    tell_gate(GATE, as_junit=file, github=True)
    assert capsys.readouterr().out.splitlines() == [
        "::error title=gate into canary%3A security (fail)::5 %25, it must be 1 %25 Change%0Ait.",
        "::warning title=gate into canary%3A cost (inconclusive)::not known",
    ]
    suite = ET.parse(file).getroot()
    assert (suite.get("failures"), suite.get("skipped")) == ("2", "1")


def test_a_faulty_folder_tells_ci_and_is_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["init", str(tmp_path / "desk")]).exit_code == 0
    file = tmp_path / "desk" / "usecase.toml"
    file.write_text(file.read_text().replace('\nunit = "user"', '\nunit = "usr"'))
    done = run(app, ["check", str(tmp_path / "desk"), "--github", "--junit", str(tmp_path / "j.xml")])
    assert isinstance(done.exception, FaultyFile)
    assert "usecase.toml,line=" in done.output
    assert ET.parse(tmp_path / "j.xml").getroot().get("failures") == "1"


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL))
def test_the_documented_pipelines_are_yaml_and_call_what_there_is(text: str) -> None:
    pipeline = yaml.safe_load(text)
    job = pipeline.get("use-case") or pipeline["jobs"]["use-case"]
    lines = job.get("script") or [step["run"] for step in job["steps"] if "run" in step]
    called = [line for line in lines if line.startswith("pilotage ")]
    assert len(called) >= 4
    assert [fault for line in called for fault in faults(line)] == []
