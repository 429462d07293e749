"""Answers given again: to the same question only, to the same unit only, and counted for who was assigned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest

from pilotage.spec.release import CacheRules, Release
from tests.integration.gateway_rig import Provider, Reply, Rig, release, search, until

HOUR = 3_600_000_000
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]


def cached(name: str, url: str, *, fallbacks: tuple[str, ...] = (), **rules: Any) -> Release:
    made = release(name, url, fallbacks=fallbacks)
    return msgspec.structs.replace(made, cache=CacheRules(**{"ttl": HOUR, **rules}))


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("cache"))
    ok = provider.url("ok")
    rig.route("own", cached("own", ok), retention="full")
    rig.route("shared", cached("shared", ok, shared=True))
    rig.route("tools", cached("tools", ok, tools=True))
    rig.route("short", cached("short", ok, ttl=1))
    rig.route("off", release("off", ok))
    rig.route("barred", cached("barred", ok), caches=False)
    rig.route("fails", cached("fails", provider.url("status-500")))
    rig.route("breaks", cached("breaks", provider.url("no-done")))
    words = search("covered", rig.knowledge(parcels="# Parcels\n\nA parcel arrives in three days."))
    rig.route("covered", cached("covered", provider.url("status-500"), fallbacks=(words.reference,)), words)
    rig.split("half", cached("half", ok), cached("half", provider.url("echo")), 500_000)
    rig.start()
    yield rig
    rig.close()


def ask(rig: Rig, model: str, unit: str = "ann", **more: Any) -> Reply:
    return rig.chat(model, headers={"x-pilotage-unit": unit} if unit else None, **more)


def test_the_same_question_of_the_same_unit_is_answered_again(rig: Rig, provider: Provider) -> None:
    before = provider.seen("ok")["requests"]
    first, again = ask(rig, "own"), ask(rig, "own", temperature=None, user="ann")
    assert (first.headers["x-pilotage-cache"], again.headers["x-pilotage-cache"]) == ("miss", "hit")
    assert again.body == first.body
    assert again.headers["x-pilotage-inference"] != first.headers["x-pilotage-inference"]
    assert provider.seen("ok")["requests"] == before + 1
    started, finished = rig.record(again)
    assert (started.source, started.release) == ("cache", finished.served)
    assert (finished.attempts, finished.error, finished.fallback, finished.cost) == (0, "", False, 0)
    assert (finished.model, finished.finish_reason, finished.counted) == ("real-model-7", "stop", False)
    assert rig.record(first)[0].source == "live"
    figures = rig.ask("GET", "/metrics").body.decode()
    assert "pilotage_cache_hits_total 0" not in figures


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.5},
        {"question": "When does my other parcel arrive?"},
        {"unit": "ben"},
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_anything_else_is_another_question(rig: Rig, more: dict[str, Any]) -> None:
    ask(rig, "own")
    assert ask(rig, "own", **more).headers["x-pilotage-cache"] == "miss"
    assert ask(rig, "own", **more).headers["x-pilotage-cache"] == "hit"


def test_a_stream_is_given_again_as_a_stream(rig: Rig) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=rig.key, max_retries=0) as client:
        said = []
        for _ in range(2):
            chunks = list(
                client.chat.completions.create(
                    model="own", messages=[{"role": "user", "content": "A stream?"}], stream=True, user="cleo"
                )
            )
            said.append([chunk.choices[0].delta.content for chunk in chunks])
    assert said[0] == said[1]
    assert len(said[1]) > 5
    message = {"model": "own", "max_tokens": 5, "messages": [{"role": "user", "content": "As a message?"}]}
    streams = [
        rig.ask("POST", "/v1/messages", {**message, "stream": True}, headers={"x-pilotage-unit": "cleo"})
        for _ in range(2)
    ]
    assert [reply.headers["x-pilotage-cache"] for reply in streams] == ["miss", "hit"]
    assert streams[0].body == streams[1].body
    assert b"event: message_stop" in streams[1].body


def test_nobody_gets_what_another_was_answered_unless_the_file_says_so(rig: Rig) -> None:
    assert ask(rig, "shared", "ann").headers["x-pilotage-cache"] == "miss"
    assert ask(rig, "shared", "ben").headers["x-pilotage-cache"] == "hit"
    assert ask(rig, "shared", "").headers["x-pilotage-cache"] == "hit"
    # Nobody knows whose it would be.
    assert "x-pilotage-cache" not in ask(rig, "own", "").headers


def test_what_is_not_kept(rig: Rig, provider: Provider) -> None:
    assert "x-pilotage-cache" not in ask(rig, "off").headers
    assert not any("x-pilotage-cache" in ask(rig, "barred").headers for _ in range(2)), "rules let nothing be kept"
    assert "x-pilotage-cache" not in ask(rig, "own", tools=TOOLS).headers
    assert "x-pilotage-cache" not in ask(rig, "own", previous_response_id="r").headers
    for _ in range(2):
        assert ask(rig, "tools", tools=TOOLS).status == 200
        assert ask(rig, "fails").status == 502
        assert b'"error"' in ask(rig, "breaks", stream=True).body
        covered = ask(rig, "covered")
        assert (covered.status, covered.headers["x-pilotage-cache"]) == (200, "miss")
        assert covered.headers["x-pilotage-error"] == "status:500"
    assert ask(rig, "tools", tools=TOOLS).headers["x-pilotage-cache"] == "hit"
    for _ in range(2):
        assert ask(rig, "short").headers["x-pilotage-cache"] == "miss"
    pinned = rig.record(ask(rig, "own"))[0].release
    for source in ("evaluation", "replay"):
        measured = rig.chat(pinned, key=rig.operator, headers={"x-pilotage-source": source, "x-pilotage-unit": "ann"})
        assert (measured.status, "x-pilotage-cache" in measured.headers) == (200, False)


def test_each_side_of_a_rollout_keeps_its_own(rig: Rig) -> None:
    sides = {}
    for number in range(40):
        first, again = (ask(rig, "half", f"unit-{number}") for _ in range(2))
        assert (first.headers["x-pilotage-cache"], again.headers["x-pilotage-cache"]) == ("miss", "hit")
        assert first.headers["x-pilotage-release"] == again.headers["x-pilotage-release"]
        started, _ = rig.record(again)
        assert (started.source, started.arm in ("baseline", "candidate"), started.rollout) == ("cache", True, "r1")
        sides[started.arm] = again.body
    assert len(set(sides.values())) == 2


def test_texts_are_kept_of_what_was_given_again_too(rig: Rig) -> None:
    ask(rig, "own", "dora")
    again = ask(rig, "own", "dora")
    inference = again.headers["x-pilotage-inference"].split(".")[1]
    until(lambda: any(event.id == inference and type(event).__name__ == "Text" for event in rig.events()))
