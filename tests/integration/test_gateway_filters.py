"""Filters of requests, answers and streams, with a real worker and a provider that answers with what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pilotage.records import GuardrailHit
from pilotage.spec.filter_rule import FilterRule
from tests.integration.gateway_rig import Provider, Reply, Rig, release

ASKED = "I am jane@example.org, card 4111 1111 1111 1111, and my other mail is jane@example.org."


def rule(
    name: str = "pii", kind: str = "personal_data", side: str = "both", action: str = "redact", **more: Any
) -> FilterRule:
    # Tests run on busy machines.
    return FilterRule(name=name, kind=kind, side=side, action=action, deadline=30_000_000, **more)


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))

    def serve(name: str, *rules: FilterRule, **more: Any) -> None:
        one = release(name, provider.url("say"), filters=rules, prompt="{{ question }}", **more)
        rig.route(name, one, retention="full")

    serve("both", rule())
    serve("out", rule(side="out"))
    serve("refuses", rule(side="in", action="block"))
    serve("stops", rule(side="out", action="block"))
    serve("flags", rule(action="flag"))
    serve("fails", FilterRule(name="pii", kind="personal_data", side="in", action="redact", deadline=0))
    serve(
        "passes", FilterRule(name="pii", kind="personal_data", side="in", action="redact", deadline=0, on_error="pass")
    )
    tools = {"tools": ("mail",), "arguments": (("mail.to", ("*@acme.org",)),)}
    serve("tools", rule("tools", "tools", "both", "block", **tools))
    serve("links", rule("links", "links", "out", hosts=("acme.org",)), rule("short", "length", "in", "block", most=200))
    rig.start()
    yield rig
    rig.close()
    assert "Traceback" not in rig.log.read_text()


def said(reply: Reply) -> str:
    """The text of an answer of any surface, whole or streamed."""
    assert reply.status == 200, reply.body
    if not reply.headers["content-type"].startswith("text/event-stream"):
        whole = reply.json
        if "choices" in whole:
            return str(whole["choices"][0]["message"]["content"])
        blocks = whole["content"] if "content" in whole else [p for item in whole["output"] for p in item["content"]]
        return "".join(block["text"] for block in blocks)
    text = ""
    for event in reply.events:
        if event == "[DONE]":
            continue
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
        if event.get("type") == "content_block_delta":
            text += event["delta"]["text"]
        if event.get("type") == "response.output_text.delta":
            text += event["delta"]
    return text


def ask(rig: Rig, surface: str, model: str, text: str, *, stream: bool) -> Reply:
    match surface:
        case "chat":
            return rig.chat(model, text, stream=stream)
        case "messages":
            body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": text}], "stream": stream}
            return rig.ask("POST", "/v1/messages", body)
        case _:
            return rig.ask("POST", "/v1/responses", {"model": model, "input": text, "stream": stream})


SURFACES = pytest.mark.parametrize("surface", ["chat", "messages", "responses"])
STREAM = pytest.mark.parametrize("stream", [False, True])


@SURFACES
@STREAM
def test_the_provider_gets_placeholders_and_the_caller_gets_their_own_data_back(
    rig: Rig, provider: Provider, surface: str, stream: bool
) -> None:
    reply = ask(rig, surface, "both", ASKED, stream=stream)
    assert said(reply) == ASKED
    sent = json.dumps(provider.seen("say")["body"])
    assert "jane" not in sent
    assert "4111" not in sent
    assert sent.count("[email_1]") >= 2
    finished = rig.record(reply)[1]
    assert set(finished.hits) == {
        GuardrailHit("pii", "in", "redact", "email", 2),
        GuardrailHit("pii", "in", "redact", "card", 1),
    }
    assert finished.finish_reason in ("stop", "completed")


@SURFACES
@STREAM
def test_what_the_model_says_is_redacted_whatever_events_it_comes_in(rig: Rig, surface: str, stream: bool) -> None:
    reply = ask(rig, surface, "out", ASKED, stream=stream)
    assert said(reply) == "I am [email], card [card], and my other mail is [email]."
    assert b"jane" not in reply.body
    assert b"1111" not in reply.body
    assert set(rig.record(reply)[1].hits) == {
        GuardrailHit("pii", "out", "redact", "email", 2),
        GuardrailHit("pii", "out", "redact", "card", 1),
    }


@SURFACES
@STREAM
def test_a_blocked_request_never_reaches_the_provider(rig: Rig, provider: Provider, surface: str, stream: bool) -> None:
    before = provider.seen("say")["requests"]
    reply = ask(rig, surface, "refuses", ASKED, stream=stream)
    assert reply.status == 400
    error = reply.json["error"]
    assert "'pii'" in error["message"]
    assert "jane" not in reply.body.decode()
    if surface == "messages":
        assert reply.json["type"] == "error"
        assert error["type"] == "invalid_request_error"
    else:
        assert error["code"] == "content_filter"
    assert provider.seen("say")["requests"] == before
    finished = rig.record(reply)[1]
    assert (finished.status, finished.error, finished.finish_reason) == (400, "", "content_filter")
    assert finished.hits == (GuardrailHit("pii", "in", "block", "email", 1),)
    assert ask(rig, surface, "refuses", "When does it arrive?", stream=stream).status == 200


@SURFACES
@STREAM
def test_a_blocked_answer_ends_as_its_protocol_says(rig: Rig, surface: str, stream: bool) -> None:
    reply = ask(rig, surface, "stops", ASKED, stream=stream)
    assert reply.status == 200
    assert b"jane" not in reply.body
    # How much of the beginning has gone out by then hangs on how the provider's words come in.
    assert "I am ".startswith(said(reply)) if stream else not said(reply)
    finished = rig.record(reply)[1]
    assert finished.finish_reason == "content_filter"
    assert finished.error == ""
    assert [(hit.side, hit.action) for hit in finished.hits] == [("out", "block")]
    last: Any = [event for event in reply.events if event != "[DONE]"][-1] if stream else reply.json
    match surface, stream:
        case "chat", _:
            assert last["choices"][0]["finish_reason"] == "content_filter"
        case "messages", True:
            assert [e["delta"]["stop_reason"] for e in reply.events if e["type"] == "message_delta"] == ["refusal"]
        case "messages", False:
            assert last["stop_reason"] == "refusal"
        case "responses", True:
            assert last["type"] == "response.incomplete"
            assert last["response"]["incomplete_details"] == {"reason": "content_filter"}
        case _:
            assert (last["status"], last["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})


@STREAM
def test_what_is_only_flagged_passes_and_is_counted(rig: Rig, stream: bool) -> None:
    reply = ask(rig, "chat", "flags", ASKED, stream=stream)
    assert said(reply) == ASKED
    hits = {(hit.side, hit.kind): hit.count for hit in rig.record(reply)[1].hits}
    assert hits == {("in", "email"): 2, ("in", "card"): 1, ("out", "email"): 2, ("out", "card"): 1}
    metrics = rig.ask("GET", "/metrics", key=None).body.decode()
    assert 'pilotage_filter_hits_total{use_case="flags",filter="pii",side="in",action="flag",kind="card"} ' in metrics


@STREAM
def test_arguments_of_tools_are_looked_at_however_they_are_written(rig: Rig, stream: bool) -> None:
    inner = json.dumps({"to": "jane@example.org"}).replace("@", "\\u0040")
    arguments = json.dumps({"mail": inner, "note": ["4111111111111111"], "n": 7})
    reply = ask(rig, "chat", "out", f"CALL send {arguments}", stream=stream)
    assert b"jane" not in reply.body
    assert b"4111" not in reply.body
    calls = [
        call
        for event in (reply.events if stream else [reply.json])
        if event != "[DONE]"
        for choice in event["choices"]
        for call in (choice.get("delta") or choice.get("message") or {}).get("tool_calls", ())
    ]
    assert len(calls) == 1
    assert calls[0]["function"]["name"] == "send"
    given = json.loads(calls[0]["function"]["arguments"])
    assert json.loads(given["mail"]) == {"to": "[email]"}
    assert (given["note"], given["n"]) == (["[card]"], 7)


def test_a_filter_that_is_too_slow_does_what_the_file_says(rig: Rig) -> None:
    reply = rig.chat("fails", ASKED)
    assert (reply.status, reply.error["code"]) == (400, "content_filter")
    assert "in time" in reply.error["message"]
    assert rig.record(reply)[1].hits == (GuardrailHit("pii", "in", "block", "late", 1),)
    reply = rig.chat("passes", ASKED)
    assert said(reply) == ASKED
    assert rig.record(reply)[1].hits == (GuardrailHit("pii", "in", "pass", "late", 1),)


def test_what_a_caller_wrote_like_a_placeholder_stays_theirs(rig: Rig) -> None:
    asked = "[email_1] is what I wrote, jane@example.org is mine"
    assert said(rig.chat("both", asked)) == asked


@STREAM
def test_only_listed_tools_are_called_with_listed_arguments(rig: Rig, stream: bool) -> None:
    for call, ended in (
        ('CALL mail {"to": "a@acme.org"}', "tool_calls"),
        ('CALL mail {"to": "a@evil.net"}', "content_filter"),
        ("CALL erase {}", "content_filter"),
    ):
        reply = ask(rig, "chat", "tools", call, stream=stream)
        assert rig.record(reply)[1].finish_reason == ended
        assert (b"tool_calls" in reply.body) == (ended == "tool_calls")
    offered = [{"type": "function", "function": {"name": "erase"}}]
    assert rig.chat("tools", "Hello", tools=offered, stream=stream).error["code"] == "content_filter"


@SURFACES
@STREAM
def test_links_lead_to_listed_hosts_only_and_filters_stand_in_a_row(rig: Rig, surface: str, stream: bool) -> None:
    asked = "![x](https://evil.net/?q=secret) and [y](https://acme.org/a), that is all"
    reply = ask(rig, surface, "links", asked, stream=stream)
    assert said(reply) == "![x]([link]) and [y](https://acme.org/a), that is all"
    assert ask(rig, surface, "links", asked * 4, stream=stream).status == 400
