"""`pilotage plan` as people and scripts use it, and its document's own commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.integration.control_rig import USE_CASE, pilotage, write_use_case

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "planning.md").read_text()
SUPPORT = str(ROOT / "examples" / "support")
TEN = 'name = "ten"\nowner = "Ada"\n[variants.a]\nupstream = "openai"\nmodel = "m"\n'


def test_the_documents_commands_run(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = ""
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL):
        for command in block.strip().splitlines():
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
    assert (tmp_path / "plan.svg").is_file()
    flat = " ".join(said.split())
    for line in re.findall(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)[0].strip().splitlines():
        assert " ".join(line.split()) in flat, line


def test_a_plan_in_words_and_as_facts() -> None:
    shown = pilotage("plan", SUPPORT)
    assert shown.returncode == 0, shown.stderr
    for part in ("resolved", "The ramp", "twice the margin", "30 days", "It pays from", "is assumed"):
        assert part in shown.stdout
    told = json.loads(pilotage("plan", SUPPORT, "--json").stdout)
    assert [one["name"] for one in told["proofs"]][:2] == ["resolved", "handover"]
    assert told["whole"]["likely"]["days"] > 1
    assert told["ramp"][-1]["proves"] is True


def test_a_picture_of_the_plan(tmp_path: Path) -> None:
    file = tmp_path / "plan.svg"
    assert pilotage("plan", SUPPORT, "--picture", str(file)).returncode == 0
    root = ET.fromstring(file.read_text())
    assert "resolved goes from 0 %" in "".join(root.itertext())
    refused = pilotage("plan", SUPPORT, "--picture", str(tmp_path / "no" / "plan.svg"))
    assert refused.returncode == 1
    assert "cannot be written" in refused.stderr


def test_ten_lines_are_enough_and_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "usecase.toml").write_text(TEN)
    shown = pilotage("plan", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    for missing in ("No candidate", "There is no goal", "No traffic"):
        assert missing in shown.stdout
    refused = pilotage("plan", str(tmp_path), "--simulate")
    assert refused.returncode == 1
    assert "new_units_a_day" in refused.stderr
    (tmp_path / "usecase.toml").write_text(
        TEN.replace("[variants", "nonsense = 1\n[traffic]\nreturning = 0.5\n[variants")
    )
    faulty = pilotage("plan", str(tmp_path))
    assert faulty.returncode == 1
    assert len([line for line in faulty.stderr.splitlines() if line.startswith("usecase.toml:")]) == 2
    assert "Traceback" not in faulty.stderr


PLAYED = """
name = "shop"
owner = "Ada"
status_quo = "before"
candidate = "after"
[traffic]
new_units_a_day = 4000
[goals.resolved]
today = 0.5
minimum_effect = 0.08
matures_after = "1h"
[guardrails.complained]
direction = "down"
today = 0.1
margin = 0.05
matures_after = "1h"
[guardrails.stars]
kind = "rating"
low = 1
high = 5
silence = 3
today = 3.5
margin = 0.4
[rollout]
steps = [{ share = 10 }, { share = 50, demands = ["prove", "approve"] }]
minimum_units = 20
[approvals]
canary = 1
production = 2
[gates.production]
quality = { at_least = 0.5 }
[variants.before]
upstream = "openai"
model = "small"
[variants.after]
upstream = "openai"
model = "large"
"""


def played(folder: Path, *effects: str, runs: int = 12, seed: int = 1) -> dict[str, object]:
    (folder / "usecase.toml").write_text(PLAYED)
    given = [part for effect in effects for part in ("--effect", effect)]
    done = pilotage("plan", str(folder), "--simulate", "--runs", str(runs), "--seed", str(seed), *given, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_good_candidate_is_promoted_and_a_bad_one_stopped(tmp_path: Path) -> None:
    good = played(tmp_path, "resolved=0.1")
    assert good["ended"]["promoted"] >= 11  # type: ignore[index]
    assert 1 <= good["days"]["median"] < 5  # type: ignore[index]
    bad = played(tmp_path, "complained=0.2")
    assert bad["ended"]["rolled_back"] >= 11  # type: ignore[index]
    assert bad["stopped_by"]["complained"] >= 11  # type: ignore[index]
    assert bad["exposed"]["median"] < good["exposed"]["median"]  # type: ignore[index]
    useless = played(tmp_path)
    assert useless["ended"]["futile"] >= 9  # type: ignore[index]
    assert sum(useless["ended"].values()) == 12  # type: ignore[attr-defined]


def test_the_same_seed_plays_the_same(tmp_path: Path) -> None:
    assert played(tmp_path, runs=4, seed=3) == played(tmp_path, runs=4, seed=3)
    assert played(tmp_path, runs=4, seed=3) != played(tmp_path, runs=4, seed=4)


def test_a_simulation_in_words(tmp_path: Path) -> None:
    (tmp_path / "usecase.toml").write_text(PLAYED)
    shown = pilotage("plan", str(tmp_path), "--simulate", "--runs", "3", "--effect", "stars=-0.9")
    assert shown.returncode == 0, shown.stderr
    for part in ("played 3 times with stars -0.9", "rolled back", "Days to the end", "at most", "Decided every"):
        assert part in shown.stdout
    assert shown.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--effect", "resolved=0.1"), "--simulate"),
        (("--simulate", "--effect", "resolved"), "METRIC=CHANGE"),
        (("--simulate", "--effect", "resolved=a lot"), "METRIC=CHANGE"),
        (("--simulate", "--effect", "nothing=0.1"), "complained, errors"),
        (("--simulate", "--effect", "resolved=nan"), "METRIC=CHANGE"),
        (("--simulate", "--effect", "resolved=0.9"), "impossible"),
        (("--simulate", "--picture", "x.svg"), "--simulate"),
        (("--simulate", "--runs", "0"), "runs"),
    ],
)
def test_a_wrong_call_says_what_would_be_right(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    write_use_case(tmp_path, USE_CASE)
    done = pilotage("plan", str(tmp_path), *arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
