"""The search form of inferences: what its fields ask for, and what of them cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTCOMES = {
    "answered": "answered",
    "error": "any error of its release",
    "fallback": "answered by a fallback",
    "cancelled": "the client went away",
    "unfinished": "not finished",
}
SOURCES = ("live", "shadow", "evaluation", "replay", "all")
_PLAIN = ("release", "arm", "outcome", "error", "hit", "metric", "words", "before", "unit")
_IDS = ("before", "unit")
_LONGEST_ID = 64
_NUMBERS = {
    # field of the form -> (argument, its scale, what it is called)
    "value_from": ("value_least", None, "value from"),
    "value_to": ("value_most", None, "value to"),
    "ms_from": ("duration_least", 1_000, "milliseconds from"),
    "ms_to": ("duration_most", 1_000, "milliseconds to"),
    "cost_from": ("cost_least", 1_000_000, "cost from"),
    "cost_to": ("cost_most", 1_000_000, "cost to"),
}
_TIMES = ("since", "until")
FIELDS = (*_PLAIN, "source", *_NUMBERS, *_TIMES)
_LONGEST = 200
_GREATEST = 1e12


class Asked(NamedTuple):
    """What a form asks: the command's arguments, the fields as they were filled in, and what is wrong with them."""

    arguments: dict[str, Any]
    fields: dict[str, str]
    faults: list[str]

    def link(self, **changes: str) -> str:
        """Return the same form's query with some fields changed."""
        return urlencode({key: value for key, value in {**self.fields, **changes}.items() if value})


def asked(query: Mapping[str, str]) -> Asked:
    """Read the form. What cannot be read is said and left out: a link that somebody mangled still shows a page."""
    fields = {name: query.get(name, "").strip()[:_LONGEST] for name in FIELDS}
    fields["source"] = fields["source"] or "live"
    faults: list[str] = []
    arguments = {**_named(fields, faults), **_ranges(fields, faults)}
    for name in _TIMES:
        if fields[name]:
            at = _time(fields[name])
            if at is None:
                faults.append(f"{name} is {fields[name]!r}, and no time such as 2026-11-23T14:00 (UTC)")
            else:
                arguments[name] = at
    return Asked(arguments, fields, faults)


def _named(fields: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: fields[name] for name in _PLAIN if fields[name]}
    if fields["outcome"] and fields["outcome"] not in OUTCOMES:
        del found["outcome"]
        faults.append(f"outcome {fields['outcome']!r} is none; there are {', '.join(OUTCOMES)}")
    for name in _IDS:
        if any(letter not in "0123456789abcdef" for letter in fields[name]) or len(fields[name]) > _LONGEST_ID:
            del found[name]
            faults.append(f"{name} {fields[name][:40]!r} is no id")
    if fields["source"] != "all":
        found["source"] = fields["source"]
    return found


def _ranges(fields: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (argument, scale, called) in _NUMBERS.items():
        if not fields[name]:
            continue
        number = _number(fields[name])
        if number is None or (scale and number < 0):
            faults.append(f"{called} is {fields[name]!r}, and no number{' of 0 or more' if scale else ''}")
        elif scale or fields["metric"]:
            found[argument] = round(number * scale) if scale else number
        else:
            faults.append("a value is of a metric: choose which")
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if abs(number) <= _GREATEST else None


def _time(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    microseconds = int(at.timestamp() * 1_000_000)
    return microseconds if microseconds > 0 else None
