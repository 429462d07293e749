"""Which groups a request says that its unit belongs to, as far as the use case's file knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEADER = "x-pilotage-segment"


def segment_of(text: str, declared: Mapping[str, Sequence[str]]) -> str:
    """Return `language=de;age=old` of `age=old, language=de`, in the file's order; what it does not know is passed over.

    Of a segment that is said twice the last counts. Nothing else of what a client sends reaches a record.
    """
    said = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if value in declared.get(name, ()):
            said[name] = value
    return ";".join(f"{name}={said[name]}" for name in declared if name in said)
