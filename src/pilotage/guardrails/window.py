"""A text on its way through a finder, whole or piece by piece: what may still become a find is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.look import CONTEXT, Sight

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.guardrails.look import Find, Finder, Timer

HELD_MOST = 64 << 10
"""Signs that are held back at most; nothing that people or models write comes near it."""


class Overflow(Exception):
    """More would have to be held back than may be."""


class Window:
    """One text. `replace` is told of each find and what stood there, and returns what goes out in its place."""

    def __init__(self, finder: Finder, replace: Callable[[Find, str], str]) -> None:
        self._finder = finder
        self._replace = replace
        self.held = ""
        # What came before, as the finder saw it last.
        self._before = ""
        self._before_data = b""

    def feed(self, text: str, timer: Timer, *, last: bool = False) -> str:
        """Return what may go out now; with `last`, all the rest."""
        text = self.held + text
        if not text:
            return ""
        folded = Folded(text, folds=self._finder.folds)
        since = len(self._before)
        sight = Sight(
            self._before + folded.text,
            self._before_data + folded.data,
            since,
            last=last,
            timer=timer,
        )
        finds, settled = self._finder.look(sight)
        if last and not finds:
            return text
        pieces: list[str] = []
        at = 0
        for find in finds:
            start, end = folded.stood(find.start - since, find.end - since)
            pieces += (text[at:start], self._replace(find, text[start:end]))
            at = end
        end = len(text) if last else folded.origin(settled - since)
        pieces.append(text[at:end])
        self.held = text[end:]
        if len(self.held) > HELD_MOST:
            raise Overflow
        if not last:
            start = max(0, settled - CONTEXT)
            self._before, self._before_data = sight.text[start:settled], sight.data[start:settled]
        return "".join(pieces)
