"""What stands in the place of redacted data, such as `[email_1]`, and the way back where an answer repeats it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotage.guardrails.look import Find

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.guardrails.look import Sight

_FORM = re.compile(rb"\[[a-zA-Z_]{1,20}_[0-9]{1,6}\]")
_OPEN = re.compile(rb"\[[a-zA-Z_]{0,21}[0-9]{0,6}\Z")
_LONGEST = 30


class Placeholders:
    """Those of one request. One value has one placeholder, wherever it stands."""

    folds = True
    kinds = ("restored",)

    def __init__(self) -> None:
        self._by_value: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def reserve(self, texts: Iterable[str]) -> None:
        """Never give out what the caller wrote: an answer that repeats that must stay as it is."""
        for text in texts:
            if "_" in text and "[" in text:
                self._taken.update(
                    found[0].decode().lower() for found in _FORM.finditer(text.encode("ascii", "replace"))
                )

    def put(self, kind: str, value: str) -> str:
        known = self._by_value.get((kind, value))
        if known is not None:
            return known
        number = self._counts.get(kind, 0) + 1
        while (placeholder := f"[{kind}_{number}]") in self._taken:
            number += 1
        self._counts[kind] = number
        self._by_value[kind, value] = placeholder
        self._values[placeholder] = value
        return placeholder

    def __bool__(self) -> bool:
        return bool(self._values)

    def get(self, placeholder: str) -> str:
        """Return what it stands for, or itself where it stands for nothing."""
        return self._values.get(placeholder.lower(), placeholder)

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        data = sight.data
        finds = [Find(*found.span(), "restored") for found in _FORM.finditer(data, sight.since)]
        open_ = None if sight.last else _OPEN.search(data, max(sight.since, len(data) - _LONGEST))
        return finds, len(data) if open_ is None else open_.start()
