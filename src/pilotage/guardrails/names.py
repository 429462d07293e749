"""Finds the names that somebody who reads texts whole has found in those of one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.guardrails.phrases import Phrases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.guardrails.look import Find, Sight

_FEWEST = 2
_MOST = 500


class Names:
    """Wherever they stand, also in what comes later; none until they are added."""

    folds = True
    kinds = ("name",)

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._phrases: Phrases | None = None

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            if sum(sign.isalpha() for sign in name) >= _FEWEST and len(self._known) < _MOST:
                self._known[name.strip()] = None
        if self._known:
            self._phrases = Phrases(tuple(self._known), "name")

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        return ([], len(sight.text)) if self._phrases is None else self._phrases.look(sight)
