"""Finds what is typical of attempts to talk a model out of its instructions. Heuristics: most attacks look otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from pilotage.guardrails.look import Find

if TYPE_CHECKING:
    from pilotage.guardrails.look import Sight

_ALL = (
    r"(?:\s+(?:all|any|every|the|these|those|my|your|of|previous|prior|above|earlier|preceding|former|existing)){1,6}"
)
_ORDERS = (
    r"\s+(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|messages?|context|constraints?)"
)
_PATTERNS = {
    "override": rf"(?:ignore|disregard|forget|override|bypass|skip|drop|neglect){_ALL}{_ORDERS}",
    "new_orders": r"(?:new|updated|real|actual)\s+(?:system\s+)?(?:instructions?|prompt|rules)\s*(?:are|is|:|follow)",
    "prompt_theft": r"(?:reveal|show|print|repeat|output|display|tell|give|share|copy|write|recite|what(?:'s| is| are| were))"
    r"(?:\s+[\w']+){0,6}\s+(?:system\s+prompt|initial\s+(?:prompt|instructions?)|(?:hidden|secret|original|full)\s+(?:prompt|instructions?|rules)|instructions\s+(?:above|verbatim))",
    "role_play": r"(?:you are (?:now )?(?:dan|aim|stan|dude|jailbroken|unrestricted|unfiltered|evil)\b|do anything now|developer mode|jailbreak"
    r"|(?:without|no|free of|ignoring) (?:any )?(?:ethical|moral|safety|content) (?:\w+ ){0,2}(?:guidelines|restrictions|filters?|constraints|limits|concerns|considerations))",
    "prefix": r"(?:start|begin|respond|answer)(?:\s+\w+){0,4}\s+with\s+[\"'](?:sure|absolutely|of course|certainly|yes)",
    "markers": r"(?:<\|(?:im_start|im_end|system|endoftext)\|>|\[/?inst\]|<<sys>>|###\s*(?:system|instruction))",
}


class Injection:
    folds = True
    kinds = tuple(_PATTERNS)

    def __init__(self) -> None:
        self._patterns = [(kind, re2.compile(f"(?i){form}".encode())) for kind, form in _PATTERNS.items()]
        self._gate = re2.Set.SearchSet()
        for form in _PATTERNS.values():
            self._gate.Add(f"(?i){form}".encode())
        self._gate.Compile()

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        """Return one find a pattern at most; only texts that are whole are looked at."""
        finds: list[Find] = []
        for index in self._gate.Match(sight.data) or ():
            sight.timer.check()
            kind, pattern = self._patterns[index]
            found = pattern.search(sight.data)
            if found is not None:
                finds.append(Find(found.start(), found.end(), kind))
        finds.sort()
        return _apart(finds), len(sight.text)


def _apart(finds: list[Find]) -> list[Find]:
    kept: list[Find] = []
    for find in finds:
        if not kept or find.start >= kept[-1].end:
            kept.append(find)
    return kept
