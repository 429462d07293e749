"""What a rollout's batches must come to, worked out the plain way from all events at once: slow, and easy to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import xxhash

from pilotage.counting.splits import TENTH
from pilotage.counting.watched import Watched
from pilotage.decision.batch import Batch
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.serving.routing import position
from pilotage.status import MILLION, Allocated

Key = tuple[str, int, int, int]
"""Metric, first and last generation, arm."""


@dataclass
class Totals:
    """`sums` by cell, merged; `exposed` by generation and arm; `frontier` as far as units really entered."""

    sums: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    exposed: Counter[tuple[int, int]] = field(default_factory=Counter)
    moved: int = 0
    heard: set[str] = field(default_factory=set)


def added(batches: Iterable[Batch], metrics: Sequence[Watched]) -> Totals:
    methods = {metric.name: metric.method for metric in metrics}
    totals = Totals()
    for batch in batches:
        for generation, arm, units in batch.exposed:
            totals.exposed[generation, arm] += units
        for name, cells in batch.metrics.items():
            for cell in cells:
                key = (name, cell.first, cell.last, cell.arm)
                known = totals.sums.get(key)
                totals.sums[key] = methods[name].merge([known, cell.sums]) if known else cell.sums
        totals.moved += batch.moved
        totals.heard |= set(batch.heard)
    return totals


class Brute:
    """All events of one rollout, and its splits."""

    def __init__(
        self, rollout: str, candidates: Sequence[str], metrics: Sequence[Watched], splits: Sequence[Allocated]
    ) -> None:
        self.rollout, self.candidates, self.metrics, self.splits = rollout, candidates, metrics, splits

    def totals(self, events: Sequence[SpoolEvent], watermark: int) -> Totals:
        starts = {event.id: event for event in events if isinstance(event, Started)}
        ends: dict[str, Finished] = {}
        for event in events:
            if isinstance(event, Finished):
                ends.setdefault(event.id, event)
        said: dict[str, Feedback] = {}
        order = {metric.name: index for index, metric in enumerate(self.metrics)}
        for event in events:
            if isinstance(event, Feedback) and event.metric in order:
                said[event.id] = min(
                    (said.get(event.id, event), event), key=lambda f: (f.received, f.at, order[f.metric], f.value)
                )
        blind = [start.at for start in starts.values() if not start.share]
        units: dict[str, list[Started]] = {}
        for start in starts.values():
            if start.share:
                units.setdefault(start.unit, []).append(start)
        for requests in units.values():
            requests.sort(key=lambda start: (start.at, xxhash.xxh3_64_intdigest(start.id.encode())))
        totals = Totals()
        for requests in units.values():
            first = requests[0]
            if first.at <= watermark:
                totals.exposed[first.generation, self._arm(first)] += 1
        longest = max(metric.matures_after for metric in self.metrics)
        values: dict[Key, list[int]] = {}
        lanes_of_longest = [m for m in self.metrics if m.matures_after == longest]
        counted_by = lanes_of_longest[-1] if len({m.by_gateway for m in lanes_of_longest}) == 1 else None
        for metric in self.metrics:
            entering = [requests for requests in units.values() if requests[0].at + metric.matures_after <= watermark]
            if metric.by_gateway:
                stuck = [r[0].at for r in entering if not self._settled(r, ends, metric, watermark)]
                entering = [r for r in entering if not stuck or r[0].at < min(stuck)]
            for requests in entering:
                first = requests[0]
                maturity = first.at + metric.matures_after
                lived = [
                    s
                    for s in self.splits
                    if s.generation == first.generation or (s.generation > first.generation and s.at <= maturity)
                ]
                shut = any(first.at // TENTH * TENTH <= at <= maturity for at in blind)
                if shut or self._moved(first.unit, lived):
                    totals.moved += metric is counted_by
                    continue
                value = self._value(requests, ends, said.values(), metric)
                if value is not None:
                    key = (metric.name, first.generation, lived[-1].generation, self._arm(first))
                    values.setdefault(key, []).append(value)
        methods = {metric.name: metric.method for metric in self.metrics}
        totals.sums = {key: methods[key[0]].gather(found) for key, found in values.items()}
        return totals

    def _arm(self, start: Started) -> int:
        return 0 if start.arm == "baseline" else 1 + self.candidates.index(start.release)

    def _moved(self, unit: str, lived: Sequence[Allocated]) -> bool:
        """Whether any two of these splits give the unit different sides."""
        return len({side(self.rollout, self.candidates, split, unit) for split in lived}) > 1

    @staticmethod
    def _settled(requests: Sequence[Started], ends: dict[str, Finished], metric: Watched, watermark: int) -> bool:
        first = requests[0]
        until = first.at + metric.matures_after
        if not metric.matures_after:
            if first.surface == "flag" and first.deadline > watermark:
                return False
            requests = requests[:1]
        return all(r.id in ends or r.deadline <= watermark for r in requests if r.at <= until)

    @staticmethod
    def _value(
        requests: Sequence[Started], ends: dict[str, Finished], said: Iterable[Feedback], metric: Watched
    ) -> int | None:
        first = requests[0]
        until = first.at + metric.matures_after
        found: list[int] = []
        if metric.by_gateway:
            for request in requests if metric.matures_after else requests[:1]:
                end = ends.get(request.id)
                if request.at <= until:
                    seen = metric.seen(end if end is not None and end.at <= request.deadline else None)
                    found += [] if seen is None else [seen]
            if first.surface == "flag" and not metric.matures_after:
                until = first.deadline
        ids, keys = {r.id for r in requests}, {r.key for r in requests if r.key}
        for one in said:
            mine = one.inference in ids if one.inference else one.key in keys if one.key else one.unit == first.unit
            if mine and one.metric == metric.name and first.at <= one.at <= until:
                found.append(metric.fixed(one.value))
        return metric.value(len(found), sum(found))


def side(rollout: str, candidates: Sequence[str], split: Allocated, unit: str) -> int:
    """Return the arm that a split gives to a unit."""
    region, place = divmod(position(rollout, unit) * len(candidates), MILLION)
    out = candidates[region] in split.out
    return region + 1 if place < split.share and not out else 0
