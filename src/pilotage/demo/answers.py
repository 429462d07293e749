"""What the stand-in says to a question: retrieval, a plan of sentences, and the writer, in two manners."""

from __future__ import annotations

import math
import random
import re
from itertools import accumulate
from typing import TYPE_CHECKING

from pilotage.demo.retrieval import Index
from pilotage.demo.writer import Writer, Written

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from pilotage.demo.articles import Article
    from pilotage.demo.retrieval import Hit

CAREFUL, CARELESS = "stand-in-careful", "stand-in-careless"
MODELS = (CAREFUL, CARELESS)
_SENTENCES = 9
_SENTENCES_OF_TWO = 6
_CARELESS_SENTENCES = (5, 1, 1)
_FIGURE_BONUS = 3.0
_WHIM = 0.3
_SCOPE_ARTICLE = re.compile(r"scope|what-we-help|can-help")
_SCOPE_SENTENCE = re.compile(r"\b(outside|only answer|cannot help|can't help)\b")
_OUTSIDE = "This is outside what I can help with: none of the articles covers it."


class Answers:
    """Fitted once over the articles; the same question, model, temperature and seed give the same answer."""

    def __init__(self, articles: Sequence[Article]) -> None:
        self._index = Index(articles)
        self._writer = Writer(articles)
        self._first = [0, *accumulate(len(article.sentences) for article in articles)]
        sentences = [sentence for article in articles for sentence in article.sentences]
        self._figures = [any(letter.isdigit() for letter in sentence) for sentence in sentences]
        self._outside = [
            number
            for at, article in enumerate(articles)
            if _SCOPE_ARTICLE.search(article.name)
            for number in range(self._first[at], self._first[at + 1])
            if _SCOPE_SENTENCE.search(sentences[number])
        ][:1]

    def answer(self, model: str, question: str, *, temperature: float, limit: int, seed: int) -> Written:
        """Return a reply of at most `limit` tokens; `model` is one of MODELS."""
        rng = random.Random(seed)  # noqa: S311 - it imitates a model; nothing secret is drawn
        if model == CAREFUL:
            hits, passages = self._index.careful(question)
            if hits[0].weak:
                return self._decline(temperature, limit, rng)
            counts: Sequence[int] = (_SENTENCES,) if len(hits) == 1 else (_SENTENCES_OF_TWO, _SENTENCES_OF_TWO)
        else:
            hits, passages = self._index.careless(question)
            counts = _CARELESS_SENTENCES
        plan = [
            at
            for hit, count in zip(hits, counts, strict=False)
            for at in self._choose(hit, passages, count, temperature, rng)
        ]
        return self._writer.write(plan, temperature, limit, rng)

    def _decline(self, temperature: float, limit: int, rng: random.Random) -> Written:
        if self._outside:
            return self._writer.write(self._outside, temperature, limit, rng)
        return self._writer.copy(_OUTSIDE, limit)

    def _choose(self, hit: Hit, passages: np.ndarray, count: int, temperature: float, rng: random.Random) -> list[int]:
        """Return an article's best sentences in their order: near the question, early, with figures in them.

        Which are best is drawn too (the Gumbel trick), the more at random the higher the temperature.
        """
        start, end = self._first[hit.article], self._first[hit.article + 1]
        if end - start <= count:
            return list(range(start, end))
        near = self._index.passages_of(hit.article, passages, end - start)
        merit = [
            (
                near[at - start]
                + (_FIGURE_BONUS if self._figures[at] else 0.0)
                - 0.1 * (at - start)
                - _WHIM * temperature * math.log(rng.expovariate(1.0) + 1e-12),
                at,
            )
            for at in range(start, end)
        ]
        return sorted(at for _, at in sorted(merit, reverse=True)[:count])
