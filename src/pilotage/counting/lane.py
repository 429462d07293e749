"""Metrics that units enter together, for they mature together; and how far along the order of units they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pilotage.counting.unit import NOTHING
from pilotage.decision.batch import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.counting.order import Timeline
    from pilotage.counting.unit import Unit
    from pilotage.counting.watched import Watched

START = -(1 << 62)
_NOTHING_SAID: frozenset[int] = frozenset()
AT_ONCE = 10_000
"""Units that enter a metric with one batch; the rest come with the next one, so that no tick takes long."""

Gathered = dict[tuple[int, int, int], tuple[list[int], ...]]
"""Values by (first generation, last generation, arm), a list a metric."""


@dataclass(slots=True, eq=False)
class Lane:
    """`metrics` are (place among all watched, metric, column among those that the gateway sees).

    Everybody exposed until `cursor` has entered or was dropped. Where the gateway sees the metrics, nobody enters while
    a request of somebody before is not settled: else quick failures would come before slow successes.
    """

    period: int
    by_gateway: bool
    metrics: tuple[tuple[int, Watched, int], ...]
    cursor: int = START
    silence: tuple[int | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.silence = tuple(metric.value(0, 0) for _, metric, _ in self.metrics)

    def mature(self, timeline: Timeline, watermark: int) -> list[Unit]:
        """Return the units whose turn has come, in order, and move on."""
        ready: list[Unit] = []
        newest = self.cursor
        for unit in timeline.between(self.cursor, watermark - self.period):
            if unit.at != newest:
                if len(ready) >= AT_ONCE:
                    break
                newest = unit.at
            if self.by_gateway and not unit.settled(self.period, watermark):
                # Those with the same time wait with it: a frontier tells times apart, no more.
                while ready and ready[-1].at == unit.at:
                    ready.pop()
                break
            ready.append(unit)
        if ready:
            self.cursor = ready[-1].at
        return ready

    def put(self, gathered: Gathered, cell: tuple[int, int, int], unit: Unit, expired: tuple[int, ...]) -> None:
        """Add a unit's values to its cell."""
        values = gathered.get(cell)
        if values is None:
            values = gathered[cell] = tuple([] for _ in self.metrics)
        # Most units say nothing of most metrics, and all of these are alike.
        said = {outcome.metric for outcome in unit.outcomes} if unit.outcomes else _NOTHING_SAID
        if not said and not self.by_gateway:
            for into, value in zip(values, self.silence, strict=True):
                if value is not None:
                    into.append(value)
            return
        for (index, metric, column), into, silence in zip(self.metrics, values, self.silence, strict=True):
            if index in said:
                value = unit.value(index, metric, column, expired)
            elif not self.by_gateway:
                value = silence
            elif unit.others is None or not self.period:
                seen = (expired if unit.seen is None else unit.seen)[column]
                value = None if seen == NOTHING else metric.value(1, seen)
            else:
                value = unit.value(index, metric, column, expired)
            if value is not None:
                into.append(value)

    def cells(self, gathered: Gathered) -> dict[str, tuple[Cell, ...]]:
        """Return the cells of each metric that has any."""
        found = {}
        for place, (_, metric, _) in enumerate(self.metrics):
            cells = tuple(
                Cell(*cell, metric.method.gather(values[place]))
                for cell, values in sorted(gathered.items())
                if values[place]
            )
            if cells:
                found[metric.name] = cells
        return found


def lanes(metrics: Sequence[Watched], resumed: Mapping[str, int]) -> list[Lane]:
    """Return the lanes, those that take longest last. `resumed` says by metric how far it came before, if it did."""
    places = {metric.name: index for index, metric in enumerate(metrics)}
    columns = {metric.name: n for n, metric in enumerate(metric for metric in metrics if metric.by_gateway)}
    groups: dict[tuple[int, bool, int], list[tuple[int, Watched, int]]] = {}
    for metric in metrics:
        frontier = resumed.get(metric.name)
        cursor = START if frontier is None else frontier - metric.matures_after
        group = groups.setdefault((metric.matures_after, metric.by_gateway, cursor), [])
        group.append((places[metric.of or metric.name], metric, columns.get(metric.name, 0)))
    return [
        Lane(period, by_gateway, tuple(group), cursor)
        for (period, by_gateway, cursor), group in sorted(groups.items(), key=lambda item: item[0])
    ]
