"""The filters of a release, made ready once: what they look for, and what they do about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from pilotage.guardrails.personal_data import KINDS, PersonalData
from pilotage.guardrails.phone import Phones

if TYPE_CHECKING:
    from pilotage.guardrails.look import Find, Finder, Sight
    from pilotage.spec.filter_rule import FilterRule

log = logging.getLogger(__name__)


class TextFilter(NamedTuple):
    rule: FilterRule
    finder: Finder


class Filters:
    """`into` and `out` are the filters of texts of each side, in the file's order."""

    def __init__(self, rules: tuple[FilterRule, ...]) -> None:
        texts = [TextFilter(rule, _finder(rule)) for rule in rules]
        self.into = [one for one in texts if "in" in one.rule.sides]
        self.out = [one for one in texts if "out" in one.rule.sides]


class _Broken:
    """A filter that cannot be made here: each look is an error, and the file says what follows."""

    kinds = ()

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        del sight
        raise self._fault


def _finder(rule: FilterRule) -> Finder:
    try:
        return _made(rule)
    except ImportError as fault:
        log.error("the filter %s needs a package that is not installed: %s", rule.name, fault.name)  # noqa: TRY400
        return _Broken(fault)


def _made(rule: FilterRule) -> Finder:
    return PersonalData(rule.find or KINDS, Phones(rule.regions) if rule.regions else None)
