"""Every way a provider can fail: the caller gets a clear error or the fallback's answer, and the record tells which."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.integration.gateway_rig import Provider, Rig, release, search, until

# behaviour: (error of a unary request, its status, error of a streamed one); None: not a fault in that form.
FAULTS: dict[str, tuple[str | None, int, str | None]] = {
    "status-500": ("status:500", 502, "status:500"),
    "status-429": ("status:429", 429, "status:429"),
    "status-503": ("status:503", 503, "status:503"),
    "status-400": ("status:400", 400, "status:400"),
    "status-401": ("status:401", 502, "status:401"),
    "status-404": ("status:404", 502, "status:404"),
    "status-302": ("status:302", 502, "status:302"),
    "hang": ("timeout", 504, "timeout"),
    "garbage": ("protocol", 502, "protocol"),
    "not-text": ("protocol", 502, "protocol"),
    "bottomless": ("protocol", 502, "protocol"),
    "not-http": ("protocol", 502, "protocol"),
    "wrong-type": ("protocol", 502, "protocol"),
    "huge": ("protocol", 502, "protocol"),
    "half-body": ("broken", 502, "protocol"),
    "closes": ("broken", 502, "broken"),
    "refuses": ("connect", 502, "connect"),
    "no-prompt": ("prompt", 502, "prompt"),
    "odd-prompt": ("internal", 500, "internal"),
    "empty-stream": (None, 0, "protocol"),
    "error-first": (None, 0, "broken"),
}
# A name that nobody knows, and text that cannot be encoded: faults of the release itself, before anybody is asked.
PROMPTS = {"no-prompt": "{{ nobody }}", "odd-prompt": '{{ "\\ud800" }}'}
# Faults after the first byte: nobody can take over, so the stream ends with an error.
BREAKS = {
    "half-event": "broken",
    "no-done": "broken",
    "bad-event": "protocol",
    "error-later": "broken",
    "stall": "timeout",
    "bad-utf8": "protocol",
    "huge-event": "protocol",
    "bad-chunking": "protocol",
    "resets": "broken",
    "drips": "timeout",
}


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("faults"))
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        closed = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
    knowledge = rig.knowledge(parcels="# Parcels\n\nA parcel arrives in three days.")
    for name in [*FAULTS, *BREAKS, "finished-no-done"]:
        url = closed if name == "refuses" else provider.url("ok" if name in PROMPTS else name)
        patience: dict[str, Any] = {"first_byte": 400_000} if name in ("hang", "stall") else {}
        if name == "drips":
            patience["total"] = 700_000
        prompt = PROMPTS.get(name, "")
        rig.route(name, release(name, url, prompt=prompt, **patience))
        covered = f"{name}-covered"
        fallback = search(covered, knowledge)
        rig.route(covered, release(covered, url, prompt=prompt, fallbacks=(fallback.reference,), **patience), fallback)
        both = f"{name}-both"
        second = release(both, closed, "second")
        rig.route(both, release(both, url, prompt=prompt, fallbacks=(second.reference,), **patience), second)
    rig.start()
    yield rig
    assert rig.process is not None
    assert rig.process.poll() is None
    assert rig.chat("status-500-covered").status == 200
    rig.close()
    assert "Traceback" not in rig.log.read_text()
    assert "When does my parcel" not in rig.log.read_text()


CASES = [
    (name, stream, streamed if stream else unary)
    for name, (unary, _, streamed) in FAULTS.items()
    for stream in (False, True)
    if (streamed if stream else unary)
]


@pytest.mark.parametrize(("name", "stream", "error"), CASES)
def test_without_a_fallback_the_caller_is_told(rig: Rig, name: str, stream: bool, error: str) -> None:
    reply = rig.chat(name, stream=stream)
    assert reply.status == (FAULTS[name][1] or 502)
    assert reply.error["type"] == "upstream_error"
    assert reply.error["code"] == "upstream_" + error.replace(":", "_")
    assert "127.0.0.1" not in reply.error["message"]
    _, finished = rig.record(reply)
    assert (finished.error, finished.served, finished.fallback, finished.status) == (error, "", False, reply.status)


@pytest.mark.parametrize(("name", "stream", "error"), CASES)
def test_the_fallback_answers_and_the_fault_stays_the_assigned_releases(
    rig: Rig, name: str, stream: bool, error: str
) -> None:
    reply = rig.chat(f"{name}-covered", stream=stream)
    assert reply.status == 200
    assert b"three days" in reply.body or "three days" in "".join(
        event["choices"][0]["delta"].get("content", "") for event in reply.events[:-1]
    )
    started, finished = rig.record(reply)
    assert reply.headers["x-pilotage-release"] == started.release
    assert "/assistant@" in started.release
    assert "/faq@" in finished.served
    assert (finished.error, finished.fallback, finished.attempts, finished.status) == (error, True, 2, 200)
    assert finished.counted


def test_when_the_fallback_fails_too_the_first_fault_is_told(rig: Rig) -> None:
    reply = rig.chat("status-429-both")
    assert (reply.status, reply.error["code"]) == (429, "upstream_status_429")
    _, finished = rig.record(reply)
    assert (finished.error, finished.attempts, finished.served, finished.fallback) == ("status:429", 2, "", False)


def test_the_providers_words_are_passed_on_where_the_caller_can_act_on_them(rig: Rig) -> None:
    told = rig.chat("status-400").error
    assert (told["message"], told["param"]) == ("the provider answered HTTP 400: the provider says 400", "temperature")
    assert "says" not in rig.chat("status-401").error["message"]


@pytest.mark.parametrize(("name", "error"), BREAKS.items())
@pytest.mark.parametrize("covered", [False, True])
def test_a_stream_that_breaks_ends_with_an_error_event(rig: Rig, name: str, error: str, covered: bool) -> None:
    reply = rig.chat(f"{name}-covered" if covered else name, stream=True)
    assert reply.status == 200
    *before, last = reply.events
    assert last == {"error": {**last["error"], "type": "upstream_error", "code": f"upstream_{error}"}}
    # What came whole before it was delivered.
    assert before
    assert all(event["object"] == "chat.completion.chunk" for event in before)
    started, finished = rig.record(reply)
    assert (finished.error, finished.served, finished.fallback) == (error, started.release, False)
    assert not finished.cancelled


def test_the_openai_client_raises_when_a_stream_breaks(rig: Rig) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=rig.key, max_retries=0) as api:
        stream = api.chat.completions.create(
            model="half-event", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="broke off"):
            list(stream)


def test_a_stream_that_gave_its_reason_to_finish_is_whole_without_done(rig: Rig) -> None:
    reply = rig.chat("finished-no-done", stream=True)
    assert reply.events[-1] == "[DONE]"
    _, finished = rig.record(reply)
    assert (finished.error, finished.finish_reason) == ("", "stop")


def test_what_comes_behind_an_answer_is_given_to_nobody(rig: Rig, provider: Provider) -> None:
    rig.route("long-body", release("long-body", provider.url("long-body")))
    until(lambda: rig.chat("long-body").status != 404)
    for _ in range(3):
        reply = rig.chat("long-body")
        assert (reply.status, reply.json["object"]) == (200, "chat.completion")


@pytest.mark.parametrize(
    ("model", "status"), [("status-429", 429), ("status-500", 502), ("closes", 502), ("garbage", 502)]
)
def test_a_storm_of_faults_is_answered_and_leaves_nothing_behind(rig: Rig, model: str, status: int) -> None:
    def storm(requests: int) -> set[int]:
        with ThreadPoolExecutor(8) as pool:
            return {reply.status for reply in pool.map(lambda _: rig.chat(model), range(requests))}

    def memory() -> int:
        assert rig.process is not None
        return int(Path(f"/proc/{rig.process.pid}/statm").read_text().split()[1]) * 4096

    assert storm(100) == {status}
    before, lines = memory(), len(rig.log.read_text().splitlines())
    assert storm(300) == {status}
    # 400 requests with something of each left behind would be more than that.
    assert memory() - before < 8 << 20
    assert len(rig.log.read_text().splitlines()) - lines < 40
    until(lambda: b"pilotage_requests_in_flight 1\n" in rig.ask("GET", "/metrics").body)


def test_connections_are_used_again(rig: Rig, provider: Provider) -> None:
    rig.route("reuse", release("reuse", provider.url("ok")))
    until(lambda: rig.chat("reuse").status == 200)
    before = provider.seen("ok")
    for number in range(10):
        assert rig.chat("reuse", stream=bool(number % 2)).status == 200
    after = provider.seen("ok")
    assert after["requests"] == before["requests"] + 10
    assert after["connections"] <= before["connections"] + 1


def test_a_pooled_connection_that_its_server_closed_is_not_the_releases_fault(rig: Rig, provider: Provider) -> None:
    rig.route("stale", release("stale", provider.url("stale")))
    until(lambda: rig.chat("stale").status != 404)
    for _ in range(5):
        reply = rig.chat("stale")
        assert reply.status == 200
        assert rig.record(reply)[1].error == ""
    facts = provider.seen("stale")
    assert facts["requests"] > facts["connections"] > 1


def test_a_redirect_is_not_followed(rig: Rig, provider: Provider) -> None:
    assert rig.chat("status-302").status == 502
    assert provider.seen("elsewhere")["requests"] == 0
