"""What the gateway saw of a request, metric by metric, as a row of whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.counting.unit import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.counting.watched import Watched
    from pilotage.records import Finished

_KEPT = 10_000


class Sight:
    """`expired` is the row of a request that never ended. Rows that are alike are the same tuple, while they are few."""

    def __init__(self, metrics: Iterable[Watched]) -> None:
        self._metrics = tuple(metric for metric in metrics if metric.by_gateway)
        self.expired = self._row(None)
        self._rows = {self.expired: self.expired}

    def of(self, finished: Finished) -> tuple[int, ...]:
        row = self._row(finished)
        known = self._rows.get(row)
        if known is not None:
            return known
        if len(self._rows) < _KEPT:
            self._rows[row] = row
        return row

    def _row(self, finished: Finished | None) -> tuple[int, ...]:
        values = [metric.seen(finished) for metric in self._metrics]
        return tuple([NOTHING if value is None else value for value in values])
