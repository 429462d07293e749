"""Whether a question is about what a use case is for, as far as its words tell."""

from __future__ import annotations

import re

from pilotage.guardrails.folded import Folded

_WORD = re.compile(r"\w+")
_FEWEST = 4
"""Shorter ones ("yes, please") are about whatever was said before."""


def strays(question: str, topics: tuple[str, ...]) -> bool:
    """Whether none of a question's words is one of the topics'; `refund*` is every word that begins so."""
    words = _WORD.findall(Folded(question).text.lower())
    if len(words) < _FEWEST:
        return False
    plain = [Folded(topic).text.lower() for topic in topics]
    whole = {topic for topic in plain if not topic.endswith("*")}
    begun = tuple(topic[:-1] for topic in plain if topic.endswith("*"))
    return not any(word in whole or (begun and word.startswith(begun)) for word in words)
