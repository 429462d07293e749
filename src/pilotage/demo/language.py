"""How the stand-in reads: words cut to stems, misspellings mended, other words for the same thing added."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from typing import TYPE_CHECKING

from pilotage.upstream.ranking import terms

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILLERS = frozenset(
    terms(
        "come came comes coming didn't doesn't don't else exactly here how however isn't know like long many much must need "
        "never new next possible really say says see sent something someone still step steps take takes taken thing things "
        "time today until way week weeks won't wasn't whether work works yesterday already ago any anything around another "
        "good nice great help question ask answer find first found give given go going gone hand left look made make may "
        "morning mine none other put right said same seem show sure think told turn two three both word year years you've"
    )
)
_SHORTEST = 3
_LIKE = 0.68
_MOST_MENDED = 50_000
_FILLER, _SAME, _NEAR = 0.8, 0.35, 0.1


def grams(item: str, size: int = 4) -> list[str]:
    """Return the character n-grams of one stem with its edges marked."""
    padded = f"_{item}_"
    return [padded[at : at + size] for at in range(max(len(padded) - size + 1, 1))]


def _groups() -> dict[str, dict[str, float]]:
    """Return, for each stem of the table of words, the others that it stands for or hints at, with weights."""
    text = resources.files(__package__).joinpath("same_words.txt").read_text(encoding="utf-8")
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        kind, colon, members = line.partition(":")
        if colon and kind in ("same", "near"):
            stems = {stem for word in members.split() for stem in terms(word)}
            for stem in stems:
                others = found.setdefault(stem, {})
                for other in stems - {stem}:
                    others[other] = max(others.get(other, 0.0), _SAME if kind == "same" else _NEAR)
    return found


class Reader:
    """Reads questions in the light of a vocabulary of stems."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._groups = _groups()
        self._vocabulary = frozenset(vocabulary) | self._groups.keys()
        self._holding: dict[str, list[str]] = {}
        for item in sorted(self._vocabulary):
            for gram in set(grams(item, 2)):
                self._holding.setdefault(gram, []).append(item)
        self._mended: dict[str, str] = {}

    def mend(self, item: str) -> str:
        """Return the known stem most like this one (by the Dice coefficient of letter pairs), or the stem itself."""
        if item in self._vocabulary or len(item) < _SHORTEST or item.isdigit() or item in _FILLERS:
            return item
        found = self._mended.get(item)
        if found is None:
            pairs = set(grams(item, 2))
            shared = Counter(other for gram in pairs for other in self._holding.get(gram, ()))
            alike = ((2 * count / (len(pairs) + len(set(grams(other, 2)))), other) for other, count in shared.items())
            best, other = max(alike, default=(0.0, item))
            if len(self._mended) >= _MOST_MENDED:
                self._mended.clear()
            found = self._mended[item] = other if best >= _LIKE else item
        return found

    def read(self, text: str) -> dict[str, float]:
        """Return stems with their weights: 1 for what was said, less for fillers and for words that mean the same."""
        said = dict.fromkeys(map(self.mend, terms(text)), 1.0)
        meant: dict[str, float] = {}
        for item in said:
            for other, weight in self._groups.get(item, {}).items():
                meant[other] = max(weight, meant.get(other, 0.0))
        return {**meant, **{item: _FILLER if item in _FILLERS else 1.0 for item in said}}
