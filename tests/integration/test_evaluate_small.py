"""`evaluate` and `rehearse` against a small HTTP server in its own process and commands held in memory."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pilotage.errors import Conflict, Denied, FaultyFile, NotFound, NotMeasured, WrongCall
from pilotage.evaluation.asking import Asker, Said
from pilotage.evaluation.results import junit, lines
from pilotage.evaluation.run import estimate, evaluate
from pilotage.staging.rehearse import rehearse

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "plt_test_secret"
GOOD = "desk/good@0123456789ab"
BAD = "desk/bad@0123456789ab"
EVIDENCE = {"use_case", "release", "measure", "value", "low", "high", "n", "method", "data"}
EVIDENCE_MORE = {"baseline", "confidence", "detail"}


class Desk:
    """The commands that an evaluation calls, as governance offers them."""

    def __init__(self, cases: list[dict[str, Any]], candidate: str = GOOD, baseline: str = "", **spec: Any) -> None:
        self.blob = "\n".join(json.dumps(case) for case in cases).encode()
        self.candidate, self.baseline, self.charter = candidate, baseline, "c" * 12
        self.spec = spec
        self.stored: dict[str, dict[str, Any]] = {}
        self.evidence: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        match name, arguments:
            case "evaluation_plan", {"use_case": "desk"}:
                digest = hashlib.sha256(self.blob).hexdigest()
                return {
                    "use_case": "desk",
                    "charter": self.charter,
                    "candidate": self.candidate,
                    "baseline": self.baseline,
                    "spec": self.spec,
                    "cases": [{"path": "cases/all.jsonl", "digest": digest}] if self.blob else [],
                }
            case "blob", {"digest": _}:
                return {"data": base64.b64encode(self.blob).decode()}
            case "results", {"use_case": "desk", "run": run}:
                return {"results": self.stored.get(run, {})}
            case "record_results", {"use_case": "desk", "run": run, "results": results}:
                self.stored.setdefault(run, {}).update(json.loads(json.dumps(results)))
                return {}
            case "record_evidence", _:
                assert set(arguments) >= EVIDENCE
                assert set(arguments) <= EVIDENCE | EVIDENCE_MORE
                json.dumps(arguments, allow_nan=False)
                self.evidence[arguments["measure"]] = arguments
                return {"id": f"evidence-{arguments['measure']}"}
        raise AssertionError(name, arguments)


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    script = Path(__file__).with_name("evaluate_gateway.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def log(gateway: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{gateway}/log") as response:
        return list(json.load(response))


def case(number: int, words: str, **more: Any) -> dict[str, Any]:
    return {"id": f"case-{number}", "text": f"{words} {number}", "required": [[words]], **more}


def run(command: Desk, gateway: str, **options: Any) -> dict[str, Any]:
    return asyncio.run(evaluate(command, gateway, options.pop("key", KEY), "desk", **options))


def test_the_better_candidate_is_seen_as_better_and_everything_is_recorded(gateway: str) -> None:
    cases = [case(number, "opening hours", scenario="hours", kind="short") for number in range(80)]
    cases += [case(number, "secret", kind="security", required=[], forbidden=["secret"]) for number in range(80, 90)]
    desk = Desk(
        cases, baseline=BAD, variants={"good": {"price": {"input": 1.0, "output": 3.0}}}, budget={"currency": "CHF"}
    )
    seen: list[tuple[str, int, int]] = []
    result = run(desk, gateway, progress=lambda what, done, of: seen.append((what, done, of)))

    assert set(desk.evidence) == {"quality", "quality_difference", "latency", "cost", "cost_a_goal"}
    assert result["not_measured"] == {}
    assert result["evidence"] == [f"evidence-{one['measure']}" for one in result["measures"]]
    assert {one["release"] for one in desk.evidence.values()} == {GOOD}
    quality = desk.evidence["quality"]
    assert (quality["value"], quality["high"], quality["n"]) == (1.0, 1.0, 80)
    assert 0.95 < quality["low"] < 0.96  # Wilson's 80 of 80
    security = quality["detail"]["slices"]["kind"]["security"]
    assert (security["right"], security["wrong"], security["unscored"]) == (0, 10, 0)
    hours = quality["detail"]["slices"]["scenario"]["hours"]
    assert (hours["right"], hours["value"], hours["high"]) == (80, 1.0, 1.0)
    assert 0.9 < hours["low"] < 1
    difference = desk.evidence["quality_difference"]
    assert (difference["value"], difference["baseline"]) == (1.0, BAD)
    assert 0.9 < difference["low"] < 1.0
    assert desk.evidence["cost"]["value"] == pytest.approx((80 * (3 + 3 * 5) + 10 * (2 + 3 * 4)) / 90 / 1_000_000)
    assert desk.evidence["cost"]["detail"]["currency"] == "CHF"
    assert 0 < desk.evidence["latency"]["low"] <= desk.evidence["latency"]["value"] <= desk.evidence["latency"]["high"]
    assert seen[-1] == ("baseline", 90, 90)
    assert ("candidate", 90, 90) in seen
    assert "100.0% of 80 cases, +100.0 points" in result["summary"]
    assert {one["source"] for one in log(gateway)} == {"evaluation"}
    json.dumps(result)


def test_what_could_not_be_scored_is_not_wrong_but_widens_the_interval(gateway: str) -> None:
    troubles = ["drop", "garbage", "refuse", "fallback", "silent"]
    cases = [case(number, "returns") for number in range(20)]
    cases += [case(number, word) for number, word in enumerate(troubles, start=20)]
    cases.append({"id": "no-expectation", "text": "hello there"})
    desk = Desk(cases)
    result = run(desk, gateway)

    quality = desk.evidence["quality"]
    assert (quality["value"], quality["n"], quality["high"]) == (1.0, 20, 1.0)
    assert quality["low"] < 20 / 25  # as if all five had been wrong
    assert quality["detail"]["unscored"] == result["unscored"] == 5
    assert quality["detail"]["without_expectation"] == 1
    reasons = " ".join(quality["detail"]["unscored_because"])
    for part in ("no answer", "no chat completion", "502: the provider is down", "in its place", "holds no text"):
        assert part in reasons
    assert result["not_measured"]["latency"].endswith("need at least 72 answers, and there were 21")
    assert "price" in result["not_measured"]["cost"]
    # What failed is asked again by the next run, what was answered is not.
    again = run(desk, gateway)
    assert (again["asked"], again["kept"]) == (5, 21)


def test_an_unchanged_release_and_case_cost_nothing(gateway: str) -> None:
    desk = Desk([case(number, "parking") for number in range(30)], baseline=BAD)
    assert run(desk, gateway)["asked"] == 60
    before = len(log(gateway))
    assert run(desk, gateway)["asked"] == 0
    assert len(log(gateway)) == before
    desk.candidate = "desk/good@ba9876543210"
    again = run(desk, gateway)
    assert (again["asked"], again["kept"]) == (30, 30)


def test_an_interrupted_run_goes_on_where_it_stopped(gateway: str) -> None:
    desk = Desk([case(number, "vouchers slow") for number in range(24)])

    async def interrupted() -> None:
        enough = asyncio.Event()

        def progress(_what: str, done: int, _of: int) -> None:
            if done >= 8:
                enough.set()

        task = asyncio.create_task(evaluate(desk, gateway, KEY, "desk", progress=progress, concurrency=4))
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    kept = sum(map(len, desk.stored.values()))
    assert kept >= 8
    assert desk.evidence == {}
    assert run(desk, gateway)["kept"] == kept
    answered = Counter(one["question"] for one in log(gateway) if "vouchers" in one["question"])
    assert len(answered) == 24
    assert sum(answered.values()) <= 24 + 4  # at most those in flight were asked again


def test_who_is_turned_away_for_want_of_room_asks_again_more_slowly(gateway: str) -> None:
    desk = Desk([case(number, "crowded desk") for number in range(6)])
    result = run(desk, gateway, concurrency=6)
    assert result["measures"][0]["value"] == 1.0
    assert result["waits"] >= 12
    patient = Desk([case(1, "crowded patient desk")])
    assert run(patient, gateway)["waits"] == 2


def test_a_suite_that_is_turned_away_asks_again_too(gateway: str) -> None:
    async def sent() -> list[Said]:
        async with Asker(gateway, KEY, concurrency=2) as asker:
            bodies = [{"messages": [{"role": "user", "content": f"crowded suite {n}"}]} for n in range(2)]
            return await asyncio.gather(*(asker.send(GOOD, body) for body in bodies))

    assert [said.text for said in asyncio.run(sent())] == ["You asked: crowded suite 0", "You asked: crowded suite 1"]


def test_who_is_told_to_come_again_tomorrow_does_not_wait(gateway: str) -> None:
    desk = Desk([case(1, "crowded tomorrow"), case(2, "opening hours")])
    result = run(desk, gateway)
    assert (result["waits"], result["unscored"]) == (0, 1)


def test_money_ends_before_it_is_passed(gateway: str) -> None:
    price = {"input": 10.0, "output": 1000.0}
    variants = {"good": {"model": "m", "price": price, "parameters": {"max_tokens": 50}}}
    desk = Desk([case(number, "dear question") for number in range(20)], variants=variants)
    # About 0.05 is put aside for each, and about 0.006 paid.
    with pytest.raises(NotMeasured, match=r"were not asked: the next might have passed 0.12 EUR"):
        run(desk, gateway, max_cost=0.12, concurrency=1)
    assert desk.evidence == {}
    kept = len(next(iter(desk.stored.values())))
    assert 0 < kept < 20
    told = asyncio.run(estimate(desk, "desk"))
    (side,) = told["sides"]
    assert (side["ask"], side["kept"]) == (20 - kept, kept)
    assert 0 < side["cost_likely"] < side["cost_at_most"]
    result = run(desk, gateway, max_cost=10.0)
    assert result["asked"] == 20 - kept
    assert result["spent"] < 1


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ({"model": "m"}, "has no price"),
        ({"model": "m", "price": {"input": 1.0, "output": 1.0}}, "nothing bounds the answers"),
    ],
)
def test_money_that_cannot_be_bounded_is_not_capped(gateway: str, variant: dict[str, Any], says: str) -> None:
    desk = Desk([case(1, "any")], variants={"good": variant})
    with pytest.raises(NotMeasured, match=says):
        run(desk, gateway, max_cost=1.0)


def test_what_came_of_each_case_is_there_for_other_programs(gateway: str) -> None:
    cases = [case(1, "kettles"), case(2, "<kettles> & \x07bells", required=[["never"]]), case(3, "drop it")]
    results = run(Desk(cases), gateway)["results"]
    rows = [json.loads(line) for line in lines(results).splitlines()]
    assert [(row["case"], row["value"]) for row in rows] == [("case-1", 1.0), ("case-2", 0.0), ("case-3", None)]
    suite = ET.fromstring(junit("desk", results))
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    assert "<kettles>" in (suite[1][0].text or "")


def test_at_most_so_many_cases_taken_evenly(gateway: str) -> None:
    desk = Desk([case(number, "gift cards") for number in range(100)], evaluation={"max_cases": 50})
    result = run(desk, gateway, max_cases=4)
    assert (result["cases"], result["cases_of"]) == (4, 100)
    assert {one["question"] for one in log(gateway)[-4:]} == {f"gift cards {number}" for number in (0, 25, 50, 75)}
    assert run(desk, gateway)["cases"] == 50
    with pytest.raises(WrongCall):
        run(desk, gateway, max_cases=0)


def test_nothing_is_recorded_where_nothing_can_be_measured(gateway: str) -> None:
    def refused(desk: Desk, error: type[Exception], says: str, **options: Any) -> None:
        with pytest.raises(error, match=says):
            run(desk, options.pop("at", gateway), **options)
        assert desk.evidence == {}

    cases = [case(1, "delivery")]
    refused(Desk(cases, candidate=""), NotMeasured, "no candidate")
    refused(Desk([]), NotMeasured, "no cases")
    refused(Desk([{"id": "a", "text": "hello"}]), NotMeasured, "say what a right reply holds")
    refused(Desk(cases, candidate="desk/mute@0123456789ab"), NotMeasured, "none of 1 quality cases could be scored")
    refused(Desk(cases), NotMeasured, "no gateway answers", at="http://127.0.0.1:9")
    refused(Desk(cases), Denied, "no such key", key="wrong")
    refused(Desk(cases, candidate="other/good@0123456789ab"), NotFound, "does not know other/good")
    refused(Desk([*cases, *cases]), FaultyFile, "no case was asked")


def test_a_use_case_that_changes_meanwhile_gets_no_evidence(gateway: str) -> None:
    desk = Desk([case(number, "receipts") for number in range(3)])

    def change(_what: str, _done: int, _of: int) -> None:
        desk.charter = "d" * 12

    with pytest.raises(Conflict, match="was changed"):
        run(desk, gateway, progress=change)
    assert desk.evidence == {}


def rehearsed(desk: Desk, gateway: str, **options: Any) -> dict[str, Any]:
    return asyncio.run(rehearse(desk, gateway, options.pop("key", KEY), "desk", **{"trace": None, **options}))


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept a sender that a busy machine holds up."""
    monkeypatch.setattr("pilotage.staging.rehearse.LATE", 60.0)


