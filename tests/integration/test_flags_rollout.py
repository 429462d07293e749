"""A rollout whose units come by flag alone, through every real process, and what a deployment tool is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.control_rig import Reply, Serving, ask, serving
from tests.integration.gateway_rig import until


def evaluate(server: Serving, key: str, unit: str) -> dict[str, Any]:
    body = {"context": {"targetingKey": unit}}
    reply = ask(server.gateway, "POST", "/ofrep/v1/evaluate/flags/help", body, key=key)
    assert reply.status == 200, reply.body
    flag: dict[str, Any] = reply.json
    return flag


def analysis(server: Serving, key: str = "", name: str = "help") -> Reply:
    return ask(server.control, "GET", f"/api/v1/analysis/{name}", key=key or server.token)


def test_units_exposed_by_flag_carry_a_rollout(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        server.to_canary()
        key = server.key("infer", "feedback")
        shown = analysis(server).json
        assert (shown["verdict"], shown["stage"], shown["step"]) == ("missing", "canary", 1)
        until(lambda: evaluate(server, key, "first")["reason"] == "SPLIT")
        variants = [evaluate(server, key, f"unit-{number}")["value"] for number in range(120)]
        said = {"id": "no-complaint", "unit": "unit-0", "use_case": "help", "metric": "complained", "value": 0}
        assert server.feedback(key, **said).status == 202
        assert set(variants) == {"before", "after"}
        # What an application tells of a call counts until that call's deadline, so that is waited for.
        until(lambda: server.rollout["step"] == 1, seconds=90)
        shown = analysis(server).json
        assert (shown["phase"], shown["share"], shown["verdict"]) == ("running", 0.9, "pass")
        # The first unit was exposed as well, and may be the candidate's.
        assert 20 <= shown["metrics"]["errors"]["units"] <= variants.count("after") + 1
        assert shown["metrics"]["resolved"]["verdict"] == "waived"


def test_errors_that_an_application_tells_roll_its_candidate_back(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary()
        key = server.key("infer", "feedback")
        until(lambda: evaluate(server, key, "first")["reason"] == "SPLIT")
        for number in range(100):
            flag = evaluate(server, key, f"unit-{number}")
            if flag["value"] == "after":
                told = {"id": f"e-{number}", "inference": flag["metadata"]["inference"], "metric": "errors", "value": 1}
                assert server.feedback(key, **told).status == 202
        until(lambda: server.rollout["phase"] == "rolled_back", seconds=90)
        shown = analysis(server).json
        assert (shown["verdict"], shown["metrics"]["errors"]["verdict"]) == ("fail", "fail")
        assert "errors" in shown["says"]
        until(lambda: evaluate(server, key, "unit-1")["reason"] == "STATIC")


def test_who_may_ask_for_the_analysis(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary()
        assert analysis(server, server.key("operate")).status == 200
        assert analysis(server, server.key("approve")).status == 200
        assert analysis(server, server.key("infer", "feedback")).status == 403
        assert analysis(server, server.key("operate", use_cases=["other"])).status == 403
        assert ask(server.control, "GET", "/api/v1/analysis/help").status == 401
        assert analysis(server, name="nobody").status == 404
        assert ask(server.control, "POST", "/api/v1/analysis/help", {}, key=server.token).status == 405
        document = ask(server.control, "GET", "/api/v1/openapi.json").json
        assert "/api/v1/analysis/{name}" in document["paths"]
