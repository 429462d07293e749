"""Names in requests and answers: really found where Presidio and a model are installed, and what follows where they are not."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pilotage.records import GuardrailHit
from pilotage.spec.filter_rule import FilterRule
from tests.integration.gateway_rig import Provider, Rig, release, until
from tests.integration.surfaces_provider import Surfaces
from tests.integration.test_gateway_filters import STREAM, SURFACES, ask, said

MODEL = os.environ.get("PILOTAGE_TEST_SPACY_MODEL", "en_core_web_sm")
INSTALLED = bool(importlib.util.find_spec("presidio_analyzer") and importlib.util.find_spec(MODEL))
ASKED = "My name is Jane Doe."


def rule(side: str, action: str = "redact", *, model: str = MODEL, **more: Any) -> FilterRule:
    return FilterRule(name="people", kind="names", side=side, action=action, deadline=30_000_000, model=model, **more)


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))

    def serve(name: str, *rules: FilterRule) -> None:
        rig.route(name, release(name, provider.url("say"), filters=rules), retention="full")

    serve("in", rule("in"))
    serve("out", rule("out"))
    serve("blocks", rule("in", "block"))
    serve("missing", rule("in", model="xx_not_there"))
    serve("passes", rule("both", model="xx_not_there", on_error="pass"))
    serve("unheard", rule("out", model="xx_not_there"))
    surfaces = Surfaces()
    rig.route("other", release("other", surfaces.url("ok"), filters=(rule("out", model="xx_not_there"),)))
    rig.start()
    yield rig
    rig.close()
    surfaces.close()
    assert "Traceback" not in rig.log.read_text()


def test_where_nobody_can_tell_the_file_says_what_follows(rig: Rig, provider: Provider) -> None:
    before = provider.seen("say")["requests"]
    reply = rig.chat("missing", ASKED)
    assert (reply.status, reply.error["code"]) == (400, "content_filter")
    assert "could not be looked at" in reply.error["message"]
    assert rig.record(reply)[1].hits == (GuardrailHit("people", "in", "block", "error", 1),)
    assert provider.seen("say")["requests"] == before
    for stream in (False, True):
        reply = rig.chat("passes", ASKED, stream=stream)
        assert said(reply) == ASKED
        hits = rig.record(reply)[1].hits
        assert [(hit.side, hit.action, hit.kind) for hit in hits] == [("in", "pass", "error"), ("out", "pass", "error")]
        reply = rig.chat("unheard", ASKED, stream=stream)
        assert b"Jane" not in reply.body
        assert rig.record(reply)[1].finish_reason == "content_filter"
    # What says no texts is none of theirs.
    assert rig.ask("POST", "/v1/embeddings", {"model": "other", "input": "Is it there?"}).json["data"]
    reply = rig.ask("POST", "/v1/images/generations", {"model": "other", "prompt": "A parcel", "stream": True})
    assert b"image_generation.completed" in reply.body
    until(lambda: "names cannot be looked for" in rig.log.read_text())
    assert "install" in rig.log.read_text()


@pytest.mark.skipif(not INSTALLED, reason=f"presidio-analyzer and spaCy's model {MODEL} are not installed")
@SURFACES
@STREAM
def test_names_go_to_no_provider_and_come_back(rig: Rig, provider: Provider, surface: str, stream: bool) -> None:
    reply = ask(rig, surface, "in", ASKED, stream=stream)
    assert said(reply) == ASKED
    assert "Jane" not in json.dumps(provider.seen("say")["body"])
    assert rig.record(reply)[1].hits == (GuardrailHit("people", "in", "redact", "name", 1),)
    reply = ask(rig, surface, "out", ASKED, stream=stream)
    assert said(reply) == "My name is [name]."
    assert b"Jane" not in reply.body
    reply = ask(rig, surface, "blocks", ASKED, stream=stream)
    assert reply.status == 400
    assert said(ask(rig, surface, "blocks", "When does my parcel arrive?", stream=stream))
