"""People's own words in facts that refer to them: the facts keep the references, by which their digest holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "words:"
"""What a reference begins with; 64 hex digits follow."""
REFERENCE = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")


def in_words(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with what stands in their `words` in the place of every reference."""
    words: Mapping[str, str] = facts.get("words", {})
    found: dict[str, Any] = replaced(dict(facts), lambda one: words.get(one, one))
    return found


def replaced(data: Any, words: Callable[[str], str]) -> Any:
    """Return plain JSON data with `words` of every reference in its place, within longer texts too."""
    match data:
        case str():
            return REFERENCE.sub(lambda found: words(found[0]), data) if PREFIX in data else data
        case dict():
            return {name: replaced(value, words) for name, value in data.items()}
        case list() | tuple():
            return [replaced(value, words) for value in data]
        case _:
            return data
