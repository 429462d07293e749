"""Ranked retrieval over a use case's knowledge: BM25 (Robertson and Zaragoza, 2009), k1 = 1.2, b = 0.75."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

K1 = 1.2
B = 0.75

_WORD = re.compile(r"[^\W_]+")
_APOSTROPHE = re.compile(r"['\u2019\u02bc]")
_HEADING = re.compile(r"^#[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_VOWEL = re.compile(r"[aeiouy]")
_STOP_WORDS = """
a about after all also am an and any are as at be because been before but by can cant could did do does dont for
from get got had has have he hello her here hi him his how i id if im in into is it its ive just let like may me
more my no not now of off on once one only or our out over own please she should so some such than thank thanks
that the their them then there these they this those to too up us very want was we were what when where which
while who whom why will with would yes you your
"""
_STOP = frozenset(_STOP_WORDS.split())


class Article(msgspec.Struct, frozen=True):
    title: str
    text: str


def articles(name: str, text: str) -> list[Article]:
    """Return the articles of one file: one for each top-level heading, or the whole file titled by its name."""
    headings = list(_HEADING.finditer(text))
    stem = re.sub(r"[-_]+", " ", name.rpartition("/")[2].rpartition(".")[0] or name).strip()
    found = []
    first = headings[0].start() if headings else len(text)
    if preamble := text[:first].strip():
        found.append(Article(stem, preamble))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=False):
        found.append(Article(heading[1], text[heading.end() : end].strip()))
    return found


def terms(text: str) -> list[str]:
    """Return the words that are searched: lower-case, without accents, stop words and the commonest endings."""
    plain = unicodedata.normalize("NFKD", _APOSTROPHE.sub("", text.casefold()))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return [_fold(word) for word in _WORD.findall(plain) if word not in _STOP]


def _fold(word: str) -> str:
    """Cut plurals and verb endings, so that 'cancelled', 'cancels' and 'cancelling' find 'cancel'."""
    if len(word) > 4 and word.endswith(("ies", "ied")):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) > 2 and _VOWEL.search(base):
            word = base
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


class Index:
    """An immutable index; `best` reads only the postings of the question's own words."""

    def __init__(self, documents: Iterable[Article]) -> None:
        self.articles = tuple(documents)
        counts = [Counter(terms(f"{article.title}\n{article.text}")) for article in self.articles]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for position, count in enumerate(counts):
            norm = K1 * (1 - B + B * lengths[position] / (mean or 1.0))
            for term, frequency in count.items():
                self._postings[term].append((position, frequency * (K1 + 1) / (frequency + norm)))
        total = len(self.articles)
        self._idf = {
            term: math.log(1 + (total - len(found) + 0.5) / (len(found) + 0.5))
            for term, found in self._postings.items()
        }

    def rank(self, question: str) -> list[tuple[float, Article]]:
        """Return (score, article) of every article that shares a word with the question, best first."""
        scores: dict[int, float] = defaultdict(float)
        for term in set(terms(question)):
            for position, weight in self._postings.get(term, ()):
                scores[position] += self._idf[term] * weight
        order = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        return [(score, self.articles[position]) for position, score in order]
