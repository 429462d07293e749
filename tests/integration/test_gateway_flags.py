"""Use cases as flags, over plain HTTP as the OpenFeature Remote Evaluation Protocol has it: a real worker process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pilotage import access
from pilotage.access import Role
from pilotage.records import Feedback, Finished, Started
from pilotage.spec.release import Release
from pilotage.spec.route import Allocation, MetricDoor
from tests.integration.gateway_rig import METRICS, Provider, Reply, Rig, release, until

FLAGS = "/ofrep/v1/evaluate/flags"
SCALAR = {"type": ["boolean", "string", "number"]}
SUCCESS = {
    "type": "object",
    "required": ["key", "reason", "variant"],
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string"},
        "reason": {"enum": ["STATIC", "SPLIT", "DEFAULT"]},
        "variant": {"type": "string"},
        "value": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": SCALAR},
    },
}
BULK = {
    "type": "object",
    "required": ["flags"],
    "additionalProperties": False,
    "properties": {"flags": {"type": "array", "items": SUCCESS}},
}
FAILURE: dict[str, Any] = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string"},
        "errorCode": {"enum": ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL", "FLAG_NOT_FOUND"]},
        "errorDetails": {"type": "string", "minLength": 1},
    },
}


@pytest.fixture(scope="module")
def releases(provider: Provider) -> dict[str, Release]:
    return {
        name: release("support", provider.url("ok"), variant=name, parameters={"seed": number})
        for number, name in enumerate(("before", "after"))
    }


@pytest.fixture(scope="module")
def rig(provider: Provider, releases: dict[str, Release], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("flags"))
    rig.split("support", releases["before"], releases["after"], 500_000)
    rig.route("steady", release("steady", provider.url("ok")))
    rig.route("empty", None)
    first = release("first", provider.url("ok"))
    split = Allocation(rollout="r9", baseline="", candidate=first.reference, step=0, share=500_000, generation=1)
    rig.route("first", None, first, allocation=split)
    rig.start()
    yield rig
    rig.close()
    assert "Traceback" not in rig.log.read_text()


def ask(rig: Rig, flag: str, unit: str = "alice", **more: Any) -> Reply:
    key, headers = more.pop("key", ""), more.pop("headers", None)
    body = {"context": {"targetingKey": unit, **more}}
    return rig.ask("POST", f"{FLAGS}/{flag}", body, key=key, headers=headers)


def evaluated(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    jsonschema.validate(reply.json, SUCCESS)
    found: dict[str, Any] = reply.json
    return found


def bulk(rig: Rig, unit: str, *, tag: str = "", key: str = "") -> Reply:
    headers = {"if-none-match": tag} if tag else {}
    return rig.ask("POST", FLAGS, {"context": {"targetingKey": unit}}, key=key, headers=headers)


def recorded(rig: Rig) -> int:
    return len([event for event in rig.events() if isinstance(event, Started | Finished)])


def test_the_flag_and_the_gateway_agree_on_every_unit(rig: Rig) -> None:
    variants = set()
    for number in range(40):
        unit = f"unit-{number}"
        flag = evaluated(ask(rig, "support", unit))
        chat = rig.chat("support", headers={"x-pilotage-unit": unit})
        assert flag["value"] == flag["variant"] == chat.headers["x-pilotage-variant"]
        assert flag["metadata"]["release"] == chat.headers["x-pilotage-release"]
        by_flag, _ = rig.record_of(flag["metadata"]["inference"].split(".")[1])
        by_chat, _ = rig.record(chat)
        for name in ("unit", "arm", "release", "rollout", "step", "share", "generation", "source", "caller"):
            assert getattr(by_flag, name) == getattr(by_chat, name), name
        variants.add(flag["value"])
    assert variants == {"before", "after"}


def test_an_evaluation_in_a_rollout_is_an_exposure(rig: Rig) -> None:
    flag = evaluated(ask(rig, "support", "bob", plan="premium"))
    assert (flag["key"], flag["reason"]) == ("support", "SPLIT")
    assert set(flag["metadata"]) == {"release", "model", "rollout", "inference"}
    assert (flag["metadata"]["rollout"], flag["metadata"]["model"]) == ("r1", "real-model")
    started, finished = rig.record_of(flag["metadata"]["inference"].split(".")[1])
    assert (started.surface, started.source, started.rollout, started.step) == ("flag", "live", "r1", 1)
    assert started.arm == {"before": "baseline", "after": "candidate"}[flag["value"]]
    assert started.unit == access.keyed(rig.store.secret("unit"), "support", "bob")
    assert (finished.attempts, finished.error, finished.status, finished.served) == (0, "", 200, started.release)
    assert (finished.cost, finished.counted, finished.fallback) == (0, False, False)
    assert started.at == finished.at < started.deadline
    # Nothing of the context is on record as it came.
    for event in rig.events():
        assert "bob" not in str(event)
        assert "premium" not in str(event)


def test_each_evaluation_has_an_inference_of_its_own(rig: Rig) -> None:
    one, other = (evaluated(ask(rig, "support", "carol")) for _ in range(2))
    assert one["variant"] == other["variant"]
    assert one["metadata"]["inference"] != other["metadata"]["inference"]
    assert ask(rig, "support", "carol").headers["cache-control"] == "no-store"


def test_feedback_joins_by_inference_unit_and_key(rig: Rig) -> None:
    flag = evaluated(ask(rig, "support", "dave", **{"x-pilotage-key": "order-1"}))
    name = flag["metadata"]["inference"]
    started, _ = rig.record_of(name.split(".")[1])
    assert rig.feedback(id="g-1", inference=name, metric="resolved", value=True).status == 202
    assert rig.feedback(id="g-2", use_case="support", unit="dave", metric="resolved", value=True).status == 202
    assert rig.feedback(id="g-3", use_case="support", key="order-1", metric="resolved", value=True).status == 202
    told = {event.id: event for event in rig.events() if isinstance(event, Feedback)}
    assert told["g-1"].inference == started.id
    assert told["g-2"].unit == started.unit
    assert told["g-3"].key == started.key != ""
    by_header = evaluated(ask(rig, "support", "dave", headers={"x-pilotage-key": " order-1 "}))
    assert rig.record_of(by_header["metadata"]["inference"].split(".")[1])[0].key == started.key


def test_outside_a_rollout_the_live_release_is_static(rig: Rig) -> None:
    flag = evaluated(ask(rig, "steady"))
    assert (flag["reason"], flag["value"]) == ("STATIC", "assistant")
    assert "rollout" not in flag["metadata"]
    started, _ = rig.record_of(flag["metadata"]["inference"].split(".")[1])
    assert (started.arm, started.rollout) == ("live", "")


def test_where_nothing_serves_the_callers_default_holds(rig: Rig) -> None:
    before = recorded(rig)
    assert evaluated(ask(rig, "empty")) == {"key": "empty", "reason": "DEFAULT", "variant": ""}
    assert recorded(rig) == before
    # A rollout without a baseline: the candidate's share of units gets it, everybody else what they have today.
    reasons = [evaluated(ask(rig, "first", f"unit-{number}"))["reason"] for number in range(30)]
    assert set(reasons) == {"SPLIT", "DEFAULT"}
    assert recorded(rig) == before + 2 * reasons.count("SPLIT")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        (b"\xff", "PARSE_ERROR"),
        (b"[1]", "PARSE_ERROR"),
        (b"[" * 100 + b"]" * 100, "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "\\ud800"}}', "PARSE_ERROR"),
        ({}, "TARGETING_KEY_MISSING"),
        ({"context": None}, "TARGETING_KEY_MISSING"),
        ({"context": {}}, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": ""}}, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": "  "}}, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": None}}, "TARGETING_KEY_MISSING"),
        ({"context": []}, "INVALID_CONTEXT"),
        ({"context": "alice"}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": 7}}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": "x" * 513}}, "INVALID_CONTEXT"),
    ],
)
def test_faulty_requests(rig: Rig, body: object, code: str) -> None:
    before = recorded(rig)
    for path, flag in ((f"{FLAGS}/support", {"key": "support"}), (FLAGS, {})):
        reply = rig.ask("POST", path, body)
        assert reply.status == 400, reply.body
        jsonschema.validate(reply.json, FAILURE)
        assert reply.json == {**flag, "errorCode": code, "errorDetails": reply.json["errorDetails"]}
    assert recorded(rig) == before


@pytest.mark.parametrize("attribute", [7, None, ["order"]])
def test_a_business_key_is_text(rig: Rig, attribute: Any) -> None:
    before = recorded(rig)
    reply = ask(rig, "support", **{"x-pilotage-key": attribute})
    assert (reply.status, reply.json["errorCode"]) == (400, "INVALID_CONTEXT")
    assert recorded(rig) == before


@pytest.mark.parametrize("flag", ["nobody", "", "support/before", "%2e%2e", "Support"])
def test_an_unknown_flag(rig: Rig, flag: str) -> None:
    reply = ask(rig, flag)
    assert reply.status == 404
    jsonschema.validate(reply.json, FAILURE)
    assert (reply.json["errorCode"], "key" in reply.json) == ("FLAG_NOT_FOUND", True)


def test_who_may_evaluate(rig: Rig) -> None:
    other = rig.add_key(Role.INFER, use_cases=("steady",))
    reader = rig.add_key(Role.FEEDBACK)
    until(lambda: ask(rig, "steady", key=other).status == 200)
    until(lambda: ask(rig, "steady", key=reader).status == 403)
    before = recorded(rig)
    for path in (f"{FLAGS}/support", FLAGS):
        body = {"context": {"targetingKey": "alice"}}
        assert rig.ask("POST", path, body, key=None).status == 401
        assert rig.ask("POST", path, body, key="plt_0_no").status == 401
        refused = rig.ask("POST", path, body, key=reader)
        assert (refused.status, refused.json["errorCode"]) == (403, "GENERAL")
        jsonschema.validate(refused.json, FAILURE)
    assert ask(rig, "support", key=other).status == 403
    assert [flag["key"] for flag in bulk(rig, "alice", key=other).json["flags"]] == ["steady"]
    assert recorded(rig) == before
    # The protocol's other way to present a key.
    assert ask(rig, "steady", key=None, headers={"x-api-key": other}).status == 200
    assert ask(rig, "steady", key=None, headers={"x-api-key": "plt_0_no"}).status == 401


def test_methods_and_bodies_that_are_too_large(rig: Rig) -> None:
    for path in (FLAGS, f"{FLAGS}/support"):
        reply = rig.ask("GET", path)
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
    reply = ask(rig, "support", note="x" * (65 << 10))
    assert (reply.status, reply.json["errorCode"]) == (413, "GENERAL")


def test_all_flags_at_once_expose_nobody(rig: Rig) -> None:
    before = recorded(rig)
    reply = bulk(rig, "alice")
    assert reply.status == 200
    jsonschema.validate(reply.json, BULK)
    flags = {flag["key"]: flag for flag in reply.json["flags"]}
    assert list(flags) == sorted(flags)
    assert {"empty", "first", "steady", "support"} <= set(flags)
    assert all("inference" not in flag.get("metadata", {}) for flag in flags.values())
    assert recorded(rig) == before
    single = evaluated(ask(rig, "support", "alice"))
    del single["metadata"]["inference"]
    assert flags["support"] == single


def test_an_answer_that_has_not_changed_is_not_sent_again(rig: Rig) -> None:
    tag = bulk(rig, "erin").headers["etag"]
    assert tag.startswith('"')
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = bulk(rig, "erin", tag=given)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    assert bulk(rig, "erin", tag='"other"').status == 200
    limited = rig.add_key(Role.INFER, use_cases=("steady",))
    until(lambda: bulk(rig, "erin", key=limited).status == 200)
    assert bulk(rig, "erin", tag=tag, key=limited).status == 200


def test_a_move_of_the_split_changes_the_tag_of_those_who_moved(
    provider: Provider, releases: dict[str, Release], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rig = Rig(tmp_path_factory.mktemp("moves"))
    before, after = releases["before"], releases["after"]
    units = [f"unit-{number}" for number in range(40)]
    try:
        rig.split("support", before, after, 200_000)
        rig.start()
        seen = {unit: bulk(rig, unit) for unit in units}
        variant = {unit: reply.json["flags"][0]["value"] for unit, reply in seen.items()}
        rig.split("support", before, after, 700_000, generation=2)

        def generation() -> int:
            flag = evaluated(ask(rig, "support", units[0]))
            return rig.record_of(flag["metadata"]["inference"].split(".")[1])[0].generation

        until(lambda: generation() == 2)
        now = {unit: bulk(rig, unit, tag=seen[unit].headers["etag"]) for unit in units}
        assert {unit for unit, reply in now.items() if reply.status == 200}
        for unit, reply in now.items():
            if reply.status == 304:
                assert reply.headers["etag"] == seen[unit].headers["etag"]
            else:
                assert (variant[unit], reply.json["flags"][0]["value"]) == ("before", "after")
        # Another process gives the same tags.
        rig.stop()
        rig.start()
        assert all(bulk(rig, unit).headers["etag"] == reply.headers["etag"] for unit, reply in now.items())
    finally:
        rig.close()


def test_the_figures_count_flags_under_one_path(rig: Rig) -> None:
    ask(rig, "support")
    ask(rig, "nobody")
    text = rig.ask("GET", "/metrics").body.decode()
    assert f'path="{FLAGS}",status="200"' in text
    assert f'path="{FLAGS}",status="404"' in text
    assert "nobody" not in text


def test_an_error_is_told_by_feedback_where_the_route_takes_it(rig: Rig, releases: dict[str, Release]) -> None:
    metrics = {**METRICS, "errors": MetricDoor(kind="binary", low=0.0, high=1.0)}
    rig.route("told", releases["before"], metrics=metrics)
    until(lambda: ask(rig, "told").status == 200)
    name = evaluated(ask(rig, "told"))["metadata"]["inference"]
    assert rig.feedback(id="e-1", inference=name, metric="errors", value=1).status == 202
    assert rig.feedback(id="e-2", inference=name, metric="errors", value=3).status == 400


@pytest.fixture
def openfeature(rig: Rig) -> Iterator[Callable[..., Any]]:
    """The real SDK with its own provider, set up as an application does it: a key's client."""
    reason = "the OpenFeature SDK and its OFREP provider are not installed"
    api = pytest.importorskip("openfeature.api", reason=reason)
    ofrep = pytest.importorskip("openfeature.contrib.provider.ofrep", reason=reason)
    with ExitStack() as stack:

        def client(key: str = "") -> Any:
            headers = {"authorization": f"Bearer {key or rig.key}"}
            provider = ofrep.OFREPProvider(f"http://127.0.0.1:{rig.port}", headers_factory=lambda: headers)
            stack.callback(provider.session.close)
            api.set_provider(provider)
            return api.get_client()

        yield client


