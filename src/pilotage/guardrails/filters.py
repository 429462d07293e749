"""The filters of a release, made ready once: what they look for, and what they do about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.identifiers import KINDS
from pilotage.guardrails.injection import Injection
from pilotage.guardrails.links import Links
from pilotage.guardrails.names import Names
from pilotage.guardrails.personal_data import PersonalData
from pilotage.guardrails.phone import Phones
from pilotage.guardrails.phrases import Phrases
from pilotage.guardrails.prompt_words import PromptWords

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.guardrails.look import Find, Finder, Sight
    from pilotage.spec.filter_rule import FilterRule

log = logging.getLogger(__name__)


_GLANCE_MOST = 64 << 10
"""Signs that are looked at without a deadline: they take a quarter of a millisecond."""


class TextFilter(NamedTuple):
    """`finder` is None for a filter that only counts signs."""

    rule: FilterRule
    finder: Finder | None


class Filters:
    """`into` and `out` are the filters of texts of each side, in the file's order; the others look at what is no text."""

    def __init__(self, rules: tuple[FilterRule, ...], prompt: str) -> None:
        texts = [TextFilter(rule, finder) for rule in rules for finder in _finders(rule, prompt)]
        self.into = [one for one in texts if "in" in one.rule.sides]
        self.out = [one for one in texts if "out" in one.rule.sides]
        self.tools_in = [rule for rule in rules if rule.kind == "tools" and "in" in rule.sides]
        self.tools_out = [rule for rule in rules if rule.kind == "tools" and "out" in rule.sides]
        self.names_in = [rule for rule in rules if rule.kind == "names" and "in" in rule.sides]
        self.names_out = [rule for rule in rules if rule.kind == "names" and "out" in rule.sides]
        self.schemas = [rule for rule in rules if rule.kind == "schema"]
        self.topics = [rule for rule in rules if rule.kind == "topics"]
        self.looks_in = bool(self.into or self.tools_in or self.topics)
        self.looks_out = bool(self.out or self.tools_out)
        closer = self.tools_in or self.topics
        self._glance = {"in": None if closer else _glance(self.into), "out": _glance(self.out)}

    def clear(self, texts: Sequence[str], side: str) -> bool:
        """Return whether it is certain, at one glance, that these whole texts of a request (`in`) or an answer pass as they are."""
        glance = self._glance[side]
        if glance is None:
            return False
        # What is found in a text is found in them all as well: none of the sets looks at where a text begins or ends.
        text = texts[0] if len(texts) == 1 else "\n".join(texts)
        if len(text) > _GLANCE_MOST:
            return False
        data = text.encode() if text.isascii() else Folded(text).data
        for finder in glance:  # noqa: SIM110 - a generator for each text of each request
            if not finder.nothing(data):
                return False
        return True


def _glance(filters: Sequence[TextFilter]) -> tuple[PersonalData, ...] | None:
    """Return who can tell at one glance that nothing is to be found, None where some filter of this side must look closer."""
    found = tuple(one.finder for one in filters if isinstance(one.finder, PersonalData))
    return found if len(found) == len(filters) else None


class _Broken:
    """A filter that cannot be made here: each look is an error, and the file says what follows."""

    folds = True
    kinds = ()

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        del sight
        raise self._fault


def _finders(rule: FilterRule, prompt: str) -> Sequence[Finder | None]:
    try:
        return _made(rule, prompt)
    except ImportError as fault:
        log.error("the filter %s needs a package that is not installed: %s", rule.name, fault.name)  # noqa: TRY400
        return [_Broken(fault)]


def _made(rule: FilterRule, prompt: str) -> Sequence[Finder | None]:
    finders: list[Finder | None] = []
    match rule.kind:
        case "personal_data":
            finders.append(PersonalData(rule.find or KINDS, Phones(rule.regions) if rule.regions else None))
        case "phrases":
            finders.append(Phrases(rule.phrases, "phrase"))
        case "links":
            finders.append(Links(rule.hosts))
        case "injection":
            finders.append(Injection())
        case "leak":
            if rule.canaries:
                finders.append(Phrases(rule.canaries, "canary"))
            finders.append(PromptWords(prompt, rule.words))
        case "names":
            # Each request has its own, which its passage puts in this one's place.
            finders.append(Names())
        case "length":
            finders.append(None)
    return finders
