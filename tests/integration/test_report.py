"""The report of a real server's use case: whole, standing alone, and safe to open."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

from tests.integration.control_rig import USE_CASE, files_of, pilotage, serving, write_use_case

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would fetch or run, and the headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "href") and not (value or "").startswith("#")
        ]


def test_a_report_answers_six_questions_and_stands_alone(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        directory = write_use_case(tmp_path / "help", USE_CASE.replace("Answers at once.", f"At once {EVIL}"))
        releases = server.command("apply", files=files_of(directory))["releases"]
        fact = {
            "use_case": "help",
            "release": releases["after"],
            "n": 100,
            "method": "share of right replies",
            "data": "d" * 64,
        }
        worst = [{"case": "c1", "question": EVIL, "reply": f"no {EVIL}", "why": "misses 'three days'"}]
        server.command(
            "record_evidence", **fact, measure="quality", value=0.8, low=0.7, high=0.9, detail={"worst": worst}
        )
        server.command("record_evidence", **fact, measure="security", value=0.3, low=0.2, high=0.4)
        server.command("record_evidence", **fact, measure="load_knee", value=40.0, low=35.0, high=45.0)
        told = pilotage("report", "help", "--json", workspace=tmp_path / "ws")
        assert told.returncode == 0, told.stderr
        facts = json.loads(told.stdout)
        verdicts = {question["name"]: question["verdict"] for question in facts["questions"]}
        assert verdicts["feasible"] == "missing"
        assert verdicts["scalable"] == "missing"
        assert facts["worst"][0]["case"] == "c1"
        assert [step["what"] for step in facts["path"]][:2] == ["gate into poc", "gate into staging"]
        file = tmp_path / "help.html"
        made = pilotage("report", "help", "--output", str(file), workspace=tmp_path / "ws")
        assert made.returncode == 0, made.stderr
        text = file.read_text()
        page = Page(text)
        assert EVIL not in text
        assert "&lt;script&gt;alert(1)" in text
        assert page.fetched == []
        assert "script" not in page.tags
        assert page.tags.count("svg") >= 1
        assert re.search(r"load_knee", text)
        refused = pilotage(
            "report", "help", "--output", str(tmp_path / "nowhere" / "x.html"), workspace=tmp_path / "ws"
        )
        assert refused.returncode == 2
        assert "cannot be written" in refused.stderr
        unknown = pilotage("report", "help", "--variant", "third", workspace=tmp_path / "ws")
        assert unknown.returncode == 1
        assert "third is neither on its way nor live" in unknown.stderr


def test_a_pack_holds_what_an_auditor_checks_without_pilotage(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        directory = write_use_case(tmp_path / "help", USE_CASE.replace("Answers at once.", f"At once {EVIL}"))
        releases = server.command("apply", files=files_of(directory))["releases"]
        server.command(
            "record_evidence",
            use_case="help",
            release=releases["after"],
            measure="quality",
            value=0.8,
            low=0.7,
            high=0.9,
            n=100,
            method="share of right replies",
            data="d" * 64,
        )
        server.command("pause", use_case="help", reason="Words that somebody may want erased.")
        nowhere = pilotage(
            "report", "help", "--pack", "--output", str(tmp_path / "no" / "x.zip"), workspace=tmp_path / "ws"
        )
        assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (2, True)
        # Nothing was given out, so nothing is on record.
        assert pilotage("report", "help", "--check", workspace=tmp_path / "ws").returncode == 1
        made = pilotage("report", "help", "--pack", "--output", str(tmp_path / "x.zip"), workspace=tmp_path / "ws")
        assert made.returncode == 0, made.stderr
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            archive.extractall(tmp_path / "pack")
        pack = tmp_path / "pack"
        sums = {name: digest for digest, name in map(str.split, (pack / "SHA256SUMS").read_text().splitlines())}
        assert sums.keys() == {file.name for file in pack.iterdir()} - {"SHA256SUMS"}
        for name, digest in sums.items():
            assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == digest
        # Something else comes into the ledger meanwhile; the same card is still the same pack, byte for byte.
        server.command("keys_create", name="another", roles=["infer"])
        again = pilotage("report", "help", "--pack", "--output", str(tmp_path / "y.zip"), workspace=tmp_path / "ws")
        assert again.returncode == 0, again.stderr
        assert (tmp_path / "y.zip").read_bytes() == (tmp_path / "x.zip").read_bytes()
        key = (pack / "checkpoint.key").read_text().strip()
        verifier = Path(__file__).parents[2] / "docs" / "verify_ledger.py"
        checked = subprocess.run(
            [sys.executable, str(verifier), str(pack / "ledger.jsonl"), str(pack / "checkpoint.txt"), key],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr
        card = json.loads((pack / "card.json").read_text())
        last = json.loads((pack / "ledger.jsonl").read_text().splitlines()[-1])
        assert (last["action"], last["detail"]["card"]) == ("card", sums["card.json"])
        assert card["release"] == last["detail"]["release"]
        assert "quality" in (pack / "evidence.dsse.json").read_text() or (pack / "evidence.key").read_text()
        page = Page((pack / "card.html").read_text())
        assert (page.fetched, "script" in page.tags) == ([], False)
        assert EVIL not in (pack / "card.html").read_text()
        # People's words stand in what is read, and their digests in what is digested.
        assert "may want erased" in (pack / "card.html").read_text()
        assert "may want erased" not in (pack / "card.json").read_text()
        assert "<script" not in (pack / "card.md").read_text()
        assert "| Does it work? |" in (pack / "card.md").read_text()
        same = pilotage("report", "help", "--check", "--against", str(tmp_path / "x.zip"), workspace=tmp_path / "ws")
        assert same.returncode == 0, same.stderr
        (directory / "usecase.toml").write_text((directory / "usecase.toml").read_text() + "\n# Another word.\n")
        assert pilotage("apply", str(directory), workspace=tmp_path / "ws").returncode == 0
        stale = pilotage("report", "help", "--check", workspace=tmp_path / "ws")
        assert stale.returncode == 1
        assert "the use case's file has changed since" in stale.stderr
        (told,) = server.command("status", use_case="help")["use_cases"]
        assert told["card"]["stale"] == ["the use case's file has changed since"]