@pytest.mark.usefixtures("unhurried")
def test_a_rehearsal_replays_a_burst_of_the_declared_day(gateway: str) -> None:
    cases = [case(number, "warranty") for number in range(5)] + [case(9, "attack", kind="security")]
    desk = Desk(cases, traffic={"new_units_a_day": 3000.0})
    result = rehearsed(desk, gateway, requests=120, seconds=2)

    errors, latency = desk.evidence["replay_errors"], desk.evidence["replay_latency"]
    assert (errors["value"], errors["n"], errors["release"]) == (0.0, 120, GOOD)
    assert errors["high"] == pytest.approx(1 - 0.05 ** (1 / 120))
    assert 0 < latency["low"] <= latency["value"] <= latency["high"]
    assert result["compression"] > 100
    assert result["seconds"] == pytest.approx(2)
    parts = errors["detail"]["fidelity"]["parts"]
    assert 0 < parts["gaps"] <= 1
    assert 0 < parts["rate"] <= 1
    assert "sizes" in errors["detail"]["fidelity"]["missing"]
    assert parts["sessions"] == 1
    replayed = Counter(one["question"] for one in log(gateway) if one["source"] == "replay")
    assert replayed == {f"warranty {number}": 24 for number in range(5)}
    assert "answered a burst of 120 requests from a model of 3,000 requests a day with 0.0% errors" in result["summary"]
    json.dumps(result)


