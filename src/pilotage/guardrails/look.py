"""What a filter of text is asked: what is found, and up to where that is certain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTEXT = 64
"""Signs before a text that what is found in it may depend on."""


class Find(NamedTuple):
    """[start, end) of the text that was looked at."""

    start: int
    end: int
    kind: str


class Late(Exception):
    """A filter took longer than its deadline."""


class Blocked(Exception):
    """Something was found that may not pass: which filter says so, and what it found."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name, kind)
        self.name = name
        self.kind = kind


class Timer:
    """Seconds of real time within which a look must end; it is asked between two steps of the work, which are short."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise Late


class Sight:
    """What a finder sees: folded text, in two forms of the same length, of which all before `since` was seen already.

    `last` tells that nothing follows.
    """

    __slots__ = ("data", "last", "since", "text", "timer")

    def __init__(self, text: str, data: bytes, since: int, *, last: bool, timer: Timer) -> None:
        self.text = text
        self.data = data
        self.since = since
        self.last = last
        self.timer = timer


class Finder(Protocol):
    """Finds the same in a text however it comes in pieces. `kinds` are all that it may find.

    It sees folded text where it `folds`, otherwise text as it came.
    """

    @property
    def folds(self) -> bool: ...
    @property
    def kinds(self) -> tuple[str, ...]: ...
    def look(self, sight: Sight) -> tuple[list[Find], int]:
        """Return what is found from `since` on, in order and apart, and up to where nothing that follows can change it.

        Every find ends before that place. Raises Late where it takes too long.
        """


def settled(open_at: int, candidates: Iterable[tuple[int, int]]) -> int:
    """Return the last place at or before `open_at` that is within no candidate."""
    for start, end in sorted(candidates, reverse=True):
        if start < open_at < end:
            open_at = start
    return open_at
