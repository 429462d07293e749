"""Events that were read before the start that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.records import Feedback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.records import Finished, Started

_Events = dict[str, list["Finished | Feedback"]]


class Waiting:
    """Segments of several workers are read one after another, so feedback or an end can be read before its start.

    Such events wait until every segment was read to its end once more: what was appended before them has been read by
    then, and what still joins nothing never will.
    """

    def __init__(self) -> None:
        # By the id, the business key or the unit of the start, in this pass and in the one before.
        self._new: tuple[_Events, _Events, _Events] = ({}, {}, {})
        self._old: tuple[_Events, _Events, _Events] = ({}, {}, {})
        self._empty = True

    def put(self, event: Finished | Feedback) -> None:
        kind, value = 0, event.id
        if isinstance(event, Feedback):
            kind, value = (0, event.inference) if event.inference else (1, event.key) if event.key else (2, event.unit)
        self._new[kind].setdefault(value, []).append(event)
        self._empty = False

    def release(self, started: Started) -> Iterable[Finished | Feedback]:
        """Give out the events that came before a start."""
        if self._empty:
            return ()
        found: list[Finished | Feedback] = []
        for ids, keys, units in (self._new, self._old):
            if started.id in ids:
                found += ids.pop(started.id)
            if started.key in keys:
                found += keys.pop(started.key)
            if started.unit in units:
                found += units.pop(started.unit)
        return found

    def caught_up(self) -> set[str]:
        """Say that a pass was complete; return the ids of the feedback that is let go."""
        gone, self._old, self._new = self._old, self._new, ({}, {}, {})
        self._empty = not any(self._old)
        return {event.id for by in gone for events in by.values() for event in events if isinstance(event, Feedback)}
