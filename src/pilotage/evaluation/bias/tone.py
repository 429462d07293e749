"""A rough measure of tone: how warm an answer's words are, by a short list of them. English only."""

from __future__ import annotations

import re

_WARM = frozenset(
    [
        "please",
        "thanks",
        "thank",
        "welcome",
        "happy",
        "glad",
        "gladly",
        "sorry",
        "help",
        "helpful",
        "pleasure",
        "enjoy",
        "hope",
        "great",
        "certainly",
        "sure",
        "love",
        "kindly",
    ]
)
_COLD = frozenset(
    [
        "cannot",
        "can't",
        "won't",
        "not",
        "no",
        "never",
        "must",
        "refuse",
        "unable",
        "deny",
        "denied",
        "invalid",
        "wrong",
        "fraud",
        "suspicious",
        "unfortunately",
        "however",
    ]
)
_WORD = re.compile(r"[a-z']+")


def tone(text: str) -> float:
    """Return warm less cold words, as a share of all words, from -1 to 1."""
    words = _WORD.findall(text.casefold().replace("\u2019", "'"))
    return sum((word in _WARM) - (word in _COLD) for word in words) / len(words) if words else 0.0
