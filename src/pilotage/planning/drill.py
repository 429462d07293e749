"""A drill: what serves is made worse on paper, in a copy of what was recorded of it, to see how soon that would be noticed.

The ticks of the last days are played again from random moments on, with the change put into them; the live detectors,
as they stand, step over them. Before the change come some ticks without it, as there would be.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from pilotage.decision.batch import BASELINE, Batch, Cell
from pilotage.decision.method import Bounded, Rate
from pilotage.decision.watch import Watching, after, setting
from pilotage.errors import Refused
from pilotage.stats.mixture import START

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pilotage.decision.stream import Question
    from pilotage.decision.watch import Setting
    from pilotage.spec.use_case import UseCase

    Random = np.random.Generator

DAYS = 14
"""A change that is not noticed in so many is said not to be."""
BEFORE = 60
"""Ticks before the change."""
ENOUGH = 30
"""Recorded ticks with units from which a stream is a stream."""
_DAY = 86_400_000_000


class Noticed(msgspec.Struct, frozen=True, kw_only=True):
    """How soon one line was crossed, in seconds: `within` of the runs did so at all. `units` is the median met by then."""

    line: str
    within: float
    median: float | None
    late: float | None
    units: int | None


class Drilled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of many runs. `changes` is by metric on its own scale; `source` says where the ticks came from."""

    use_case: str
    changes: dict[str, float]
    runs: int
    seed: int
    ticks: int
    units_a_day: float
    source: str
    noticed: tuple[Noticed, ...]
    by: dict[str, int]
    longest_days: int


class _Run(NamedTuple):
    """Ticks and units until each line, by stream; None where it was not crossed."""

    warn: tuple[int, int, str] | None
    act: tuple[int, int, str] | None


def drill(
    spec: UseCase,
    watching: Watching,
    batches: Sequence[Batch],
    changes: Mapping[str, float],
    *,
    runs: int,
    seed: int,
    each: Callable[[], None] = lambda: None,
) -> Drilled:
    """Play it. Raise Refused where a change names nothing that is watched, or its level is not known yet."""
    asked = setting(spec, holdback=False)
    _check(asked, watching, changes)
    only = {
        name: question
        for name, question in asked.asked.items()
        if question.metric in changes and not question.told and not question.group
    }
    # The lines are those of everything that is watched: it is one promise.
    small = asked._replace(asked=only)
    ticks = _ticks(batches, asked, only)
    source = f"the last {len(ticks):,} recorded ticks"
    if sum(1 for tick in ticks if _units(tick, only)) < ENOUGH:
        ticks, source = (
            _declared(spec, small, watching),
            "the declared traffic at the level that was learned: too little is recorded",
        )
    rng = np.random.default_rng(seed)
    played = []
    for _ in range(runs):
        played.append(_play(small, watching, ticks, changes, rng))
        each()
    tick = spec.watch.tick
    per_day = np.mean([_units(one, only) for one in ticks]) * _DAY / tick
    by: dict[str, int] = {}
    for run in played:
        first = run.warn or run.act
        if first:
            by[first[2]] = by.get(first[2], 0) + 1
    return Drilled(
        use_case=spec.name,
        changes=dict(changes),
        runs=runs,
        seed=seed,
        ticks=len(ticks),
        units_a_day=float(per_day),
        source=source,
        noticed=(
            _noticed("alarm", [run.warn or run.act for run in played], tick),
            _noticed("action", [run.act for run in played], tick),
        ),
        by=by,
        longest_days=DAYS,
    )


def _check(asked: Setting, watching: Watching, changes: Mapping[str, float]) -> None:
    known = sorted({question.metric for question in asked.asked.values()})
    for name, change in changes.items():
        if name not in known:
            raise Refused(f"{name} is not watched", hint=f"watched are: {', '.join(known)}")
        if not math.isfinite(change) or not change:
            raise Refused(f"{name} changes by {change:g}", hint="write how much worse, such as resolved=-0.1")
        stream = watching.streams.get(name)
        if stream is None or not stream.ready:
            n = stream.learned.n if stream else 0
            raise Refused(
                f"the level of {name} is not known yet ({n:,} units so far)",
                hint="it is learned from a rollout, or from the first whole day of serving",
            )


