"""The report of a real server's use case: whole, standing alone, and safe to open."""

from __future__ import annotations

import json
import re
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
        assert refused.returncode == 1
        assert "cannot be written" in refused.stderr
        unknown = pilotage("report", "help", "--variant", "third", workspace=tmp_path / "ws")
        assert unknown.returncode == 1
        assert "third is neither on its way nor live" in unknown.stderr
