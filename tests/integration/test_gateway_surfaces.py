"""Responses, embeddings, images and speech: the same door, asked by the real `openai` client."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from pilotage import access
from pilotage.records import Finished, Started, Text
from tests.integration.gateway_rig import Rig, release, search, until
from tests.integration.surfaces_provider import PICTURE, SOUND, TEXT, VECTOR, Surfaces

PATHS = {
    "/v1/responses": {"input": "When?"},
    "/v1/embeddings": {"input": "When?"},
    "/v1/images/generations": {"prompt": "A parcel"},
    "/v1/audio/speech": {"input": "When?", "voice": "alloy"},
}
PRICED: dict[str, Any] = {"input_price": 2_000_000, "output_price": 10_000_000}


@pytest.fixture(scope="module")
def surfaces() -> Iterator[Surfaces]:
    running = Surfaces()
    yield running
    running.close()


@pytest.fixture(scope="module")
def rig(surfaces: Surfaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))
    for name in ("ok", "down", "garbage", "breaks"):
        more = {"prompt": "You answer for {{ use_case }}: {{ question }}"} if name == "ok" else {}
        rig.route(name, release(name, surfaces.url(name), parameters={"fixed": 1}, **more, **PRICED))
    knowledge = rig.knowledge(parcels="# Parcels\n\nThree days.")
    rig.route("kept", release("kept", surfaces.url("ok")), retention="full")
    rig.route("faq", search("faq", knowledge))
    second = release("falls", surfaces.url("ok"), "second")
    words = search("falls", knowledge)
    first = release("falls", surfaces.url("down"), fallbacks=(words.reference, second.reference))
    rig.route("falls", first, words, second)
    rig.split("rolls", release("rolls", surfaces.url("ok"), "old"), release("rolls", surfaces.url("ok"), "new"), 10**6)
    rig.start()
    yield rig
    rig.close()


@pytest.fixture
def client(rig: Rig) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=rig.key, max_retries=0) as api:
        yield api


def recorded(rig: Rig, headers: Any) -> tuple[Started, Finished]:
    return rig.record_of(headers["x-pilotage-inference"].split(".")[1])


def test_a_response_unary(rig: Rig, surfaces: Surfaces, client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model="ok", input="When?", instructions="Be brief.", safety_identifier="alice"
    )
    assert raw.parse().output_text == TEXT
    # What Pilotage does not know passes through, both ways.
    assert raw.http_response.json()["of a field that is new"] == 1
    assert surfaces.seen["ok"] == {
        "path": "/ok/v1/responses",
        "body": {
            "model": "real-model",
            "input": "When?",
            "instructions": "You answer for ok: When?\n\nBe brief.",
            "fixed": 1,
            "safety_identifier": access.keyed(rig.store.secret("unit"), "ok", "alice"),
        },
    }
    started, finished = recorded(rig, raw.headers)
    assert (started.surface, started.streamed, finished.model) == ("responses", False, "real-model-7")
    assert (finished.input_tokens, finished.output_tokens, finished.cost) == (11, 7, 92)
    assert finished.finish_reason == "completed"


def test_a_response_streamed(rig: Rig, client: openai.OpenAI) -> None:
    with client.responses.with_streaming_response.create(model="ok", input="When?", stream=True) as raw:
        headers = raw.headers
        events = list(raw.parse())
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-2:] == ["response.of_a_kind_that_is_new", "response.completed"]
    started, finished = recorded(rig, headers)
    assert (started.surface, started.streamed) == ("responses", True)
    assert (finished.input_tokens, finished.output_tokens, finished.error) == (11, 7, "")


def test_a_response_that_breaks_off_says_so(rig: Rig) -> None:
    reply = rig.ask("POST", "/v1/responses", {"model": "breaks", "input": "When?", "stream": True})
    last = reply.events[-1]
    assert (last["type"], last["code"]) == ("error", "upstream_broken")
    assert rig.record(reply)[1].error == "broken"


def test_embeddings(rig: Rig, surfaces: Surfaces, client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="ok", input=["When?", "Where?"])
    found = raw.parse()
    assert found.data[0].embedding == VECTOR
    # Nothing is put before a text that becomes a vector.
    assert surfaces.seen["ok"]["body"]["input"] == ["When?", "Where?"]
    assert "instructions" not in surfaces.seen["ok"]["body"]
    started, finished = recorded(rig, raw.headers)
    assert (started.surface, finished.input_tokens, finished.cost) == ("embeddings", 11, 22)


def test_images(rig: Rig, client: openai.OpenAI) -> None:
    raw = client.images.with_raw_response.generate(model="ok", prompt="A parcel")
    images = raw.parse()
    assert images.data is not None
    assert images.data[0].b64_json == PICTURE
    assert recorded(rig, raw.headers)[0].surface == "images"
    with client.images.with_streaming_response.generate(model="ok", prompt="A parcel", stream=True) as streamed:
        headers = streamed.headers
        kinds = [event.type for event in streamed.parse()]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]
    assert recorded(rig, headers)[1].output_tokens == 7


def test_speech(rig: Rig, client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(model="ok", voice="alloy", input="When?") as raw:
        headers = raw.headers
        assert headers["content-type"] == "audio/mpeg"
        assert raw.read() == SOUND
    started, finished = recorded(rig, headers)
    assert (started.surface, finished.error, finished.counted) == ("speech", "", False)
    reply = rig.ask("POST", "/v1/audio/speech", {"model": "ok", **PATHS["/v1/audio/speech"], "stream_format": "sse"})
    assert base64.b64decode(reply.events[0]["audio"]) == SOUND[:64]
    assert rig.record(reply)[1].output_tokens == 7


def test_sound_that_breaks_off_is_not_taken_for_whole(rig: Rig) -> None:
    with pytest.raises(http.client.IncompleteRead):
        rig.ask("POST", "/v1/audio/speech", {"model": "breaks", **PATHS["/v1/audio/speech"]})
    finished = [event for event in rig.events() if isinstance(event, Finished)][-1]
    assert (finished.use_case, finished.error) == ("breaks", "broken")


@pytest.mark.parametrize("path", PATHS)
def test_the_door_is_the_same(rig: Rig, path: str) -> None:
    body = PATHS[path]
    for model, status, code in (
        ("nobody", 404, "model_not_found"),
        ("faq", 400, "unsupported_surface"),
        ("down", 502, "upstream_status_500"),
        ("garbage", 502, "upstream_protocol"),
    ):
        reply = rig.ask("POST", path, {"model": model, **body})
        assert (reply.status, reply.error["code"]) == (status, code)
    # A fallback that answers chats only is passed over, for one that can.
    reply = rig.ask("POST", path, {"model": "falls", **body})
    assert reply.status == 200
    assert (reply.headers["x-pilotage-served"].split("@")[0], reply.headers["x-pilotage-error"]) == (
        "falls/second",
        "status:500",
    )
    started, _ = rig.record(rig.ask("POST", path, {"model": "rolls", **body}, headers={"x-pilotage-unit": "alice"}))
    assert (started.arm, started.release.split("@")[0]) == ("candidate", "rolls/new")
    pinned = rig.ask("POST", path, {"model": started.release, **body}, key=rig.operator)
    assert rig.record(pinned)[0].arm == "pinned"


@pytest.mark.parametrize("path", PATHS)
def test_texts_are_kept_only_where_the_file_says_so(rig: Rig, path: str) -> None:
    for model, kept in (("kept", True), ("ok", False)):
        started, _ = rig.record(rig.ask("POST", path, {"model": model, **PATHS[path]}))

        def texts(inference: str = started.id) -> list[Text]:
            return [event for event in rig.events() if isinstance(event, Text) and event.id == inference]

        if kept:
            until(texts)
        else:
            assert not texts()


@pytest.mark.parametrize(
    ("path", "param"),
    [("/v1/responses", "input"), ("/v1/embeddings", "input"), ("/v1/images/generations", "prompt")],
)
def test_what_is_missing_is_named(rig: Rig, path: str, param: str) -> None:
    assert rig.ask("POST", path, {"model": "ok"}).error["param"] == param
