"""Inferences in the console of a real server: found, read in full, made a case of; by who may, and with markup that stays text."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.control_rig import USE_CASE, Reply, Serving, ask, files_of, pilotage, serving, write_use_case
from tests.integration.gateway_rig import until

KEEPING = USE_CASE.replace("personal_data = false", 'personal_data = true\nretention = "full"')
MARKUP = '<script>alert(1)</script> & "parcels" of ada@example.org'


class Visitor:
    """A browser without scripts: it keeps its cookie and sends forms from where they are."""

    def __init__(self, server: Serving, cookie: str) -> None:
        self._server, self._cookie = server, cookie

    def get(self, path: str) -> Reply:
        return ask(self._server.control, "GET", path, headers={"cookie": self._cookie})

    def send(self, path: str, **fields: str) -> Reply:
        token = re.search(r'name="csrf"[^>]*value="([^"]+)"', self.get(path).body.decode())
        sent = {**fields, **({"csrf": token[1]} if token else {})}
        headers = {
            "cookie": self._cookie,
            "origin": self._server.control,
            "content-type": "application/x-www-form-urlencoded",
        }
        return ask(self._server.control, "POST", path, headers=headers, raw=urllib.parse.urlencode(sent).encode())


def signed_in(server: Serving, secret: str) -> Visitor:
    headers = {"origin": server.control, "content-type": "application/x-www-form-urlencoded"}
    raw = urllib.parse.urlencode({"key": secret}).encode()
    reply = ask(server.control, "POST", "/sign-in", headers=headers, raw=raw)
    assert reply.status == 303, reply.body
    return Visitor(server, reply.headers["set-cookie"].partition(";")[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("console")
    with serving(folder / "ws", workers=1) as server:
        server.command("apply", files=files_of(write_use_case(folder / "help", KEEPING)))
        key = server.key("infer", "feedback")
        for number, question in enumerate(("When do parcels arrive?", MARKUP)):
            reply = server.chat(key, f"unit-{number}", question)
            assert reply.status == 200
            inference = reply.headers["x-pilotage-inference"]
            said = {"id": f"f-{number}", "use_case": "help", "inference": inference, "metric": "resolved"}
            assert server.feedback(key, **said, value=number).status == 202

        def there() -> bool:
            rows = server.command("inferences", use_case="help", metric="resolved")["inferences"]
            return len(rows) == 2 and all(row["finished"] and row["text"] for row in rows)

        until(there)
        yield server


def asked(server: Serving, words: str) -> str:
    """Return the id of the request that held these words."""
    found = server.command("inferences", use_case="help", words=words)["inferences"]
    assert len(found) == 1
    return str(found[0]["id"])


def test_an_admin_finds_an_answer_reads_it_and_makes_it_a_case(server: Serving, tmp_path: Path) -> None:
    admin = signed_in(server, server.token)
    listed = admin.get("/use-cases/help/inferences?metric=resolved&value_to=0").body.decode()
    found = re.findall(r'href="/use-cases/help/inferences/([0-9a-f]+)"', listed)
    assert len(found) == 1
    spoken = admin.get("/use-cases/help/inferences?words=%3Cscript%3Ealert").body.decode()
    assert "<mark>&lt;script&gt;alert</mark>" in spoken
    assert "<script>alert" not in spoken
    place = f"/use-cases/help/inferences/{asked(server, 'alert(1)')}"
    shown = admin.get(place).body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert" not in shown
    assert "ada@example.org" not in shown
    assert "resolved" in shown
    revealed = admin.send(place, note="Ada asked <b>us</b> to look")
    assert revealed.status == 200
    assert "ada@example.org" in revealed.body.decode()

    form = admin.get(f"{place}/case").body.decode()
    assert "ada@example.org" not in form
    incomplete = admin.send(f"{place}/case", question="When? <i>", required="")
    assert incomplete.status == 422
    assert "right answer" in incomplete.body.decode()
    assert "When? &lt;i&gt;</textarea>" in incomplete.body.decode(), "what was typed stays"
    given = {"question": "When do parcels come to bob@example.org?", "required": "three days | 3 days\n"}
    assert admin.send(f"{place}/case", **given, scenario="parcels", note="wrong").status == 303
    waiting = admin.get("/use-cases/help/cases").body.decode()
    assert "three days" in waiting
    assert "bob@example.org" not in waiting
    line = json.loads(admin.get("/use-cases/help/cases.jsonl").body)
    assert line["required"] == [["three days", "3 days"]]
    assert (line["scenario"], line["kind"]) == ("parcels", "production")

    output = tmp_path / "production.jsonl"
    written = pilotage("cases", "export", "help", "--output", str(output), workspace=server.workspace)
    assert written.returncode == 0, written.stderr
    assert json.loads(output.read_text()) == line
    assert "None waits" in admin.get("/use-cases/help/cases").body.decode()
    actions = [entry["action"] for entry in server.command("ledger")["entries"]]
    assert {"inferences_search", "inference_read", "case_propose", "cases_taken"} <= set(actions)
    assert server.command("ledger_verify")["ok"] is True


def test_a_case_can_be_proposed_and_dropped_by_command(server: Serving) -> None:
    oldest = asked(server, "When do parcels")
    run: dict[str, Any] = {"workspace": server.workspace}
    proposed = pilotage("cases", "propose", "help", oldest, "--required", "three days|3 days", **run)
    assert proposed.returncode == 0, proposed.stderr
    listed = json.loads(pilotage("cases", "list", "help", "--json", **run).stdout)["cases"]
    assert [(one["case"]["text"], one["inference"]) for one in listed] == [("When do parcels arrive?", oldest)]
    assert pilotage("cases", "drop", "help", listed[0]["id"], **run).returncode == 0
    assert "No case" in pilotage("cases", "list", "help", **run).stdout


def test_files_hold_what_is_asked_for_and_texts_for_admins_only(server: Serving) -> None:
    admin = signed_in(server, server.token)
    plain = admin.get("/use-cases/help/inferences.jsonl?metric=resolved&value_from=1")
    lines = [json.loads(line) for line in plain.body.splitlines()]
    assert len(lines) == 1
    assert lines[0]["feedback"][0]["value"] == 1.0
    assert "request" not in lines[0]
    table = list(csv.DictReader(io.StringIO(admin.get("/use-cases/help/inferences.csv?texts=on").body.decode())))
    assert any("<script>" in row["request"] for row in table)
    assert not any("ada@example.org" in row["request"] for row in table)
    assert admin.get("/use-cases/help/inferences.xls").status == 404

    operator = signed_in(server, server.key("operate"))
    listed = operator.get("/use-cases/help/inferences").body.decode()
    assert len(re.findall(r'href="/use-cases/help/inferences/[0-9a-f]+"', listed)) == 2
    assert 'name="words"' not in listed
    one = f"inferences/{asked(server, 'alert(1)')}"
    page = operator.get(f"/use-cases/help/{one}").body.decode()
    assert "alert(1)" not in page
    for path in ("inferences?words=parcels", "inferences.csv?texts=on", f"{one}/case", "cases"):
        assert operator.get(f"/use-cases/help/{path}").status == 403, path
    assert signed_in(server, server.key("infer")).get("/use-cases/help/inferences").status == 403


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("ms_from=soon", "no number"),
        ("cost_from=-1", "no number of 0 or more"),
        ("since=yesterday", "no time"),
        ("outcome=great", "is none"),
        ("before=%3Cb%3E", "is no id"),
        ("value_from=1", "choose which"),
        ("unit=zz", "is no id"),
        ("release=%27)%20OR%20true--", "Nothing is like that"),
        ("words=" + "x" * 5_000, "2 texts were read"),
    ],
)
def test_a_mangled_link_still_shows_a_page(server: Serving, query: str, says: str) -> None:
    reply = signed_in(server, server.token).get(f"/use-cases/help/inferences?{query}")
    assert reply.status == 200
    assert says in reply.body.decode()
    assert b"<b>" not in reply.body


def test_what_is_not_there_is_said(server: Serving) -> None:
    admin = signed_in(server, server.token)
    for path in ("nobody/inferences", "help/inferences/00ff", "nobody/cases", "help/inferences/00ff/case"):
        assert admin.get(f"/use-cases/{path}").status == 404, path
    assert admin.get("/use-cases/help/inferences/not-an-id").status == 404


def test_a_report_is_a_page_with_its_findings_and_both_answers(server: Serving) -> None:
    admin = signed_in(server, server.token)
    release = server.command("status", use_case="help")["use_cases"][0]["candidate"]
    assert "No evaluation kept its answers" in admin.get("/use-cases/help/reports/answers").body.decode()
    for run, rows in (
        ("s", {"c1": {"key": "k", "question": MARKUP, "value": 0.0, "before": 1.0, "why": "misses <i>it</i>"}}),
        ("a", {"k": {"text": "<b>never</b> arrive"}}),
        ("b", {"k": {"text": "<b>soon</b> arrive"}}),
    ):
        server.command("record_results", use_case="help", run=run, results=rows)
    detail = {
        "slices": {"kind": {"<script>kind</script>": {"right": 1, "wrong": 2, "unscored": 0}}},
        "kept": {"scores": "s", "answers": "a", "before": "b"},
        "beside": "help/before@0",
    }
    fact = {"use_case": "help", "release": release, "n": 3, "method": "test", "data": "0" * 64}
    server.command("record_evidence", **fact, measure="quality", value=0.3, low=0.1, high=0.7, detail=detail)
    page = admin.get("/use-cases/help/reports")
    text = page.body.decode()
    assert page.status == 200
    assert "&lt;script&gt;kind&lt;/script&gt;" in text
    assert "<mark>&lt;b&gt;never&lt;/b&gt;</mark>" in text
    assert not re.search(r"<script>|<i>|style=", text)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert admin.get("/static/chart.css").headers["content-type"].startswith("text/css")
    answers = admin.get("/use-cases/help/reports/answers?only=worse").body.decode()
    assert "1 of 1 cases" in answers
    assert "<mark>&lt;b&gt;soon&lt;/b&gt;</mark>" in answers
    assert "0 of 1 cases" in admin.get("/use-cases/help/reports/answers?only=better&after=x").body.decode()
    assert admin.get("/use-cases/help/reports?variant=nobody").status == 404
