"""Finds runs of words that a release's own prompt holds: a model that repeats its instructions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.look import Find, settled

if TYPE_CHECKING:
    from pilotage.guardrails.look import Sight

_WORD = re.compile(r"\w+")
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


class PromptWords:
    """`count` words in a row, as they stand between the prompt's variables; longer runs are one find."""

    folds = True
    kinds = ("prompt",)

    def __init__(self, prompt: str, count: int) -> None:
        self._count = count
        self._known: set[tuple[str, ...]] = set()
        for piece in _TEMPLATE.split(prompt):
            words = _WORD.findall(Folded(piece).text.lower())
            self._known.update(tuple(words[at : at + count]) for at in range(len(words) - count + 1))

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        words = list(_WORD.finditer(sight.text.lower(), sight.since))
        said = [word[0] for word in words]
        finds: list[Find] = []
        for at in range(len(words) - self._count + 1):
            if tuple(said[at : at + self._count]) not in self._known:
                continue
            sight.timer.check()
            start, end = words[at].start(), words[at + self._count - 1].end()
            if finds and start < finds[-1].end:
                start = finds.pop().start
            finds.append(Find(start, end, "prompt"))
        end = len(sight.text)
        if not sight.last and self._known:
            # The last word may not be whole, so what it and those before it begin is not known.
            left = words[-self._count :]
            end = settled(left[0].start() if left else end, [find[:2] for find in finds])
            finds = [find for find in finds if find.end <= end]
        return finds, end
