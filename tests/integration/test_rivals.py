"""Three variants beside each other on a real server, without a ramp: the best is promoted, and the decision replays."""

from __future__ import annotations

import random
from pathlib import Path

from tests.integration.control_rig import USE_CASE, Serving, pilotage, serving

THIRD = '[variants.third]\nupstream = "search"\nknowledge = ["more/*.md"]\n\n[rollout]\n'
STEP = '[[rollout.steps]]\nshare = 66.7\ndemands = ["prove"]\n'
RESOLVED = {"before": 0.3, "after": 0.3, "third": 0.7}


def three() -> str:
    text = USE_CASE[: USE_CASE.index("[[rollout.steps]]")] + STEP
    return text.replace('candidate = "after"', 'candidate = "after"\nrivals = ["third"]').replace("[rollout]\n", THIRD)


def visit(server: Serving, key: str, number: int, rng: random.Random) -> str:
    reply = server.chat(key, f"unit-{number}")
    assert reply.status == 200
    variant = reply.headers["x-pilotage-variant"]
    inference = reply.headers["x-pilotage-inference"]
    for metric, chance in (("resolved", RESOLVED[variant]), ("complained", 0.05)):
        said = {"id": f"{metric}-{number}", "inference": inference, "metric": metric}
        assert server.feedback(key, **said, value=int(rng.random() < chance)).status == 202
    return variant


def test_the_best_of_several_is_promoted(tmp_path: Path) -> None:
    rng = random.Random(3)
    met: dict[str, int] = dict.fromkeys(RESOLVED, 0)
    with serving(tmp_path / "ws", workers=2) as server:
        server.to_canary(three())
        key = server.key("infer", "feedback")
        while server.rollout["phase"] == "running":
            for _ in range(20):
                met[visit(server, key, sum(met.values()), rng)] += 1
            assert sum(met.values()) < 6000, server.rollout["shown"]["reason"]
        assert server.rollout["phase"] == "promoted"
        (use_case,) = server.command("status", use_case="help")["use_cases"]
        assert use_case["live"].startswith("help/third@")
        ended = {one["release"].split("@")[0]: one["how"] for one in use_case["ended"]}
        assert ended == {"help/after": "not_chosen", "help/third": "promoted"}
        # A third each.
        assert min(met.values()) > 0.25 * sum(met.values())
        entries = server.command("ledger", use_case="help")["entries"]
        (decision,) = [entry["seq"] for entry in entries if entry["actor"] == "controller"]
        again = pilotage("ledger", "replay", str(decision), workspace=tmp_path / "ws")
        assert again.returncode == 0, again.stderr
        assert "The same decision, bit for bit." in again.stdout
