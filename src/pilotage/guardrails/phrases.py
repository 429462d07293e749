"""Finds given phrases, however they are cased, accented or spaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.look import Find, settled

if TYPE_CHECKING:
    from pilotage.guardrails.look import Sight

_BLANKS = re.compile(r"\s+")
_BEGINS = re.compile(r"\b\w|[^\w\s]")


class Phrases:
    """Whole words, with one to three blanks where the phrase has one."""

    folds = True

    def __init__(self, phrases: tuple[str, ...], kind: str) -> None:
        self.kinds = (kind,)
        plain = [_BLANKS.sub(" ", Folded(phrase).text.lower().strip()) for phrase in phrases]
        # The longest first, so that none is cut short by another.
        plain.sort(key=len, reverse=True)
        forms = "|".join(re.escape(phrase).replace("\\ ", r"\s{1,3}") for phrase in plain)
        self._pattern = re.compile(rf"(?<!\w)(?:{forms})(?!\w)")
        self._beginnings = {phrase[:end] for phrase in plain for end in range(1, len(phrase) + 1)}
        self._longest = max(len(phrase) + 2 * phrase.count(" ") for phrase in plain) + 3

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        text = sight.text.lower()
        finds = []
        for found in self._pattern.finditer(text, sight.since):
            sight.timer.check()
            finds.append(Find(*found.span(), self.kinds[0]))
        end = len(text)
        if not sight.last:
            for begin in _BEGINS.finditer(text, max(sight.since, len(text) - self._longest)):
                if _BLANKS.sub(" ", text[begin.start() :]).rstrip() in self._beginnings:
                    end = begin.start()
                    break
            end = settled(end, [find[:2] for find in finds])
            finds = [find for find in finds if find.end <= end]
        return finds, end