def _play(
    asked: Setting, watching: Watching, ticks: Sequence[Batch], changes: Mapping[str, float], rng: Random
) -> _Run:
    start = int(rng.integers(len(ticks)))
    streams = {
        name: msgspec.structs.replace(watching.streams[name], state=START, warned=False, cusum=0.0)
        for name in asked.asked
        if name in watching.streams
    }
    now = msgspec.structs.replace(watching, streams=streams, tick=0)
    warn: tuple[int, int, str] | None = None
    units = 0
    for step in range(BEFORE + DAYS * _DAY // asked.watch.tick):
        tick = ticks[(start + step) % len(ticks)]
        at = ticks[start].at + step * asked.watch.tick
        batch = msgspec.structs.replace(tick, at=at)
        if step >= BEFORE:
            batch = _worse(batch, asked, changes, rng)
            units += _units(batch, asked.asked)
        now, crossings = after(now, batch, asked)
        for crossing in crossings if step >= BEFORE else ():
            met = step - BEFORE + 1, units, crossing.stream
            warn = warn or met
            if crossing.line == "act":
                return _Run(warn, met)
    return _Run(warn, None)


def _worse(batch: Batch, asked: Setting, changes: Mapping[str, float], rng: Random) -> Batch:
    metrics = {}
    for name, cells in batch.metrics.items():
        change, question = changes.get(name), asked.asked.get(name)
        if change is None or question is None:
            metrics[name] = cells
            continue
        metrics[name] = tuple(
            cell
            if cell.arm == BASELINE
            else Cell(cell.first, cell.last, cell.arm, _moved(cell.sums, question, change, rng))
            for cell in cells
        )
    return msgspec.structs.replace(batch, metrics=metrics)


def _moved(sums: tuple[int, ...], question: Question, change: float, rng: Random) -> tuple[int, ...]:
    """Return one cell's values after a change of their mean: successes that fail (or the other way), or values that shift."""
    if isinstance(question.method, Rate):
        yes, no = sums
        rate = (yes + 1) / (yes + no + 2)
        # Each unit of the side that shrinks moves with the same chance, so that the mean moves by the change.
        if change < 0:
            gone = int(rng.binomial(yes, min(1.0, -change / rate)))
            return yes - gone, no + gone
        come = int(rng.binomial(no, min(1.0, change / (1 - rate))))
        return yes + come, no - come
    assert isinstance(question.method, Bounded), "a metric without bounds is not watched"
    step = round(question.method.scale.resolution * 1_000_000)
    by = round(change * 1_000_000)
    values: list[int] = []
    for _, count, total in zip(sums[::3], sums[1::3], sums[2::3], strict=True):
        values += [round(total / count) * step + by] * count
    return question.method.gather(values)


def _ticks(batches: Sequence[Batch], asked: Setting, only: Mapping[str, Question]) -> list[Batch]:
    """Return one batch a tick of the file's clock, the empty ones too: quiet hours are part of the stream."""
    tick = asked.watch.tick
    found: list[Batch] = []
    for batch in batches:
        mine = Batch(at=batch.at, metrics={name: cells for name, cells in batch.metrics.items() if name in only})
        last = found[-1].at // tick if found else batch.at // tick - 1
        found += [Batch(at=at * tick) for at in range(last + 1, min(batch.at // tick, last + 1 + _DAY // tick))]
        found.append(mine)
    return found


def _declared(spec: UseCase, asked: Setting, watching: Watching) -> list[Batch]:
    """Return a day of ticks as the file declares its traffic, at the level that was learned."""
    if spec.traffic is None:
        raise Refused(
            "too little is recorded of what serves, and the file declares no traffic",
            hint="wait for some traffic, or write [traffic] new_units_a_day",
        )
    tick, rng = asked.watch.tick, np.random.default_rng(0)
    daily = spec.traffic.new_units_a_day / (1 - spec.traffic.returning)
    found = []
    for number in range(_DAY // tick):
        metrics: dict[str, tuple[Cell, ...]] = {}
        units = int(rng.poisson(daily * tick / _DAY))
        for name, question in asked.asked.items():
            mean = watching.streams[name].learned.mean
            if isinstance(question.method, Rate):
                yes = int(rng.binomial(units, min(max(mean, 0.0), 1.0)))
                sums: tuple[int, ...] = (yes, units - yes)
            else:
                sums = question.method.gather([round(mean * 1_000_000)] * units)
            metrics[name] = (Cell(1, 1, 1, sums),) if units else ()
        found.append(Batch(at=(number + 1) * tick, metrics=metrics))
    return found


def _units(batch: Batch, asked: Mapping[str, Question]) -> int:
    return max(
        (
            sum(asked[name].method.units(cell.sums) for cell in cells if cell.arm != BASELINE)
            for name, cells in batch.metrics.items()
            if name in asked
        ),
        default=0,
    )


def _noticed(line: str, runs: Sequence[tuple[int, int, str] | None], tick: int) -> Noticed:
    met = sorted(run[0] * tick / 1e6 for run in runs if run is not None)
    units = sorted(run[1] for run in runs if run is not None)
    n, many = len(met), len(runs)
    return Noticed(
        line=line,
        within=n / many,
        # Over all runs: what was not noticed counts as later than anything.
        median=met[many // 2] if many // 2 < n else None,
        late=met[math.ceil(0.9 * many) - 1] if math.ceil(0.9 * many) <= n else None,
        units=units[many // 2] if many // 2 < n else None,
    )
