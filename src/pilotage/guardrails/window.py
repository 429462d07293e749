"""A text on its way through a finder, whole or piece by piece: what may still become a find is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.look import CONTEXT, Sight
from pilotage.guardrails.personal_data import PersonalData

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
        self._words = finder.words if isinstance(finder, PersonalData) else None
        self.held = ""
        # What came before, as the finder saw it last.
        self._before = ""
        self._before_data = b""

    def glance(self, text: str) -> str | None:
        """Return what may go out now of a text that goes on, where its signs alone tell; None where it must be looked at."""
        if self._words is None:
            return None
        text = self.held + text
        if not text.isascii():
            return None
        since, data = len(self._before_data), self._before_data + text.encode()
        settled = self._words(data, since)
        if settled < 0:
            return None
        start = max(0, settled - CONTEXT)
        self._before, self._before_data = (self._before + text)[start:settled], data[start:settled]
        end = settled - since
        self.held = text[end:]
        return text[:end]

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
        if not finds:
            if last:
                return text
            end = folded.origin(settled - since)
            self._keep(text[end:], sight, settled)
            return text[:end]
        pieces: list[str] = []
        at = 0
        for find in finds:
            start, end = folded.stood(find.start - since, find.end - since)
            pieces += (text[at:start], self._replace(find, text[start:end]))
            at = end
        end = len(text) if last else folded.origin(settled - since)
        pieces.append(text[at:end])
        if not last:
            self._keep(text[end:], sight, settled)
        return "".join(pieces)

    def _keep(self, held: str, sight: Sight, settled: int) -> None:
        """Hold back what may still become a find, and remember what stood before it."""
        self.held = held
        if len(held) > HELD_MOST:
            raise Overflow
        start = max(0, settled - CONTEXT)
        self._before, self._before_data = sight.text[start:settled], sight.data[start:settled]
