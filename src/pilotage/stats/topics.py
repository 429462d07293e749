"""What texts are about, by hashed pieces of them: topics, words that nobody used before, and texts unlike any before.

A text is its set of words, pairs of words and four-letter pieces of words, each hashed under a seed into `BUCKETS`
buckets (Weinberger et al. 2009, ICML, feature hashing), weighted by how rare a bucket is. Topics are directions found by
spherical k-means (Dhillon & Modha 2001, Machine Learning 42:143). How strange a text is, is its distance to the nearest
of them; a text is novel above the `NOVEL` quantile of texts that the topics were not made of (split conformal: Papadopoulos
et al. 2002). Among texts that are exchangeable with those, 1 - NOVEL are novel. The part of all later texts that are is held against
the *upper limit* of that figure by a detector: p-values from one calibration set all lean on the same draw, so they must
not be multiplied (Bates et al. 2023, AoS 51:149).

Where somebody embeds the texts, their vectors take the place of the rows of hashed pieces; all else is the same.

What is kept are sums over many texts, never the pieces of one.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import xxhash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Pieces = NDArray[np.int64]
    Matrix = NDArray[np.float32]

BUCKETS = 4096
TOPICS = 24
NOVEL = 0.98
LONGEST = 2_000
"""Characters of a text that are looked at."""
_ROUNDS = 10
KEPT = 400
"""A topic's heaviest buckets; the rest of it is noise."""
_WORDS = re.compile(r"\w+")
_PIECE = 4


class Counted(msgspec.Struct, frozen=True):
    """One text's distinct pieces and distinct words, as bucket numbers."""

    pieces: tuple[int, ...]
    words: tuple[int, ...]


def counted(text: str, seed: int) -> Counted:
    """Return a text's pieces. The seed is a secret: without it, nobody can look a word up in what is kept."""
    words = _WORDS.findall(text[:LONGEST].lower())
    single = {_bucket(word, seed) for word in words}
    pieces = set(single)
    pieces.update(_bucket(f"{one} {next_}", seed) for one, next_ in pairwise(words))
    for word in set(words):
        edged = f"<{word}>"
        pieces.update(_bucket(edged[at : at + _PIECE] + "*", seed) for at in range(max(1, len(edged) - _PIECE + 1)))
    return Counted(tuple(sorted(pieces)), tuple(sorted(single)))


def _bucket(piece: str, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(piece.encode("utf-8", "replace"), seed=seed) % BUCKETS


class Direction(msgspec.Struct, frozen=True):
    """One topic: its buckets (numbers of a vector) and their weights."""

    buckets: tuple[int, ...]
    weights: tuple[float, ...]


class Topics(msgspec.Struct, frozen=True, dict=True):
    """Directions in a space of `width` numbers; `strange` is the distance at which novelty begins."""

    width: int
    directions: tuple[Direction, ...]
    strange: float = 1.0

    def look(self, rows: Matrix) -> tuple[NDArray[np.int64], Matrix]:
        """Return the nearest topic of each row (texts x width, each of length 1), and how far from it the row lies (0 to 2)."""
        near = rows @ self._matrix.T
        return near.argmax(axis=1), 1.0 - near.max(axis=1)

    @cached_property
    def _matrix(self) -> Matrix:
        found = np.zeros((len(self.directions), self.width), dtype=np.float32)
        for row, direction in enumerate(self.directions):
            found[row, list(direction.buckets)] = direction.weights
        return found


class Vocabulary(msgspec.Struct, frozen=True, dict=True):
    """`rarity` is each bucket's weight; `words` are those that were used."""

    rarity: tuple[float, ...]
    words: frozenset[int]

    def rows(self, texts: Sequence[Counted]) -> Matrix:
        """Return a row a text (texts x BUCKETS), of length 1 (0 for one without any piece)."""
        rows = np.zeros((len(texts), BUCKETS), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            at = list(text.pieces)
            row[at] = self._rarity[at]
        return unit(rows)

    def unfamiliar(self, text: Counted) -> float:
        """Return the part of a text's distinct words that nobody used before."""
        return sum(word not in self.words for word in text.words) / len(text.words) if text.words else 0.0

    @cached_property
    def _rarity(self) -> Matrix:
        return np.asarray(self.rarity, dtype=np.float32)


def vocabulary(texts: Sequence[Counted]) -> Vocabulary:
    """Return how rare each bucket is in some texts, and the words that they use."""
    seen = np.zeros(BUCKETS)
    for one in texts:
        seen[list(one.pieces)] += 1
    rarity = np.log((len(texts) + 1) / (seen + 1)).astype(np.float32)
    return Vocabulary(tuple(np.round(rarity, 4).tolist()), frozenset(word for one in texts for word in one.words))


def learn(fit: Matrix, held_out: Matrix, rng: np.random.Generator, kept: int = KEPT) -> Topics:
    """Return the topics of some rows, each by its `kept` heaviest numbers, and from where on others of the same kind are novel."""
    width = fit.shape[1]
    centres = _centres(fit, min(TOPICS, len(fit)), rng)
    topics = Topics(width, tuple(_direction(row, kept) for row in centres))
    _, far = topics.look(held_out)
    rank = min(len(far), int(np.ceil(NOVEL * (len(far) + 1))))
    return msgspec.structs.replace(topics, strange=float(np.sort(far)[rank - 1]))


def _centres(rows: Matrix, count: int, rng: np.random.Generator) -> Matrix:
    centres = rows[rng.choice(len(rows), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest = (rows @ centres.T).argmax(axis=1)
        for topic in range(count):
            mine = rows[nearest == topic]
            if len(mine):
                centres[topic] = mine.sum(axis=0)
        centres = unit(centres)
    return centres


def unit(rows: Matrix) -> Matrix:
    """Return rows of length 1 (0 where they were)."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-9), dtype=np.float32)


def _direction(row: Matrix, kept: int) -> Direction:
    heaviest = np.sort(np.argsort(np.abs(row))[-kept:])
    heaviest = heaviest[row[heaviest] != 0]
    return Direction(tuple(heaviest.tolist()), tuple(np.round(row[heaviest], 5).tolist()))