def who(unit: str = "", **attributes: str) -> Any:
    context = pytest.importorskip("openfeature.evaluation_context").EvaluationContext
    return context(targeting_key=unit or None, attributes=attributes)


def test_the_openfeature_sdk_evaluates_use_cases(rig: Rig, openfeature: Callable[..., Any]) -> None:
    client = openfeature()
    for number in range(20):
        unit = f"unit-{number}"
        context = who(unit, **{"x-pilotage-key": f"order-{number}"})
        details = client.get_string_details("support", "fallback", context)
        chat = rig.chat("support", headers={"x-pilotage-unit": unit})
        assert details.value == details.variant == chat.headers["x-pilotage-variant"]
        assert (details.reason, details.error_code) == ("SPLIT", None)
        started, _ = rig.record_of(details.flag_metadata["inference"].split(".")[1])
        assert started.key == access.keyed(rig.store.secret("unit"), "support", "key", f"order-{number}")
    assert client.get_string_details("steady", "fallback", who("alice")).reason == "STATIC"
    nothing = client.get_string_details("empty", "fallback", who("alice"))
    assert (nothing.value, nothing.reason, nothing.error_code) == ("fallback", "DEFAULT", None)


def test_the_openfeature_sdk_understands_the_refusals(openfeature: Callable[..., Any]) -> None:
    client = openfeature()
    alice = who("alice")
    for flag, context, code in (
        ("nobody", alice, "FLAG_NOT_FOUND"),
        ("support", who(), "TARGETING_KEY_MISSING"),
        ("support", who("x" * 513), "INVALID_CONTEXT"),
    ):
        details = client.get_string_details(flag, "fallback", context)
        assert (details.value, details.reason, details.error_code) == ("fallback", "ERROR", code)
    assert client.get_boolean_details("support", False, alice).error_code == "TYPE_MISMATCH"
    unknown = openfeature("plt_0_no").get_string_details("support", "fallback", alice)
    assert (unknown.value, unknown.error_code) == ("fallback", "GENERAL")


def test_the_documents_example_runs(rig: Rig, openfeature: Callable[..., Any]) -> None:
    openfeature()
    text = (Path(__file__).parents[2] / "docs/flags.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    code = code.replace("http://127.0.0.1:8700", f"http://127.0.0.1:{rig.port}").replace("plt_...", rig.key)
    said: dict[str, Any] = {"answer_with": lambda variant: f"answered by {variant}"}
    exec(code, said)
    chat = rig.chat("support", headers={"x-pilotage-unit": "customer-1042"})
    assert said["answer"] == f"answered by {chat.headers['x-pilotage-variant']}"
    assert rig.feedback(id="doc", inference=said["report_later"], metric="resolved", value=1).status == 202


def test_the_document_names_every_refusal() -> None:
    text = (Path(__file__).parents[2] / "docs/flags.md").read_text()
    assert set(re.findall(r"^\| [0-9, ]+ \| `([A-Z_]+)`", text, re.MULTILINE)) == set(
        FAILURE["properties"]["errorCode"]["enum"]
    )
