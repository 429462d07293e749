"""What a case expects of a reply beyond its words: a pattern, a JSON schema, a number, a likeness, bounds. Free of pydantic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec
import re2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMS = ("regex", "schema", "number", "similar", "at_most", "retrieves", "refuses")
_MEMORY = 8 << 20
_HOW = {
    "regex": '"regex" must be a list of RE2 patterns that are all found in the reply, such as ["[A-Z]{2}-[0-9]{4}"]',
    "number": '"number" must be the number that the reply ends with, such as {"is": 42, "within": 0.5}',
    "similar": '"similar" must be a text and how alike the reply is, such as {"to": "...", "at_least": 0.7}',
    "at_most": '"at_most" must hold seconds, words or cost, such as {"seconds": 2, "words": 80}',
    "retrieves": '"retrieves" must name sources, such as {"one_of": ["returns.md"], "within": 3}',
    "refuses": '"refuses" must be true or false: whether the reply declines to answer',
}


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last number in the reply, and how far it may be off."""

    value: float = msgspec.field(name="is")
    within: float = 0.0


class Retrieves(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sources of which one must be among the first `within` that were retrieved; among all of them where it is None."""

    one_of: tuple[str, ...]
    within: int | None = None


class Similar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, and the F1 of the words that it shares with the reply, at the least."""

    to: str
    at_least: float = 0.7


class AtMost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on one reply: how long it took, how long it is, what it cost (in the file's currency)."""

    seconds: float | None = None
    words: int | None = None
    cost: float | None = None


def pattern(text: str) -> Any:
    """Return a compiled RE2 pattern, linear in what it searches; raise re2.error."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile(text, options)


def validator(schema: dict[str, Any], *, mask: str | None = None) -> Any:
    """Return a JSON schema's validator: patterns linear in what they search, and nothing fetched. Raise ValueError.

    With `mask`, that stands in its errors where the text's own values would.
    """
    return jsonschema_rs.validator_for(schema, offline=True, mask=mask, pattern_options=jsonschema_rs.RegexOptions())


def form_faults(value: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with these keys of a case as it stands in its file, and what would be right."""
    for key, check in _CHECKS.items():
        if key in value and (says := check(value[key])):
            yield says


def _regex(given: Any) -> str:
    if not isinstance(given, list) or not given or not all(isinstance(one, str) and one for one in given):
        return _HOW["regex"]
    for one in given:
        try:
            pattern(one)
        except re2.error as fault:
            why = fault.args[0] if fault.args else fault
            says = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
            return f'"regex" has {one[:60]!r}, which is no RE2 pattern: {says[:200]}'
    return ""


def _schema(given: Any) -> str:
    if not isinstance(given, dict):
        return '"schema" must be a JSON schema, such as {"type": "object", "required": ["answer"]}'
    try:
        validator(given)
    except ValueError as fault:
        return f'"schema" is no JSON schema that can be used: {str(fault).splitlines()[0][:200]}'
    return ""


def _struct(key: str, kind: type[Any]) -> Callable[[Any], str]:
    def check(given: Any) -> str:
        try:
            found = msgspec.convert(given, kind)
        except msgspec.ValidationError as fault:
            return f"{_HOW[key]} ({fault})"
        figures = [one for one in msgspec.structs.astuple(found) if isinstance(one, int | float)]
        if not all(math.isfinite(one) for one in figures) or (key == "at_most" and not figures):
            return _HOW[key]
        if isinstance(found, Similar) and not (found.to.strip() and 0 < found.at_least <= 1):
            return f"{_HOW[key]}; at_least is above 0 and at most 1"
        if (isinstance(found, Number) and found.within < 0) or (key == "at_most" and min(figures) <= 0):
            return f"{_HOW[key]}; bounds are above 0"
        return ""

    return check


def _retrieves(given: Any) -> str:
    try:
        found = msgspec.convert(given, Retrieves)
    except msgspec.ValidationError as fault:
        return f"{_HOW['retrieves']} ({fault})"
    if not found.one_of or not all(one.strip() for one in found.one_of):
        return _HOW["retrieves"]
    return "" if found.within is None or found.within >= 1 else f"{_HOW['retrieves']}; within is 1 or more"


def _refuses(given: Any) -> str:
    return "" if isinstance(given, bool) else _HOW["refuses"]


_CHECKS: dict[str, Callable[[Any], str]] = {
    "regex": _regex,
    "schema": _schema,
    "number": _struct("number", Number),
    "similar": _struct("similar", Similar),
    "at_most": _struct("at_most", AtMost),
    "retrieves": _retrieves,
    "refuses": _refuses,
}
