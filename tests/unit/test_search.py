from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from pilotage.clock import FrozenClock
from pilotage.errors import UpstreamError
from pilotage.upstream.base import Call
from pilotage.upstream.ranking import K1, Article, B, Index, articles, terms
from pilotage.upstream.search import NO_MATCH, SearchUpstream, tokens

LIBRARY = [
    Article("Returning a parcel", "Print the label and bring the parcel to any shop. Refunds take a week."),
    Article("Cancelling an order", "An order can be cancelled until it is packed."),
    Article("Café opening hours", "Our café opens at nine."),
]


def answer(question: Any, *, stream: bool = False, **more: Any) -> bytes:
    async def ask() -> bytes:
        body = {"model": "", "messages": [{"role": "user", "content": question}], "stream": stream, **more}
        upstream = SearchUpstream(Index(LIBRARY), FrozenClock())
        reply = await upstream.send(Call(path="/chat/completions", body=json.dumps(body).encode(), stream=stream))
        return b"".join([chunk async for chunk in reply.chunks()])

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How do I return my parcels?", "Returning a parcel"),
        ("CANCELLED orders, can I get one back", "Cancelling an order"),
        ("cancel", "Cancelling an order"),
        ("when does the CAFE open", "Café opening hours"),
        ([{"type": "text", "text": "refunded?"}], "Returning a parcel"),
    ],
)
def test_the_best_article_answers(question: Any, title: str) -> None:
    reply = json.loads(answer(question))
    assert reply["choices"][0]["message"]["content"].startswith(f"{title}\n\n")
    assert reply["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("question", ["zebra xylophone", "the and of", "", "???"])
def test_nothing_that_matches_is_said_politely(question: str) -> None:
    assert json.loads(answer(question))["choices"][0]["message"]["content"] == NO_MATCH


def test_a_stream_says_the_same_and_counts_its_tokens_when_asked() -> None:
    whole = json.loads(answer("return parcel"))
    for options in ({}, {"stream_options": {"include_usage": True}}):
        lines = answer("return parcel", stream=True, **options).split(b"\n\n")
        assert lines[-2:] == [b"data: [DONE]", b""]
        chunks = [json.loads(line.removeprefix(b"data: ")) for line in lines[:-2]]
        text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
        assert text == whole["choices"][0]["message"]["content"]
        assert chunks[-1].get("usage") == (whole["usage"] if options else None)


def test_tokens_are_words_by_four_thirds() -> None:
    assert [tokens(""), tokens("one two three"), tokens("one")] == [0, 4, 1]


def test_scores_are_bm25() -> None:
    # By hand: 'parcel' is twice in a document of 3 terms, the mean length is 2.5, and it is in 1 of 2 documents.
    index = Index([Article("parcel", "parcel label"), Article("shop", "hours")])
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * 3 / 2.5))
    ((score, article),) = index.rank("parcel")
    assert article.title == "parcel"
    assert score == pytest.approx(expected)


def test_words_are_folded_alike() -> None:
    assert terms("Cancelling cancels CANCELLED") == ["cancel"] * 3
    assert terms("apply applies applied applying") == ["apply"] * 4
    assert terms("charge charging charged") == ["charg"] * 3
    assert terms("The parcel's, of parcels") == ["parcel"] * 2
    assert terms("Z\u00fcrich caf\u00e9 don\u2019t") == ["zurich", "caf"]
    assert terms("bus class status") == ["bus", "clas", "status"]


def test_a_file_holds_one_article_or_one_a_heading() -> None:
    assert articles("knowledge/gift-cards.md", "Just text") == [Article("gift cards", "Just text")]
    two = articles("faq.md", "# One\n\nfirst\n\n## Part\nmore\n\n# Two\nsecond\n")
    assert two == [Article("One", "first\n\n## Part\nmore"), Article("Two", "second")]
    assert articles("empty.md", " \n") == []


def test_no_knowledge_answers_too() -> None:
    assert Index([]).rank("anything") == []


def test_a_body_that_is_no_chat_is_a_fault() -> None:
    async def ask() -> None:
        await SearchUpstream(Index(LIBRARY), FrozenClock()).send(Call(path="/chat/completions", body=b"[]"))

    with pytest.raises(UpstreamError) as raised:
        asyncio.run(ask())
    assert raised.value.kind == "protocol"
