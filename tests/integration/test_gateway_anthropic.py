"""A release at a provider that speaks Messages, asked by the real `openai` client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from pilotage import access
from pilotage.spec import snapshot
from pilotage.spec.folder import FILE, Folder
from pilotage.spec.load import load
from tests.integration.anthropic_provider import MODEL, TEXTS, Anthropic
from tests.integration.gateway_rig import Rig

BEHAVIOURS = ("answers", "thinks", "breaks", "overloaded", "refused")
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "track",
            "description": "Where a parcel is.",
            "parameters": {"type": "object", "properties": {"parcel": {"type": "integer"}}},
        },
    }
]
QUESTION: Any = [{"role": "user", "content": "When?"}]


@pytest.fixture(scope="module")
def anthropic() -> Iterator[Anthropic]:
    running = Anthropic()
    yield running
    running.close()


@pytest.fixture(scope="module")
def rig(anthropic: Anthropic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"), environment={"ANTHROPIC_API_KEY": "their-key"})
    for name in BEHAVIOURS:
        text = (
            f'name = "{name}"\nowner = "Jane"\n'
            f'[upstreams.mine]\nprovider = "anthropic"\nbase_url = "{anthropic.url(name)}"\n'
            '[variants.a]\nupstream = "mine"\nmodel = "claude"\nprompt = "p.j2"\nparameters = { max_tokens = 50 }\n'
            "price = { input = 2, output = 10 }\n"
        )
        folder = Folder({FILE: text.encode(), "p.j2": b"You answer for {{ use_case }}."})
        rig.route(name, *snapshot.releases(load(folder), folder))
    rig.start()
    yield rig
    rig.close()


@pytest.fixture
def client(rig: Rig) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=rig.key, max_retries=0) as api:
        yield api


def test_a_chat_is_answered_by_a_message(rig: Rig, anthropic: Anthropic, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="answers",
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                ],
            },
        ],
        stop="END",
        temperature=1.5,
        user="alice",
    )
    completion = raw.parse()
    assert completion.choices[0].message.content == "".join(TEXTS)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (42, 9)
    asked = anthropic.seen["answers"]
    assert asked["path"] == "/answers/v1/messages"
    headers = {name.lower(): value for name, value in asked["headers"].items()}
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("their-key", "2023-06-01")
    assert "authorization" not in headers
    body = asked["body"]
    assert body == {
        "model": "claude",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "You answer for answers."}, {"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                    },
                ],
            }
        ],
        "stop_sequences": ["END"],
        "temperature": 1,
        "metadata": {"user_id": access.keyed(rig.store.secret("unit"), "answers", "alice")},
    }
    _, finished = rig.record_of(raw.headers["x-pilotage-inference"].split(".")[1])
    # 42 tokens at 2 a million, 9 at 10, in millionths.
    assert (finished.input_tokens, finished.output_tokens, finished.cost) == (42, 9, 174)


def test_a_message_streams_as_chunks(rig: Rig, client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="answers", messages=QUESTION, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(TEXTS)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not any(chunk.usage for chunk in chunks)
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="answers", messages=QUESTION, stream=True, stream_options=options)
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 51


def test_tools_are_called_and_their_results_go_back(anthropic: Anthropic, client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="answers", messages=QUESTION, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
    )
    calls: Any = completion.choices[0].message.tool_calls
    (call,) = calls
    assert completion.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("track", {"parcel": 7})
    body = anthropic.seen["answers"]["body"]
    assert body["tools"][0]["input_schema"] == TOOLS[0]["function"]["parameters"]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    said: Any = completion.choices[0].message.model_dump(exclude_none=True)
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "in Lyon"}
    client.chat.completions.create(
        model="answers", messages=[*QUESTION, said, result, {"role": "user", "content": "So?"}], tools=TOOLS
    )
    question, turn, answer = anthropic.seen["answers"]["body"]["messages"]
    assert question["role"] == "user"
    assert turn["content"][-1] == {"type": "tool_use", "id": "toolu_01A", "name": "track", "input": {"parcel": 7}}
    assert [block["type"] for block in answer["content"]] == ["tool_result", "text"]


def test_a_tool_call_streams(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="answers", messages=QUESTION, tools=TOOLS, stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert calls[0].function is not None
    assert (calls[0].id, calls[0].function.name) == ("toolu_01A", "track")
    arguments = "".join(call.function.arguments or "" for call in calls if call.function)
    assert json.loads(arguments) == {"parcel": 7}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_thoughts_come_beside_the_answer(rig: Rig) -> None:
    said = rig.chat("thinks").json["choices"][0]["message"]
    assert (said["reasoning_content"], said["content"]) == ("Hm.", "".join(TEXTS))
    events = rig.chat("thinks", stream=True).events
    deltas = [event["choices"][0]["delta"] for event in events[:-1] if event["choices"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."
    assert [delta["thinking_blocks"][0]["signature"] for delta in deltas if "thinking_blocks" in delta] == ["c2ln"]


def test_the_providers_faults_are_the_releases(rig: Rig) -> None:
    reply = rig.chat("overloaded")
    assert (reply.status, reply.error["code"]) == (503, "upstream_status_529")
    reply = rig.chat("refused")
    assert reply.status == 400
    assert "max_tokens: must be smaller" in reply.error["message"]
    reply = rig.chat("breaks", stream=True)
    assert reply.events[-1]["error"]["code"] == "upstream_broken"
    _, finished = rig.record(reply)
    assert finished.error == "broken"


def test_what_messages_has_no_word_for_is_said(rig: Rig) -> None:
    content = [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]
    reply = rig.ask(
        "POST", "/v1/chat/completions", {"model": "answers", "messages": [{"role": "user", "content": content}]}
    )
    assert reply.status == 400
    assert "a part of type 'input_audio'" in reply.error["message"]
