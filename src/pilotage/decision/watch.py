"""All that was seen of a release since it serves, tick by tick, and what of it is an alarm. No clock is read.

The metrics share one promise: of K streams each crosses its line at K times the run length, for the mean of detectors is
a detector (`stats.detector`). The first line tells people, the second one acts.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.decision.batch import BASELINE
from pilotage.decision.stratum import Arm
from pilotage.decision.stream import Question, Stream, above_zero, questions, reference, stepped, taken
from pilotage.decision.verdict import judged
from pilotage.stats.mixture import START
from pilotage.status import MILLION, Allocated, Phase, RolloutStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.decision.batch import Batch, Cell
    from pilotage.decision.statistics import Statistics
    from pilotage.spec.use_case import UseCase
    from pilotage.spec.watch import Watch
    from pilotage.status import UseCaseStatus

HOUR = 3_600 * MILLION
DAY = 24 * HOUR
DRIFT_PART, MODEL_PART = 0.2, 0.05
"""What drift and rechecks of the model get of the promise about false alarms; the metrics have the rest."""
_DOUBTFUL = math.log(20)
"""From here on a stop of the reports, and not the metric, is what has changed."""


class Watching(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `seq` batches have shown, the newest of them in the tick that ended `at`; `streams` are by name."""

    seq: int = 0
    at: int = 0
    tick: int = 0
    frontier: dict[str, int] = {}
    streams: dict[str, Stream] = {}


class Crossing(NamedTuple):
    """A stream that crossed a line: `line` is warn or act. `level` is what it is held against, `value` what it is since `since`."""

    stream: str
    metric: str
    line: str
    since: int
    level: float
    value: float
    n: int
    times: float


class Setting(NamedTuple):
    """What is asked of each stream, and the lines (ln A, in ticks) that it crosses."""

    asked: dict[str, Question]
    watch: Watch
    share: float
    warn: float
    act: float


def setting(spec: UseCase, *, holdback: bool) -> Setting:
    """Return what a file asks of its live release."""
    asked = {
        stream: question
        for name, metric in judged(spec).items()
        for stream, question in questions(name, metric, holdback=holdback, groups=spec.fairness.groups)
    }
    watch = spec.watch
    # What is asked and answered, and the model, have parts of their own in the promise (`decision.drift`, `decision.rounds`).
    part = 1.0 - (DRIFT_PART if watch.drift != "off" else 0.0) - (MODEL_PART if watch.recheck else 0.0)
    many = max(1, len(asked)) / (watch.tick * part)
    share = 1 - watch.holdback / 100
    return Setting(asked, watch, share, math.log(watch.false_alarms * many), math.log(watch.false_actions * many))


def begin(setting: Setting, known: Mapping[str, Arm]) -> Watching:
    """Return what is known before any unit: of each metric, what its rollout has shown."""
    streams = {}
    for name in setting.asked:
        arm = known.get(name, Arm())
        streams[name] = Stream(learned=arm, ready=arm.n >= setting.watch.learns_from)
    return Watching(streams=streams)


def shown_by(statistics: Statistics, rollout: RolloutStatus, release: str) -> dict[str, Arm]:
    """Return what a rollout has seen of a release, by metric: of all steps together, for it is one level that is learned."""
    found: dict[str, Arm] = {}
    for index, candidate in enumerate(rollout.candidates):
        if candidate == release:
            for name, comparison in statistics.comparisons[index].items():
                found[name] = sum((stratum.candidate for stratum in comparison.strata), Arm())
    return found


