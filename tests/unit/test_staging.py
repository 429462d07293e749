"""The parts of a rehearsal that only compute: faults, causes, behaviour, sizes, shadow pairs, and what a bar does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pilotage.app.kept import conversations
from pilotage.clock import DAY, MINUTE, SECOND, FrozenClock
from pilotage.errors import FaultyFile, NotMeasured
from pilotage.evaluation.client import Reply
from pilotage.evaluation.hint import hint
from pilotage.staging.behaviour import alike, learn
from pilotage.staging.causes import causes, told
from pilotage.staging.faults import Fault, read_faults, seen
from pilotage.staging.fidelity import Fidelity
from pilotage.staging.findings import bar, measured, slow_beyond
from pilotage.staging.pairs import shadowed
from pilotage.staging.questions import asks
from pilotage.staging.replay import Sent
from pilotage.staging.trace import Arrival
from pilotage.store.purse import PurseFile

RELEASE = "desk/good@0123456789ab"


def sent(at: float, *, latency: float = 0.1, error: str = "", served: str = RELEASE, status: int = 200) -> Sent:
    reply = Reply(latency=latency, status=status, error=error, release=served, text=None if error else "yes")
    return Sent(scheduled=at, started=at, finished=at + latency, reply=reply)


def test_the_default_faults_are_read() -> None:
    assert [fault.kind for fault in read_faults("default")] == ["slow", "rate_limit", "malformed", "outage", "worker"]


def test_a_wrong_schedule_is_told_whole(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(
        '[[faults]]\nkind = "fire"\nat = 0.1\nlasts = 0.1\n[[faults]]\nkind = "outage"\nat = 1.5\nlasts = 0.1\n'
        '[[faults]]\nkind = "slow"\nat = 0.5\n[[faults]]\nkind = "slow"\nat = 0.5\nlasts = 0.1\nhow = 3\n'
    )
    with pytest.raises(FaultyFile) as fault:
        read_faults(str(file))
    assert len(fault.value.faults) == 4 + 1
    assert "fault 1: kind is 'fire'" in fault.value.faults[0]
    file.write_text("faults = 3")
    with pytest.raises(FaultyFile, match=r"."):
        read_faults(str(file))
    with pytest.raises(NotMeasured, match="cannot read"):
        read_faults(str(tmp_path / "none.toml"))


def test_what_users_saw_of_a_fault() -> None:
    outage = Fault(kind="outage", at=0.2, lasts=0.2)
    later = Fault(kind="worker", at=0.8)
    stream = [
        *(sent(at) for at in (0.0, 1.0)),
        sent(2.1, error="502: no", status=502, served=""),
        sent(3.0, error="another answered in its place", served="desk/search@1"),
        sent(3.5, latency=20.0),
        sent(4.2, error="502: no", status=502, served=""),
        *(sent(4.5 + number / 10) for number in range(10)),
        *(sent(8.0 + number / 10) for number in range(10)),
    ]
    first, second = seen([outage, later], 10.0, stream, RELEASE, 10.0)
    assert (first.requests, first.failed, first.fallback, first.slow, first.recovered) == (4, 2, 1, 1, 0.5)
    assert (second.failed, second.recovered) == (0, 0.0)
    never = seen([outage], 10.0, [sent(at / 10, error="x", status=502, served="") for at in range(100)], RELEASE, 10.0)
    assert never[0].recovered is None


def test_a_cause_is_named_with_where_to_look() -> None:
    assert causes([sent(0.0)]) == {}
    assert not told({})
    wrong = [sent(at, error="502: the provider answered (status:401)", status=502) for at in (0.5, 0.2)]
    found = causes(wrong)
    assert (found["failed"], found["first"]["at"]) == (2, 0.2)
    assert "api_key_env" in told(found)
    assert "every request failed" in told(found)
    assert "api_key_env" in hint("502: the provider answered HTTP 401")
    assert hint("something new") == "the gateway's log says more, by the request's time"


def row(number: int, **more: Any) -> dict[str, Any]:
    known = {"id": f"i{number}", "release": RELEASE, "finished": True, "at": number * SECOND, "surface": "chat"}
    sizes = {"input_tokens": 100 + number, "output_tokens": 10 * number + 1, "duration": number * SECOND // 10}
    return {**known, **sizes, "error": "", "source": "live", "counted": True, "cancelled": False, "cost": 5, **more}


def test_a_provider_is_learned_from_what_is_recorded() -> None:
    rows = [row(number) for number in range(60)]
    rows += [row(70, error="status:500"), row(71, error="abandoned"), row(3, error="status:429")]
    found = learn(rows, RELEASE)
    assert found is not None
    assert found.errors == {"status:500": pytest.approx(1 / 62)}
    assert found.a_minute == 60, "what it answered in the minute in which it also said 429"
    assert rows[0]["at"] // MINUTE == 0
    near = alike(found.samples, 110, 205, count=5)
    assert all(abs(one.output_tokens - 205) <= 30 for one in near), "what is written takes the time"
    assert learn(rows[:10], RELEASE) is None
    assert learn(rows, "another@1") is None


def test_questions_follow_users_sessions_and_sizes() -> None:
    questions = [[{"role": "user", "content": f"question {number}"}] for number in range(3)]
    burst = [
        Arrival(0, 200, 40, "s1", "ann"),
        Arrival(SECOND, 400, 50, "s2", "bob"),
        Arrival(2 * SECOND, 300, 60, "s1", "ann"),
    ]
    plain = asks(burst, questions, 2.0)
    assert [one.at for one in plain] == [0.0, 0.5, 1.0]
    assert [one.unit for one in plain] == ["replay-ann", "replay-bob", "replay-ann"]
    assert [one.messages[0]["content"] for one in plain] == ["question 0", "question 1", "question 1"]
    sized = asks(burst, questions, 1.0, sized=True)
    lengths = [len(one.messages[0]["content"]) + 28 for one in sized]
    assert all(abs(length - size * 4) <= 2 for length, size in zip(lengths, (200, 400, 300), strict=True))
    assert sized[1].messages[0]["content"].endswith(" [50 tokens]")


def test_below_the_files_bar_nothing_is_decided() -> None:
    spec = {"gates": {"canary": {"replay_fidelity": {"at_least": 0.9}}}, "guardrails": {"slow": {"limit": "4s"}}}
    assert (bar(spec), bar({}), slow_beyond(spec), slow_beyond({})) == (0.9, None, 4.0, 10.0)
    stream = [sent(float(at)) for at in range(100)]
    near = Fidelity(parts={"rate": 0.7}, missing={})
    measures, _ = measured("replay", stream, near, 0.9, {})
    assert {one.measure: (one.low, one.high) for one in measures} == {
        "replay_errors": (0.0, 1.0), "replay_fidelity": (0.7, 1.0), "replay_latency": (0.0, 120.0),
    }  # fmt: skip
    measures, _ = measured("replay", stream, near, None, {})
    assert measures[0].high < 0.04


def test_copies_are_paired_with_their_live_answers() -> None:
    recorded: dict[str, dict[str, Any]] = {}

    def command(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name == "evaluation_plan":
            price = {"variants": {"good": {"price": {"input": 1.0, "output": 1.0}}}}
            return {"use_case": "desk", "charter": "c" * 12, "candidate": RELEASE, "baseline": "", "spec": price}
        recorded[arguments["measure"]] = arguments
        return {"id": arguments["measure"]}

    live = [row(number, release="desk/search@1") for number in range(90)]
    copies = [
        row(
            number, id=f"c{number}", source="shadow", copy_of=f"i{number}", duration=number * SECOND // 10 + SECOND // 2,
            error="status:500" if number == 7 else "",
        )
        for number in range(90)
    ]  # fmt: skip
    dropped = row(91, id="gone", source="shadow", copy_of="i1", error="abandoned", cancelled=True)
    result = asyncio.run(shadowed(command, [*live, *copies, dropped], "desk"))
    assert set(recorded) == {"shadow_errors", "shadow_latency", "shadow_slower", "shadow_cost"}
    assert recorded["shadow_errors"]["value"] == pytest.approx(1 / 90)
    assert recorded["shadow_slower"]["value"] == pytest.approx(0.5)
    assert (result["copies"], result["paired"], result["dropped"]) == (90, 90, 1)
    assert result["length_ratio"] == pytest.approx(1.0)
    assert "shadow_refusals" in result["not_measured"]
    replies = {f"i{number}": "Nine o'clock." for number in range(90)}
    replies |= {f"c{number}": '{"open": 9}' if number % 3 else "I'm sorry, I can't help." for number in range(90)}
    asyncio.run(shadowed(command, [*live, *copies], "desk", replies=replies))
    compared = recorded["shadow_refusals"]
    assert compared["value"] == pytest.approx(30 / 89, abs=0.01)
    assert compared["low"] > 0.2
    assert compared["detail"]["json"] == [59, 0]
    with pytest.raises(NotMeasured, match="two are needed"):
        asyncio.run(shadowed(command, live, "desk"))


def test_a_kept_request_is_asked_again_where_it_ends_with_its_user() -> None:
    kept = {
        "a": ("user: Hello\n\nassistant: Yes?\n\nuser: When?\n\nAnd where?", "Nine."),
        "b": ("user: Hello\n\nassistant: Yes?", ""),
        "c": ("no turns at all", ""),
    }
    found = conversations(kept.items())
    assert list(found) == ["a"]
    assert [turn["role"] for turn in found["a"]] == ["user", "assistant", "user"]
    assert found["a"][-1]["content"] == "When?\n\nAnd where?"
    burst = [Arrival(0, inference="a"), Arrival(SECOND, inference="gone")]
    asked = asks(burst, [[{"role": "user", "content": "a case"}]], 1.0, prompts=found)
    assert [one.messages[-1]["content"] for one in asked] == ["When?\n\nAnd where?", "a case"]


def test_workers_know_of_each_others_spending_and_a_day_ends(tmp_path: Path) -> None:
    clock = FrozenClock(DAY * 20_000)
    one, two = PurseFile(tmp_path, "w0", clock), PurseFile(tmp_path, "w1", clock)
    assert not one.usable
    one.spend("desk", 30)
    one.exchange()
    two.exchange()
    assert two.usable
    two.spend("desk", 5)
    assert (one.spent("desk"), two.spent("desk"), two.spent("other")) == (30, 35, 0)
    again = PurseFile(tmp_path, "w0", clock)
    again.exchange()
    assert again.spent("desk") == 30
    clock.advance(DAY)
    assert two.spent("desk") == 0
    (tmp_path / "w1.purse").write_text("{broken")
    again.exchange()
    assert again.usable
