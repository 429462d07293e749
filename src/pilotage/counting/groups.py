"""The groups that a unit counts in, one of every segment that the file declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.spec.fairness import group_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST = 10_000
"""So many different things that were said are remembered."""


class Groups:
    """`of` is asked for every unit that matures, so what was said once is not read twice."""

    def __init__(self, segments: Mapping[str, Sequence[str]]) -> None:
        self._segments = segments
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, said: str) -> tuple[str, ...]:
        """Return the groups of a unit of which `language=de;age=old` was said: none where the file declares none."""
        if not self._segments:
            return ()
        found = self._known.get(said)
        if found is None:
            told = dict(part.partition("=")[::2] for part in said.split(";") if part)
            found = tuple(
                group_of(name, value if (value := told.get(name, "")) in values else "")
                for name, values in self._segments.items()
            )
            if len(self._known) < _MOST:
                self._known[said] = found
        return found