def after(watching: Watching, batch: Batch, setting: Setting) -> tuple[Watching, tuple[Crossing, ...]]:
    """Return what is known with one batch more, and the lines that were crossed by it."""
    tick, hour = batch.at // setting.watch.tick, batch.at // HOUR
    # A gap is at most a day of ticks, forwards: what nobody saw, or a clock that jumped, brings no alarm nearer.
    ticks = min(max(1, tick - watching.tick), max(1, DAY // setting.watch.tick)) if watching.tick else 1
    streams: dict[str, Stream] = {}
    for name, asked in setting.asked.items():
        stream = watching.streams.get(name, Stream())
        source = f"{asked.metric}|told" if asked.told else asked.metric
        metrics = batch.groups.get(asked.group, {}) if asked.group else batch.metrics
        sides = _sides(metrics.get(source, ()), asked)
        if asked.of is not None and not stream.ready:
            _, values = _sides(batch.metrics.get(asked.metric, ()), setting.asked[asked.metric])
            stream = msgspec.structs.replace(stream, above=stream.above + above_zero(asked, values))
        stream, gain = taken(
            stream, asked, sides, at=batch.at, hour=hour, share=setting.share, enough=setting.watch.learns_from
        )
        streams[name] = stepped(stream, gain, ticks) if stream.ready or asked.holdback else stream
    crossed = []
    for name, asked in setting.asked.items():
        streams[name], crossing = _lines(name, asked, streams, setting)
        if crossing is not None:
            crossed.append(crossing)
    seen = Watching(
        seq=watching.seq + 1,
        at=batch.at,
        tick=tick,
        frontier={**watching.frontier, **batch.frontier},
        streams=streams,
    )
    return seen, tuple(crossed)


def _lines(
    name: str, asked: Question, streams: Mapping[str, Stream], setting: Setting
) -> tuple[Stream, Crossing | None]:
    """Return the stream past the lines that it crossed; one that acted begins again."""
    stream = streams[name]
    told = streams.get(f"{asked.metric}|told")
    if told is not None and not asked.told and _silent(told, stream):
        return stream, None
    if stream.level >= setting.act:
        crossing = _crossing(name, asked, stream, "act")
        return msgspec.structs.replace(stream, state=START, warned=True), crossing
    if stream.level >= setting.warn and not stream.warned:
        return msgspec.structs.replace(stream, warned=True), _crossing(name, asked, stream, "warn")
    if stream.warned and not stream.cusum:
        # It has come back: what comes next is another alarm.
        return msgspec.structs.replace(stream, warned=False), None
    return stream, None


def _silent(told: Stream, stream: Stream) -> bool:
    """Return whether what has changed may be that reports do not come any more: then the metric waits.

    Where only one side is told of, fewer reports are the metric itself, and none at all may be either; so too as long as it
    is not known what is usual.
    """
    if not told.ready:
        return bool(stream.now.n) and not stream.now.mean
    return (told.cusum > 0 and not told.now.mean) if told.one_sided else told.cusum >= _DOUBTFUL


def _crossing(name: str, asked: Question, stream: Stream, line: str) -> Crossing:
    level = stream.held.mean if asked.holdback else reference(asked, stream.learned)
    return Crossing(
        stream=name,
        metric=asked.metric,
        line=line,
        since=stream.since,
        level=level,
        value=stream.now.mean,
        n=stream.now.n,
        times=stream.level,
    )


def _sides(cells: Sequence[Cell], asked: Question) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return gathered values of the holdback and of everybody else."""
    held = [cell.sums for cell in cells if cell.arm == BASELINE]
    mine = [cell.sums for cell in cells if cell.arm != BASELINE]
    none = asked.method.gather(())
    return asked.method.merge(held) if held else none, asked.method.merge(mine) if mine else none


def held_back(status: UseCaseStatus, spec: UseCase) -> int:
    """Return the part of all units, in millionths, that keeps what served before the rollout that was promoted."""
    rollout = status.rollout
    if rollout is None or rollout.phase is not Phase.PROMOTED or not rollout.baseline:
        return 0
    return round(spec.watch.holdback * MILLION / 100) if status.live in rollout.remaining else 0


def identity_of(spec: UseCase, status: UseCaseStatus) -> str:
    """Return what a live release's watch is kept as. Other metrics or another clock make another watch, which learns anew."""
    asks = spec.model_dump(
        mode="json",
        include={"goals", "guardrails", "unit", "watch"},
        exclude={"watch": {"notify", "drift", "recheck", "reevaluate"}},
    )
    if spec.fairness.segments:
        asks["segments"] = {name: list(values) for name, values in spec.fairness.segments.items()}
    digest = hashlib.sha256(json.dumps(asks, sort_keys=True).encode()).hexdigest()[:12]
    return f"watch-{spec.name}-{status.live_since}-{digest}"


def course_of(identity: str, live: str, before: str, started: int) -> RolloutStatus:
    """Return what is followed of a live release, as a rollout that is at its end: everybody has one split, and keeps it."""
    split = Allocated(generation=1, step=0, share=MILLION, at=started)
    return RolloutStatus(
        id=identity,
        candidate=live,
        baseline=before,
        shares=(MILLION,),
        started=started,
        step_since=started,
        allocations=(split,),
    )
