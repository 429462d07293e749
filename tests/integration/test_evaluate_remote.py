"""An evaluation from elsewhere, with a key that is for one use case only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.control_rig import USE_CASE, Serving, ask, files_of, pilotage, serving, write_use_case


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    path = tmp_path_factory.mktemp("remote")
    with serving(path / "ws", workers=1) as running:
        for name in ("help", "other"):
            text = USE_CASE.replace('name = "help"', f'name = "{name}"') + '\n[evaluation]\ncases = ["cases.jsonl"]\n'
            folder = write_use_case(path / name, text)
            cases = [
                {"id": f"c{number}", "text": f"{number} When do parcels arrive?", "required": [["three days"]]}
                for number in range(12)
            ]
            (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))
            running.command("apply", files=files_of(folder))
        yield running


def test_a_key_of_one_use_case_evaluates_it_and_no_other(server: Serving) -> None:
    key = server.key("infer", "operate", use_cases=["help"])
    before = server.command("keys_list")["keys"]
    for asked, kept in ((24, 0), (0, 24)):
        done = pilotage("evaluate", "help", "--json", "--server", server.control, PILOTAGE_KEY=key)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert (result["asked"], result["kept"]) == (asked, kept)
    assert {fact["measure"] for fact in server.command("evidence", use_case="help")["evidence"]} >= {"quality"}
    # It asked with its own key: nobody had to make one for it.
    assert server.command("keys_list")["keys"] == before

    refused = pilotage("evaluate", "other", "--server", server.control, PILOTAGE_KEY=key)
    assert refused.returncode == 1
    assert "may not act on other" in refused.stderr
    calls: dict[str, dict[str, Any]] = {"results": {}, "record_results": {"results": {"a": {}}}}
    for name, more in calls.items():
        arguments = {"use_case": "other", "run": "r", **more}
        assert ask(server.control, "POST", f"/api/v1/commands/{name}", arguments, key=key).status == 403


def test_a_key_that_may_not_ask_the_gateway_is_told_what_it_lacks(server: Serving) -> None:
    key = server.key("operate", use_cases=["other"])
    refused = pilotage("evaluate", "other", "--server", server.control, PILOTAGE_KEY=key)
    assert refused.returncode == 1
    assert "the roles infer and operate" in refused.stderr
    assert server.command("evidence", use_case="other")["evidence"] == []
