"""What is held of inferences and their units: found, shown, erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.store.base.erasable import Erasure


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which inferences are looked for: all that is given must hold. Ranges are (least, most), None for no end.

    `outcome` is `answered`, `error`, `fallback`, `cancelled` or `unfinished`; `hit` a filter's name, or `*` for any; `metric` one
    of which something was said, with a `value` in this range. `duration` is in microseconds, `cost` in millionths, `since` and
    `until` are times, 0 for no end. `texts`: such as have a text.
    """

    release: str = ""
    arm: str = ""
    source: str = ""
    unit: str = ""
    outcome: str = ""
    error: str = ""
    hit: str = ""
    metric: str = ""
    value: tuple[float | None, float | None] = (None, None)
    duration: tuple[int | None, int | None] = (None, None)
    cost: tuple[int | None, int | None] = (None, None)
    since: int = 0
    until: int = 0
    texts: bool = False


class Found(NamedTuple):
    """Ids of inferences, newest first. `older` is where to go on (empty: there are no more), `looked` about how many were looked at.

    `cut`: so many were looked at that the search ended there, and there may be more.
    """

    ids: list[str]
    older: str
    looked: int
    cut: bool


class Holdings(Protocol):
    """What is held outside the store: events, which name units by digests, and texts under units' keys."""

    def find(self, use_case: str, unit: str) -> dict[str, int]:
        """Return how much there is, by kind."""

    def export(self, use_case: str, unit: str) -> dict[str, list[dict[str, Any]]]:
        """Return all of it, by kind; what is retained of texts in the clear."""

    def texts(self, use_case: str, inferences: Sequence[str]) -> list[dict[str, Any]]:
        """Return the texts of these inferences in the clear, or why there is none."""

    def failures(self, use_case: str, *, low: Sequence[str], high: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return the newest inferences of which somebody told 0 of a metric in `low`, or above 0 of one in `high`: one row each."""

    def search(self, use_case: str, wanted: Wanted, *, before: str = "", most: int = 50) -> Found:
        """Find the newest inferences that are as wanted, of those with an id below `before`."""

    def inferences(self, use_case: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return these inferences, newest first: columns of `started`; `finished` with those of the other and its hits, or None;
        `feedback`, what joined it, and by what; `text`, whether one is kept.
        """

    def spent(self, since: int, until: int) -> dict[str, int]:
        """Return what each use case cost from `since` until before `until`, in millionths of its currency."""

    def erase(self, erasure: Erasure) -> dict[str, int]:
        """Put the pseudonym in the unit's place in what is sealed; return how many rows that was, by kind."""
