"""Feedback: what is accepted is on disk when the 202 is there; what is refused leaves nothing."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pilotage import access
from pilotage.access import Role
from pilotage.clock import SECOND, SystemClock
from pilotage.records import Feedback
from tests.integration.gateway_rig import Provider, Rig, release, until


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("feedback"))
    for name in ("support", "other"):
        rig.route(name, release(name, provider.url("ok")))
    rig.start()
    yield rig
    rig.close()
    assert "Traceback" not in rig.log.read_text()


def stored(rig: Rig) -> list[Feedback]:
    return [event for event in rig.events() if isinstance(event, Feedback)]


def inference(rig: Rig, model: str = "support") -> str:
    return rig.chat(model).headers["x-pilotage-inference"]


def test_feedback_on_an_inference(rig: Rig) -> None:
    name = inference(rig)
    before = SystemClock().now()
    reply = rig.feedback(id="f-1", inference=name, metric="resolved", value=True)
    assert (reply.status, reply.json) == (202, {"id": "f-1", "status": "accepted"})
    event = stored(rig)[-1]
    assert (event.id, event.use_case, event.metric, event.value) == ("f-1", "support", "resolved", 1.0)
    assert event.inference == name.split(".")[1]
    assert event.key == event.unit == ""
    assert before <= event.at == event.received


def test_feedback_by_business_key_or_unit_joins_what_was_recorded(rig: Rig) -> None:
    reply = rig.chat("support", user="alice", headers={"x-pilotage-key": "order-9"})
    started, _ = rig.record(reply)
    assert rig.feedback(id="f-2", key="order-9", use_case="support", metric="value", value=12.5).status == 202
    assert rig.feedback(id="f-3", unit="alice", use_case="support", metric="stars", value=4).status == 202
    by_key, by_unit = stored(rig)[-2:]
    assert by_key.key == started.key != ""
    assert by_unit.unit == started.unit != ""


@pytest.mark.parametrize("at", [1_700_000_000, 1_700_000_000.5, "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20Z"])
def test_when_it_happened(rig: Rig, at: float | str) -> None:
    assert rig.feedback(id="f-4", inference=inference(rig), metric="resolved", value=0, at=at).status == 202
    assert stored(rig)[-1].at // SECOND == 1_700_000_000


def forged(name: str) -> list[str]:
    use_case, number, mac = name.split(".")
    return [
        f"{use_case}.{number}.{'0' * 16}",
        f"{use_case}.{'0' * 32}.{mac}",
        f"other.{number}.{mac}",
        f"{use_case}.{number}",
        f"{use_case}.{number}.é",
        number,
        f"{name}.x",
    ]


def test_a_forged_inference_is_refused(rig: Rig) -> None:
    before = len(stored(rig))
    for name in forged(inference(rig)):
        reply = rig.feedback(id="f", inference=name, metric="resolved", value=1)
        assert (reply.status, reply.error["param"], reply.error["code"]) == (404, "inference", "inference_not_found")
    assert len(stored(rig)) == before


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"metric": "unheard_of", "value": 1}, 400, "metric"),
        ({"metric": None, "value": 1}, 400, "metric"),
        ({"metric": "resolved", "value": 2}, 400, "value"),
        ({"metric": "resolved", "value": 0.5}, 400, "value"),
        ({"metric": "stars", "value": 6}, 400, "value"),
        ({"metric": "value", "value": -0.01}, 400, "value"),
        ({"metric": "value", "value": 10**400}, 400, "value"),
        ({"metric": "resolved", "value": "yes"}, 400, "value"),
        ({"metric": "resolved"}, 400, "value"),
        ({"metric": "resolved", "value": 1, "id": ""}, 400, "id"),
        ({"metric": "resolved", "value": 1, "id": "x" * 513}, 400, "id"),
        ({"metric": "resolved", "value": 1, "id": 5}, 400, "id"),
        ({"metric": "resolved", "value": 1, "unit": "alice"}, 400, "unit"),
        ({"metric": "resolved", "value": 1, "inference": None}, 400, None),
        ({"metric": "resolved", "value": 1, "inference": None, "key": "order"}, 400, "use_case"),
        ({"metric": "resolved", "value": 1, "inference": None, "key": "o", "use_case": "nobody"}, 404, "use_case"),
        ({"metric": "resolved", "value": 1, "use_case": "other"}, 400, "use_case"),
        ({"metric": "resolved", "value": 1, "at": "yesterday"}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": "2024-01-01T00:00:00"}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": 99_999_999_999}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": 0}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": 1e308}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": -1e308}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": 10**400}, 400, "at"),
        ({"metric": "resolved", "value": 1, "at": True}, 400, "at"),
        ({"metric": "resolved", "value": 1, "variant": "assistant"}, 400, "variant"),
    ],
)
def test_wrong_feedback_is_refused_and_nothing_is_stored(
    rig: Rig, body: dict[str, Any], status: int, param: str | None
) -> None:
    before = len(stored(rig))
    reply = rig.feedback(**{"id": "f", "inference": inference(rig), **body})
    assert (reply.status, reply.error["param"]) == (status, param)
    assert len(stored(rig)) == before


@pytest.mark.parametrize("data", [b"", b"no", b'{"id": "f", "value": NaN}', b'{"value": 1e999}', b'"f"', b" " * 70_000])
def test_what_is_no_feedback(rig: Rig, data: bytes) -> None:
    before = len(stored(rig))
    reply = rig.ask("POST", "/v1/feedback", data)
    assert reply.status == (413 if len(data) > 65_536 else 400)
    assert len(stored(rig)) == before


def test_keys_need_the_role_and_the_use_case(rig: Rig) -> None:
    narrow = rig.add_key(Role.FEEDBACK, use_cases=("other",))
    until(lambda: rig.feedback(id="f", as_key=narrow).status != 401)
    name = inference(rig)
    assert rig.feedback(id="f", inference=name, metric="resolved", value=1, as_key=narrow).status == 403
    assert rig.feedback(id="f", inference=name, metric="resolved", value=1, as_key=rig.operator).status == 403


def test_every_acknowledged_feedback_survives_kill_9(provider: Provider, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "workspace")
    rig.route("support", release("support", provider.url("ok")))
    rig.start()
    assert rig.process is not None
    acknowledged: list[str] = []

    def send(worker: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=20)
        try:
            for number in range(10_000):
                body = {
                    "id": f"{worker}-{number}",
                    "unit": "u",
                    "use_case": "support",
                    "metric": "resolved",
                    "value": 1,
                }
                headers = {"authorization": f"Bearer {rig.key}"}
                connection.request("POST", "/v1/feedback", json.dumps(body), headers)
                response = connection.getresponse()
                response.read()
                if response.status == 202:
                    acknowledged.append(body["id"])  # type: ignore[arg-type]
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        sending = [pool.submit(send, number) for number in range(16)]
        until(lambda: len(acknowledged) > 400)
        os.kill(rig.process.pid, signal.SIGKILL)
        for one in sending:
            one.result(30)
    rig.process.wait(10)
    kept = {event.id for event in stored(rig)}
    assert len(acknowledged) > 400
    assert set(acknowledged) <= kept
    unit = access.keyed(rig.store.secret("unit"), "support", "u")
    assert {event.unit for event in stored(rig)} == {unit}
    rig.close()
