"""Answers against JSON schemas, and the one try to have them mended, with a real worker and a provider that answers twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pilotage.records import GuardrailHit
from pilotage.spec.filter_rule import FilterRule
from tests.integration.gateway_rig import Provider, Reply, Rig, release
from tests.integration.test_gateway_filters import STREAM, SURFACES, ask, said

SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
GOOD = '{"days": 3}'
BAD = '{"days": "jane@example.org"}'


def rule(action: str = "block", *, schema: str = json.dumps(SCHEMA), **more: Any) -> FilterRule:
    return FilterRule(name="shape", kind="schema", side="out", action=action, schema=schema, **more)


def hit(action: str, kind: str = "schema") -> GuardrailHit:
    return GuardrailHit("shape", "out", action, kind, 1)


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))

    def serve(name: str, *rules: FilterRule, **more: Any) -> None:
        one = release(name, provider.url("twice"), filters=rules, prompt="Answer about {{ use_case }}.", **more)
        rig.route(name, one, retention="full")

    serve("mends", rule(), input_price=1_000_000, output_price=2_000_000)
    serve("strict", rule(repair=False))
    serve("flags", rule("flag"))
    serve("own", rule(schema=""))
    serve("lax", rule(schema="", on_error="pass"))
    serve("fixed", rule(schema=""), parameters={"response_format": {"type": "json_object"}})
    pii = FilterRule(name="pii", kind="personal_data", side="both", action="redact", deadline=30_000_000)
    serve("redacts", pii, rule(schema='{"properties": {"days": {"const": "jane@example.org"}}}'))
    rig.start()
    yield rig
    rig.close()
    assert "Traceback" not in rig.log.read_text()


@SURFACES
@STREAM
def test_what_conforms_passes_and_costs_one_call(rig: Rig, surface: str, stream: bool) -> None:
    reply = ask(rig, surface, "mends", GOOD, stream=stream)
    assert said(reply) == GOOD
    finished = rig.record(reply)[1]
    assert (finished.hits, finished.attempts, finished.input_tokens, finished.output_tokens) == ((), 1, 11, 7)


@SURFACES
@STREAM
def test_what_does_not_is_asked_for_once_more_and_both_are_paid(
    rig: Rig, provider: Provider, surface: str, stream: bool
) -> None:
    reply = ask(rig, surface, "mends", f"{BAD} | {GOOD}", stream=stream)
    assert said(reply) == GOOD
    assert b"jane" not in reply.body
    body = provider.seen("twice")["body"]
    told = (body["input"] if surface == "responses" else body["messages"])[-1]
    assert told["role"] == "user"
    assert 'at /days: this value is not of type "integer"' in told["content"]
    assert "jane" not in told["content"]
    asked = body["instructions"] if surface == "responses" else body["messages"][0]["content"]
    assert asked == "Answer about mends."
    finished = rig.record(reply)[1]
    assert finished.hits == (hit("repair"),)
    assert (finished.attempts, finished.error, finished.status) == (2, "", 200)
    assert (finished.input_tokens, finished.output_tokens, finished.counted) == (22, 14, True)
    assert finished.cost == 22 * 1 + 14 * 2
    assert finished.finish_reason in ("stop", "completed")


@SURFACES
@STREAM
@pytest.mark.parametrize("second", [BAD, "BREAK"])
def test_what_does_not_even_then_is_blocked(rig: Rig, surface: str, stream: bool, second: str) -> None:
    reply = ask(rig, surface, "mends", f"{BAD} | {second}", stream=stream)
    assert reply.status == 200
    assert b"jane" not in reply.body
    finished = rig.record(reply)[1]
    assert finished.finish_reason == "content_filter"
    assert finished.hits == (hit("repair"), hit("block"))
    assert finished.attempts == 2
    # The failed call was not answered, so nothing of it is paid.
    assert finished.cost == (25 if second == "BREAK" else 50)
    assert finished.input_tokens == (11 if second == "BREAK" else 22)


@STREAM
def test_without_a_repair_the_file_decides_at_once(rig: Rig, stream: bool) -> None:
    reply = ask(rig, "chat", "strict", BAD, stream=stream)
    assert b"jane" not in reply.body
    assert rig.record(reply)[1].hits == (hit("block"),)
    reply = ask(rig, "chat", "flags", f"no JSON | {BAD}", stream=stream)
    assert said(reply) == BAD
    assert rig.record(reply)[1].hits == (hit("repair"), hit("flag"))
    reply = ask(rig, "chat", "flags", "no JSON | BREAK", stream=stream)
    assert said(reply) == "no JSON"


@STREAM
def test_what_the_request_or_the_variant_asks_for_counts_where_the_file_names_none(rig: Rig, stream: bool) -> None:
    wants: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "days", "schema": SCHEMA}}
    assert said(rig.chat("own", f"{BAD} | {GOOD}", response_format=wants, stream=stream)) == GOOD
    assert said(rig.chat("own", BAD, stream=stream)) == BAD
    assert said(rig.chat("fixed", f"words | {BAD}", stream=stream)) == BAD
    shape = {"format": {"type": "json_schema", "name": "days", "schema": SCHEMA}}
    body = {"model": "own", "input": f"{BAD} | {GOOD}", "text": shape, "stream": stream}
    assert said(rig.ask("POST", "/v1/responses", body)) == GOOD
    output = {"format": {"type": "json_schema", "schema": SCHEMA}}
    asked = [{"role": "user", "content": f"{BAD} | {GOOD}"}]
    body = {"model": "own", "max_tokens": 99, "messages": asked, "output_config": output, "stream": stream}
    assert said(rig.ask("POST", "/v1/messages", body)) == GOOD


def test_a_schema_of_the_requests_own_that_cannot_be_used_is_an_error_of_the_filter(rig: Rig) -> None:
    parts: dict[str, Any] = {"a0": {"type": "integer"}}
    for step in range(1, 60):
        parts[f"a{step}"] = {"allOf": [{"$ref": f"#/$defs/a{step - 1}"}] * 2}
    for schema in ({"$ref": "https://example.com/x.json"}, {"type": "nope"}):
        wants = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        reply = rig.chat("own", GOOD, response_format=wants)
        assert (reply.status, reply.error["code"]) == (400, "content_filter")
        assert "schema" in reply.error["message"]
        reply = rig.chat("lax", GOOD, response_format=wants)
        assert said(reply) == GOOD
        assert rig.record(reply)[1].hits == (hit("pass", "unusable_schema"),)
    wants = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$defs": parts, "$ref": "#/$defs/a59"}}}
    reply = rig.chat("own", GOOD, response_format=wants)
    assert rig.record(reply)[1].hits == (hit("block", "late"),)


@pytest.mark.parametrize("surface", ["chat", "messages"])
@STREAM
def test_arguments_of_tools_conform_to_what_the_tool_takes(
    rig: Rig, provider: Provider, surface: str, stream: bool
) -> None:
    function = {"name": "ship", "parameters": SCHEMA}
    offered: dict[str, Any] = {"type": "function", "function": function}
    if surface == "messages":
        offered = {"name": "ship", "input_schema": SCHEMA}

    def call(text: str) -> Reply:
        asked = [{"role": "user", "content": text}]
        body = {"model": "own", "max_tokens": 99, "messages": asked, "tools": [offered], "stream": stream}
        return rig.ask("POST", "/v1/messages" if surface == "messages" else "/v1/chat/completions", body)

    reply = call(f"CALL ship {BAD} | CALL ship {GOOD}")
    assert b"jane" not in reply.body
    finished = rig.record(reply)[1]
    assert (finished.finish_reason, finished.hits) == ("tool_calls", (hit("repair"),))
    told = provider.seen("twice")["body"]["messages"]
    assert told[-2]["tool_calls"][0]["function"]["arguments"] == BAD
    assert (told[-1]["role"], told[-1]["tool_call_id"]) == ("tool", "call_1")
    assert "at /days" in told[-1]["content"]
    assert rig.record(call(f"CALL ship {GOOD}"))[1].hits == ()
    reply = call(f"CALL ship {BAD} | CALL ship {BAD}")
    assert b"jane" not in reply.body
    assert rig.record(reply)[1].finish_reason == "content_filter"


@STREAM
def test_what_is_judged_is_what_the_caller_gets(rig: Rig, provider: Provider, stream: bool) -> None:
    # The provider sees and says a placeholder; the caller's own address is back in it before it is judged.
    reply = ask(rig, "chat", "redacts", '{"days": "jane@example.org"}', stream=stream)
    assert said(reply) == '{"days": "jane@example.org"}'
    assert "jane" not in json.dumps(provider.seen("twice")["body"])
    reply = ask(rig, "chat", "redacts", 'jane@example.org | {"days": "jane@example.org"}', stream=stream)
    assert said(reply) == '{"days": "jane@example.org"}'
    assert "jane" not in json.dumps(provider.seen("twice")["body"])