@pytest.mark.usefixtures("unhurried")
def test_a_rehearsal_of_a_trace_counts_what_fails(gateway: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    rows = [f"2026-03-01 09:00:{second:02}.{part}000000,10,20" for second in range(20) for part in range(10)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, "soon,1,2"]))
    desk = Desk([case(1, "battery"), case(2, "refuse battery")])
    result = rehearsed(desk, gateway, trace=trace, requests=100, seconds=1)

    errors = desk.evidence["replay_errors"]
    assert (errors["value"], errors["n"]) == (0.5, 100)
    assert errors["detail"]["errors"] == {"502: the provider is down": 50}
    assert desk.evidence["replay_latency"]["value"] == 120
    assert result["trace"]["faults"] == ["trace.csv:202: 'soon' is not a time; write it as 2026-03-01 09:00:00.1234567"]
    assert "rows of the trace that could not be read: 1" in result["summary"]


def test_a_rehearsal_that_is_none_records_nothing(gateway: str, tmp_path: Path) -> None:
    desk = Desk([case(1, "sizes")])
    with pytest.raises(NotMeasured, match="declares no traffic"):
        rehearsed(desk, gateway)
    with pytest.raises(NotMeasured, match="cannot read the trace"):
        rehearsed(desk, gateway, trace=tmp_path / "none.csv")
    with pytest.raises(WrongCall):
        rehearsed(desk, gateway, seconds=0)
    desk.spec = {"traffic": {"new_units_a_day": 10.0, "requests_a_unit": 2.0}}
    with pytest.raises(Denied):
        rehearsed(desk, gateway, key="wrong", requests=5, seconds=0.1)
    assert desk.evidence == {}


def test_a_sender_that_is_late_measures_nothing(gateway: str) -> None:
    desk = Desk([case(1, "sizes")], traffic={"new_units_a_day": 3000.0})

    def hold_up(_what: str, _done: int, _of: int) -> None:
        # The event loop itself stands still: nothing leaves on time any more.
        time.sleep(0.2)

    with pytest.raises(NotMeasured, match="could not keep the schedule"):
        rehearsed(desk, gateway, requests=20, seconds=0.5, progress=hold_up)
    assert desk.evidence == {}
