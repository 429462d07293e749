"""Pipelines of a team's own, imported by a real worker from the folder that its settings name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from pilotage.errors import WrongCall
from pilotage.settings import callables
from pilotage.spec import snapshot
from pilotage.spec.folder import FILE, Folder
from pilotage.spec.load import load
from pilotage.spec.release import Release, UpstreamAddress
from tests.integration.gateway_rig import Rig, search, until

PIPELINES = """
import asyncio
import time
from pathlib import Path

from ours.words import WORDS

LEFT = Path(__file__).with_name("left")


async def echo(request):
    return f"{request['messages'][-1]['content']} {request['model']} {request['temperature']}"


async def speak(request):
    for word in WORDS:
        yield word
        await asyncio.sleep(0)
    yield {"usage": {"prompt_tokens": 11, "completion_tokens": 7}, "finish_reason": "length"}


async def whole(request):
    message = {"role": "assistant", "content": None, "tool_calls": []}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}


async def raises(request):
    raise KeyError(request["messages"][-1]["content"])


async def breaks(request):
    yield "Well, "
    raise KeyError


async def silent(request):
    yield "Well, "
    await asyncio.sleep(3600)


async def blocks(request):
    time.sleep(3600)


async def leaves(request):
    try:
        yield "Well, "
        await asyncio.sleep(3600)
    finally:
        LEFT.touch()


def plain(request):
    return "no"
"""
NAMES = ("echo", "speak", "whole", "raises", "breaks", "silent", "blocks", "leaves", "plain")


def at(name: str, function: str, fallbacks: tuple[str, ...] = (), **more: Any) -> Release:
    timeouts: dict[str, Any] = {"first_byte_timeout": 20_000_000, **more}
    address = UpstreamAddress(kind="callable", function=function, **timeouts)
    return Release(
        use_case=name, variant="a", upstream=address, model="m", parameters={"temperature": 0.5}, fallbacks=fallbacks
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("callables")
    (folder / "ours").mkdir()
    (folder / "ours/__init__.py").touch()
    (folder / "ours/words.py").write_text('WORDS = ["Three ", "days."]\n')
    (folder / "ours/pipelines.py").write_text(PIPELINES)
    return folder


@pytest.fixture(scope="module")
def rig(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"), environment={"PILOTAGE_CALLABLES": str(folder)})
    for name in NAMES:
        short: dict[str, Any] = {"blocks": {"first_byte_timeout": 100_000}, "silent": {"idle_timeout": 100_000}}
        rig.route(name, at(name, f"ours.pipelines:{name}", **short.get(name, {})))
    for name, function in (("elsewhere", "os:getcwd"), ("missing", "ours.nothing:x"), ("absent", "ours.pipelines:x")):
        rig.route(name, at(name, function))
    words = search("falls", rig.knowledge(parcels="# Parcels\n\nThree days."))
    rig.route("falls", at("falls", "ours.pipelines:raises", (words.reference,)), words)
    rig.start()
    yield rig
    rig.close()


def content(rig: Rig, model: str) -> Any:
    reply = rig.chat(model, "Hello")
    assert reply.status == 200
    return reply.json["choices"][0]


def test_what_it_returns_or_yields_is_the_answer(rig: Rig) -> None:
    assert content(rig, "echo")["message"]["content"] == "Hello m 0.5"
    choice = content(rig, "speak")
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Three days.", "length")
    assert content(rig, "whole")["finish_reason"] == "tool_calls"
    _, finished = rig.record(rig.chat("speak"))
    assert (finished.input_tokens, finished.output_tokens, finished.counted) == (11, 7, True)


def test_it_streams_to_the_openai_client(rig: Rig) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=rig.key, max_retries=0) as api:
        for model, text in (("speak", "Three days."), ("echo", "Hello m 0.5")):
            stream = api.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Hello"}], stream=True
            )
            chunks = list(stream)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
            assert chunks[-1].choices[0].finish_reason


def test_messages_reach_it_too(rig: Rig) -> None:
    body = {"model": "speak", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    assert rig.ask("POST", "/v1/messages", body).json["content"][0]["text"] == "Three days."
    assert rig.ask("POST", "/v1/embeddings", {"model": "speak", "input": "Hi"}).error["code"] == "unsupported_surface"


def test_its_faults_are_its_releases_and_never_repeat_what_was_asked(rig: Rig) -> None:
    reply = rig.chat("raises", "a secret of mine")
    assert (reply.status, reply.error["code"]) == (502, "upstream_pipeline")
    assert "secret" not in reply.body.decode() + rig.log.read_text()
    assert "KeyError in raises" in rig.log.read_text()
    reply = rig.chat("breaks", stream=True)
    assert reply.events[-1]["error"]["code"] == "upstream_pipeline"
    assert rig.chat("silent", stream=True).events[-1]["error"]["code"] == "upstream_timeout"
    reply = rig.chat("falls")
    assert (reply.status, reply.headers["x-pilotage-error"]) == (200, "pipeline")


def test_one_that_blocks_holds_up_nobody_else(rig: Rig) -> None:
    replies: list[Any] = []
    asking = [threading.Thread(target=lambda: replies.append(rig.chat("blocks"))) for _ in range(3)]
    for thread in asking:
        thread.start()
    assert content(rig, "echo")["message"]["content"] == "Hello m 0.5"
    for thread in asking:
        thread.join()
    assert [reply.error["code"] for reply in replies] == ["upstream_timeout"] * 3


def test_a_caller_that_leaves_cancels_it(rig: Rig, folder: Path) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=rig.key, max_retries=0) as api:
        stream = api.chat.completions.create(
            model="leaves", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        next(iter(stream))
        stream.close()
    until((folder / "ours/left").exists)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("elsewhere", "'os' is in none of the folders"),
        ("missing", "importing 'ours.nothing' failed"),
        ("absent", "is no async function"),
        ("plain", "is no async function"),
    ],
)
def test_what_may_not_or_cannot_be_run_is_said_in_the_log(rig: Rig, model: str, says: str) -> None:
    assert rig.chat(model).error["code"] == "upstream_connect"
    assert says in rig.log.read_text()


def test_nothing_is_imported_unless_the_settings_allow_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.route("echo", at("echo", "ours.pipelines:echo"))
    rig.start()
    try:
        assert rig.chat("echo").error["code"] == "upstream_connect"
        assert "PILOTAGE_CALLABLES names no folder" in rig.log.read_text()
    finally:
        rig.close()
    with pytest.raises(WrongCall, match="which is no folder"):
        callables({"PILOTAGE_CALLABLES": "/nowhere"})


def test_a_file_names_a_pipeline_and_its_version() -> None:
    def made(version: str) -> Release:
        text = (
            'name = "s"\nowner = "Jane"\n[upstreams.ours]\ncallable = "ours.pipelines:echo"\n'
            f'version = "{version}"\n[variants.a]\nupstream = "ours"\n'
        )
        folder = Folder({FILE: text.encode()})
        return snapshot.releases(load(folder), folder)[0]

    one, two = made("1"), made("2")
    assert (one.upstream.kind, one.upstream.function) == ("callable", "ours.pipelines:echo")
    assert one.digest != two.digest
