"""The official `anthropic` client against the gateway, with nothing changed but its base URL and its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.anthropic_provider import TEXTS, Anthropic
from tests.integration.gateway_rig import Provider, Rig, release
from tests.integration.test_gateway_messages import TOOLS, WORDS, native

sdk: Any = pytest.importorskip("anthropic", reason="the client `anthropic` is not installed; the fakes stand for it")

MODELS = {"ok": WORDS, "answers": "".join(TEXTS)}
QUESTION = [{"role": "user", "content": "When?"}]


@pytest.fixture(scope="module")
def client(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = Anthropic()
    rig = Rig(tmp_path_factory.mktemp("gateway"))
    rig.route("ok", release("ok", provider.url("ok")))
    rig.route("down", release("down", provider.url("status-500")))
    rig.route("broken", release("broken", provider.url("error-later")))
    rig.route("answers", native("answers", running.url("answers")))
    rig.start()
    with sdk.Anthropic(base_url=f"http://127.0.0.1:{rig.port}", api_key=rig.key, max_retries=0) as api:
        yield api
    rig.close()
    running.close()


@pytest.mark.parametrize("model", MODELS)
def test_unary(client: Any, model: str) -> None:
    message = client.messages.create(model=model, max_tokens=99, messages=QUESTION)
    assert (message.content[0].text, message.stop_reason) == (MODELS[model], "end_turn")
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_stream(client: Any, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=99, messages=QUESTION) as stream:
        assert "".join(stream.text_stream) == MODELS[model]
        message = stream.get_final_message()
    assert (message.content[0].text, message.stop_reason) == (MODELS[model], "end_turn")
    assert message.usage.input_tokens > 0


def test_tools(client: Any) -> None:
    message = client.messages.create(model="answers", max_tokens=99, messages=QUESTION, tools=TOOLS)
    assert message.stop_reason == "tool_use"
    use = message.content[-1]
    assert (use.name, use.input) == ("track", {"parcel": 7})
    said = [block.model_dump(exclude_none=True) for block in message.content]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "in Lyon"}
    turns = [*QUESTION, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
    assert client.messages.create(model="answers", max_tokens=99, messages=turns, tools=TOOLS).content
    with client.messages.stream(model="answers", max_tokens=99, messages=QUESTION, tools=TOOLS) as stream:
        assert stream.get_final_message().content[-1].input == {"parcel": 7}


def test_errors(client: Any) -> None:
    with pytest.raises(sdk.NotFoundError):
        client.messages.create(model="nobody", max_tokens=9, messages=QUESTION)
    with pytest.raises(sdk.InternalServerError):
        client.messages.create(model="down", max_tokens=9, messages=QUESTION)
    stream = client.messages.create(model="broken", max_tokens=9, messages=QUESTION, stream=True)
    with pytest.raises(sdk.APIStatusError):
        list(stream)
