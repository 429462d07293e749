"""A candidate that is good on average and bad for some is held, with the reason, on live outcomes."""

from __future__ import annotations

import random
from pathlib import Path

from tests.integration.control_rig import USE_CASE, Serving, ask, pilotage, serving
from tests.integration.gateway_rig import until

FAIR = (
    USE_CASE.replace('demands = ["safe"]', 'demands = ["safe", "approve"]', 1)
    + '\n[fairness]\nsegments = { language = ["en", "tr"] }\nmargins = { resolved = 0.1 }\nleast = 10\n'
)


def visits(server: Serving, key: str, first: int, rng: random.Random) -> None:
    """Let thirty users come: the candidate helps those who write English, and no others."""
    for number in range(first, first + 30):
        language = rng.choice(("en", "tr"))
        headers = {"x-pilotage-unit": f"u{number}", "x-pilotage-segment": f"language={language}, income=low"}
        body = {"model": "help", "messages": [{"role": "user", "content": "When do parcels arrive?"}]}
        reply = ask(server.gateway, "POST", "/v1/chat/completions", body, key=key, headers=headers)
        assert reply.status == 200
        helped = (language == "en") == (reply.headers["x-pilotage-variant"] == "after")
        said = {"id": f"r{number}", "inference": reply.headers["x-pilotage-inference"], "metric": "resolved"}
        assert server.feedback(key, **said, value=int(helped)).status == 202


def test_a_gap_between_groups_holds_a_rollout(tmp_path: Path) -> None:
    rng, came = random.Random(5), 0
    with serving(tmp_path / "ws", workers=1) as server:
        server.to_canary(FAIR)
        key = server.key("infer", "feedback")

        def alarms() -> list[str]:
            found = server.command("alarms", use_case="help")["alarms"]
            return [one["watch"] for one in found if one["kind"] == "parity"]

        while not alarms():
            visits(server, key, came, rng)
            came += 30
            assert came < 3_000, server.rollout["shown"]
        assert alarms() == ["parity/language=tr/resolved"]
        (parity,) = server.rollout["shown"]["parity"].values()
        assert parity["language=tr"]["resolved"]["above"] is True
        assert parity["language=tr"]["resolved"]["gap_high"] < -0.1
        until(lambda: "resolved is worse for language=tr than for the others" in server.rollout["shown"]["reason"])
        gate = server.command("promote", use_case="help", dry_run=True)["gate"]
        assert {line["name"]: line["verdict"] for line in gate["criteria"]}["parity"] == "fail"
        signed = ask(server.control, "POST", "/sign-in", raw=f"key={server.token}".encode())
        cookie = {"cookie": signed.headers["set-cookie"].partition(";")[0]}
        page = ask(server.control, "GET", "/use-cases/help", headers=cookie).body.decode()
        assert "<strong>above its margin</strong>" in page
        printed = pilotage("status", "help", workspace=tmp_path / "ws").stdout
        assert "language=tr, resolved" in printed
        assert "above its margin" in printed
        entries = server.command("ledger", use_case="help")["entries"]
        told = [one["detail"] for one in entries if one["action"] == "alarm"]
        assert [one["what"] for one in told if one["kind"] == "parity"] == ["resolved"]
        assert server.command("ledger_verify")["ok"] is True
        # Only what the file declares was recorded.
        events = ask(server.control, "GET", "/api/v1/events?use_case=help&limit=500&table=started", key=server.token)
        assert {row["segment"] for row in events.json["events"]} <= {"language=en", "language=tr"}
