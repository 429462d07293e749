"""How the stand-in writes: a conditional n-gram and copy model over the articles' own tokens.

While it writes a sentence, the next token is either copied from the sentence it is following or taken from another
place in the articles where the same two tokens (or the last one) stood before: it then follows that place. With p the
probability of copying and the rest shared by the n other places, temperature T raises every probability to 1/T and
scales them to 1 again. Near 0 it copies faithfully; above 1 it wanders from article to article and blends them.

Drawing 'leave or stay' token by token is the same as drawing how far it goes before it leaves, from the cumulated
hazard of leaving: one bisection instead of a draw a token, so that a reply costs microseconds.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pilotage.demo.articles import Article

_TOKEN = re.compile(r"\s*(?:\w+(?:[-'\u2019.@,]\w+)*|[^\w\s])")
_COPY_AFTER_TWO, _COPY_AFTER_ONE = 0.97, 0.99
_BACK = 0.9
_MOST_PLACES = 12
_COLDEST = 0.02


def tokens(text: str) -> list[str]:
    """Split into words and signs, each with the space before it: joined, they are the text again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


class Written(msgspec.Struct, frozen=True):
    """A reply as its tokens; `finish` is 'stop' or 'length' as in OpenAI's protocol."""

    tokens: list[str]
    finish: str


class Writer:
    """Writes replies along a plan of sentences. Sentences are numbered over all articles, as in the index."""

    def __init__(self, articles: Sequence[Article]) -> None:
        self._tokens: list[str] = []
        self._starts: list[int] = []
        self._article_of: list[int] = []
        for number, article in enumerate(articles):
            for sentence in article.sentences:
                self._starts.append(len(self._tokens))
                self._article_of.append(number)
                first, *rest = tokens(sentence) or [""]
                self._tokens += [f" {first.lstrip()}", *rest]
        self._starts.append(len(self._tokens))
        self._places, self._copy = self._fit()
        self._hazards: dict[float, list[float]] = {}

    def _fit(self) -> tuple[list[tuple[int, ...]], np.ndarray]:
        """Return, for each token's place, the other places with the same context, and the probability of copying on."""
        plain = [token.strip().lower() for token in self._tokens]
        opening = set(self._starts)
        after_one: dict[str, list[int]] = {}
        after_two: dict[tuple[str, str], list[int]] = {}
        inner = [at for at in range(len(plain) - 1) if at + 1 not in opening]
        for at in inner:
            after_one.setdefault(plain[at], []).append(at)
            if at not in opening:
                after_two.setdefault((plain[at - 1], plain[at]), []).append(at)
        places: list[tuple[int, ...]] = [()] * len(plain)
        copy = np.ones(len(plain))
        for at in inner:
            same_two = after_two.get((plain[at - 1], plain[at]), []) if at not in opening else []
            for same, probability in ((same_two, _COPY_AFTER_TWO), (after_one[plain[at]], _COPY_AFTER_ONE)):
                others = [other for other in same if plain[other + 1] != plain[at + 1]]
                if others:
                    # Spread over the whole list, so that one early article does not own every crossing.
                    step = max(len(others) // _MOST_PLACES, 1)
                    places[at], copy[at] = tuple(others[at % step :: step][:_MOST_PLACES]), probability
                    break
        return places, copy

    def _cumulated(self, temperature: float) -> list[float]:
        """Return the hazard of leaving, cumulated over all places, at this temperature."""
        temperature = max(round(temperature, 2), _COLDEST)
        found = self._hazards.get(temperature)
        if found is None:
            count = np.array([max(len(places), 1) for places in self._places])
            stay = self._copy ** (1 / temperature)
            leave = count * ((1 - self._copy) / count) ** (1 / temperature)
            found = np.concatenate([[0.0], np.cumsum(-np.log(stay / (stay + leave)))]).tolist()
            if len(self._hazards) > 100:
                self._hazards.clear()
            self._hazards[temperature] = found
        return found

    def copy(self, text: str, limit: int) -> Written:
        """Return a text as it stands, at most `limit` tokens of it."""
        written = tokens(text)
        return Written(written[:limit], "length" if len(written) > limit else "stop")

    def write(self, plan: Sequence[int], temperature: float, limit: int, rng: random.Random) -> Written:
        """Write the planned sentences, at most `limit` tokens of them."""
        hazard = self._cumulated(temperature)
        cold = 1 / max(temperature, _COLDEST)
        back = _BACK**cold
        return_home = back / (back + (1 - _BACK) ** cold)
        written: list[str] = []
        for sentence in plan:
            at, end = self._starts[sentence], self._starts[sentence + 1]
            current = sentence
            while len(written) <= limit:
                leaves = bisect_right(hazard, hazard[at] + rng.expovariate(1.0)) - 1
                if leaves < end - 1:
                    written += self._tokens[at : leaves + 1]
                    at = rng.choice(self._places[leaves]) + 1
                    current = bisect_right(self._starts, at) - 1
                    end = self._starts[current + 1]
                    continue
                written += self._tokens[at:end]
                onward = current + 1
                astray = current != sentence and onward < len(self._article_of)
                if not astray or self._article_of[onward] != self._article_of[current] or rng.random() < return_home:
                    break
                current, at, end = onward, end, self._starts[onward + 1]
        if written:
            written[0] = written[0].lstrip()
        return Written(written[:limit], "length" if len(written) > limit else "stop")
