"""Which tools a model may call, and with what."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.spec.filter_rule import FilterRule


def fault(rule: FilterRule, name: str, arguments: str | None = None) -> str:
    """Return what a rule has against a call, `tool` or `argument`, or an empty string.

    `arguments` is JSON; None where a tool is only offered.
    """
    if name not in rule.tools:
        return "tool"
    if arguments is None:
        return ""
    bounds = [(path, allowed) for path, allowed in rule.arguments if path.partition(".")[0] == name]
    if not bounds:
        return ""
    try:
        given = msgspec.json.decode(arguments or "{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "argument"
    for path, allowed in bounds:
        for value in _values(given, path.split(".")[1:]):
            if not any(fnmatchcase(_written(value), pattern) for pattern in allowed):
                return "argument"
    return ""


def _values(given: Any, path: list[str]) -> Iterator[Any]:
    """Yield every value at a path; all of a list count."""
    if isinstance(given, list):
        for item in given:
            yield from _values(item, path)
    elif not path:
        yield given
    elif isinstance(given, dict) and path[0] in given:
        yield from _values(given[path[0]], path[1:])


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
