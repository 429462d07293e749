"""Retrieval for the stand-in: ranked articles for a question, carefully or carelessly.

Careful retrieval scores words and character 4-grams (which survive misspelling) by BM25 (Robertson and Zaragoza 2009),
adds how near single sentences come, and looks once more for each part of a question that asks several things. Careless
retrieval reads a few words only.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.demo.language import Reader, grams
from pilotage.upstream.ranking import terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.demo.articles import Article

_PART = re.compile(
    r"[?!.;:]+\s+|,\s+(?:and|also|plus)\s+|\s+(?:and|also)\s+(?=how|what|when|where|which|who|may|can|is|if)"
)
_SEVERAL = re.compile(
    r"\?.*\?|\btwo (?:questions|things|kinds|matters|corrections)\b|\b(?:in addition|besides|second(?:ly)?|"
    r"on top of (?:it|that)|at the same time|while (?:we're|you're|i'm) at it|another (?:thing|question)|"
    r"and (?:after that|also|what about))\b",
    re.IGNORECASE | re.DOTALL,
)
_K, _B = 2.0, 0.4
_GRAM_WEIGHT = 0.15
_PASSAGE_WEIGHT = 1.5
_TITLE_WEIGHT = 4
_FEW = 6
_SHORTEST_PART = 3
_STRONG = 0.45
_WEAK = 1.8


class Hit(msgspec.Struct, frozen=True):
    """An article for (a part of) a question. `weak`: it hardly holds more than one telling word of it."""

    article: int
    score: float
    weak: bool = False


class Index:
    """What the stand-in knows, made searchable."""

    def __init__(self, articles: Sequence[Article]) -> None:
        stems = [terms(" ".join([*[item.title] * _TITLE_WEIGHT, *item.sentences, *item.asked])) for item in articles]
        self._reader = Reader(item for document in stems for item in document)
        self._words = _Table(stems)
        self._grams = _Table([[gram for item in document for gram in grams(item)] for document in stems])
        passages = [[*item.sentences, *item.asked] for item in articles]
        self._passages = _Passages([terms(passage) for own in passages for passage in own])
        self._starts = np.cumsum([0, *(len(own) for own in passages)])

    def careful(self, question: str) -> tuple[list[Hit], np.ndarray]:
        """Return the best article for the question and for a part of it that asks something else; best first.

        The second value scores every passage against the whole question: `passages_of` picks an article's own.
        """
        said = self._reader.read(question)
        passages = self._passages.score(said)
        hits = [self._best(said, passages)]
        if _SEVERAL.search(question):
            parts = [read for part in _PART.split(question) if len(read := self._reader.read(part)) >= _SHORTEST_PART]
            others = sorted(
                (self._best(read, self._passages.score(read)) for read in parts), key=lambda hit: -hit.score
            )
            hits += [hit for hit in others if hit.article != hits[0].article and hit.score >= _STRONG * hits[0].score]
        return hits[:2], passages

    def careless(self, question: str) -> tuple[list[Hit], np.ndarray]:
        """Return three articles that share one of the question's first few words, near or not."""
        few = dict.fromkeys(terms(question)[:_FEW], 1.0)
        scores = self._words.score(few)
        best = np.argsort(-scores, kind="stable")[:3]
        return [Hit(int(at), float(scores[at])) for at in best], self._passages.score(few)

    def passages_of(self, article: int, passages: np.ndarray, count: int) -> list[float]:
        """Return the scores of an article's first `count` passages: its sentences, in order."""
        start = int(self._starts[article])
        scores: list[float] = passages[start : start + count].tolist()
        return scores

    def _best(self, said: Mapping[str, float], passages: np.ndarray) -> Hit:
        near = np.add.reduceat(passages**4, self._starts[:-1]) ** 0.25
        letters: dict[str, float] = {}
        for item, weight in said.items():
            for gram in grams(item):
                letters[gram] = max(weight, letters.get(gram, 0.0))
        scores = self._words.score(said) + _GRAM_WEIGHT * self._grams.score(letters) + _PASSAGE_WEIGHT * near
        at = int(scores.argmax())
        return Hit(at, float(scores[at]), weak=float(scores[at]) < _WEAK * self._words.rarest)


class _Table:
    """BM25 weights as one dense matrix, a row a term and a column an article."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        counts = [Counter(document) for document in documents]
        self._rows = {term: row for row, term in enumerate(sorted({term for count in counts for term in count}))}
        frequency = np.zeros((len(self._rows), len(documents)), dtype=np.float32)
        for column, count in enumerate(counts):
            for term, times in count.items():
                frequency[self._rows[term], column] = times
        length = frequency.sum(axis=0)
        holding = (frequency > 0).sum(axis=1)
        total = len(documents)
        idf = np.log1p((total - holding + 0.5) / (holding + 0.5)).astype(np.float32)
        damp = _K * (1 - _B + _B * length / max(float(length.mean()), 1.0))
        self._weights = idf[:, None] * frequency * (_K + 1) / (frequency + damp)
        self.rarest = float(np.log1p((total + 0.5) / 0.5))
        """The weight of a word that no article holds: more than that of any that one does."""

    def score(self, terms_of_question: Mapping[str, float]) -> np.ndarray:
        known = [
            (row, weight) for term, weight in terms_of_question.items() if (row := self._rows.get(term)) is not None
        ]
        if not known:
            return np.zeros(self._weights.shape[1], dtype=np.float32)
        rows, weights = zip(*known, strict=True)
        scores: np.ndarray = np.array(weights, dtype=np.float32) @ self._weights[list(rows)]
        return scores


class _Passages:
    """Sparse scores of single sentences: for each word, which sentences hold it and how much that says."""

    def __init__(self, sentences: Sequence[Sequence[str]]) -> None:
        self._count = len(sentences)
        places: dict[str, list[int]] = {}
        for at, sentence in enumerate(sentences):
            for term in set(sentence):
                places.setdefault(term, []).append(at)
        length = np.array([len(sentence) for sentence in sentences], dtype=np.float64)
        damp = 1 / (1 + 0.5 * length / max(float(length.mean()), 1.0))
        self._postings = {}
        for term, held in places.items():
            where = np.array(held)
            idf = float(np.log1p((self._count - len(held) + 0.5) / (len(held) + 0.5)))
            self._postings[term] = (where, idf * damp[where])

    def score(self, said: Mapping[str, float]) -> np.ndarray:
        found = [(*held, weight) for term, weight in said.items() if (held := self._postings.get(term)) is not None]
        if not found:
            return np.zeros(self._count)
        where = np.concatenate([places for places, _, _ in found])
        return np.bincount(where, np.concatenate([says * weight for _, says, weight in found]), self._count)
