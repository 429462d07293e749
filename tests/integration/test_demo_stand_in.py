"""The stand-in as a process, used by the real `openai` client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

KNOWLEDGE = Path(__file__).parents[2] / "examples" / "support" / "knowledge"
QUESTION: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": "How do I give back an unused rucksack, and is there a form?",
}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    command = [sys.executable, "-m", "pilotage.demo.stand_in", "--knowledge", str(KNOWLEDGE), "--port", "0"]
    process = subprocess.Popen([*command, "--announce"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with openai.OpenAI(base_url=process.stdout.readline().strip(), api_key="none", max_retries=0) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def test_it_lists_its_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["stand-in-careful", "stand-in-careless"]


def test_the_same_request_gets_the_same_reply_streamed_or_whole(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="stand-in-careful", temperature=0.1, messages=[QUESTION])
    with client.chat.completions.create(
        model="stand-in-careful",
        temperature=0.1,
        messages=[QUESTION],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    text = whole.choices[0].message.content
    assert text is not None
    assert "RW-12" in text
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.completion_tokens == len(chunks) - 3  # the opening, the end and the counts are no tokens


def test_a_limit_ends_a_reply_by_its_length(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="stand-in-careful", max_tokens=4, messages=[QUESTION])
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 4


def test_refusals_are_the_clients_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=[QUESTION])
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="stand-in-careful", temperature=3, messages=[QUESTION])
