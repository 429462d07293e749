"""Is it still the same model? A fixed set of questions, asked round after round at temperature 0.

The first rounds give each question's usual answer and, where the provider tells log-probabilities, their usual values; the
next ones say how often, and how far, answers lie from these when nothing has changed. From then on the two are watched as
any metric is, by the detectors of `decision.watch` on the clock of the rounds, for a model that is not quite the same from
one request to the next must not raise alarms.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from pilotage.decision.batch import Batch, Cell
from pilotage.decision.method import Bounded, Rate
from pilotage.decision.stratum import arm_of
from pilotage.decision.stream import Question, Stream
from pilotage.decision.watch import MODEL_PART, Crossing, Setting, Watching, after
from pilotage.stats.histogram import even_scale
from pilotage.stats.permutation import stratified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.spec.watch import Watch

FIRST, LEARNED = 3, 7
"""Rounds that the usual answers come from, and rounds that say how much is usual."""
KEPT = 10
FARTHEST = 2.0
"""Log-probabilities that differ by more (nats) differ by this."""
_MILLION = 1_000_000
_ANSWERS, _LOGS = "answers", "log-probabilities"
_QUESTIONS = {
    _ANSWERS: Question(_ANSWERS, Rate(), falls=False, scale=0.1),
    _LOGS: Question(_LOGS, Bounded(even_scale(0.0, FARTHEST)), falls=False, scale=0.1),
}


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came first in one answer: its text, and the log-probabilities (nats) of the likeliest tokens, where they are told."""

    answer: str
    top: dict[str, float] = {}


Round = dict[str, Said]
"""By question."""


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one release's model. `before` and `now` are rows of distances, a round each, by question in its order."""

    count: int = 0
    at: int = 0
    first: tuple[Round, ...] = ()
    usual: Round = {}
    watching: Watching = Watching(streams={name: Stream() for name in _QUESTIONS})
    before: tuple[dict[str, float], ...] = ()
    now: tuple[dict[str, float], ...] = ()
    models: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    @property
    def learned(self) -> bool:
        return self.count >= FIRST + LEARNED


class Outcome(NamedTuple):
    rounds: Rounds
    crossings: tuple[Crossing, ...]
    p: float | None


def setting(watch: Watch) -> Setting:
    """Return what is asked of a round, and the lines: what is promised of false alarms, in rounds."""
    every = watch.model_copy(update={"tick": watch.recheck})
    many = len(_QUESTIONS) / (MODEL_PART * watch.recheck)
    return Setting(_QUESTIONS, every, 1.0, math.log(watch.false_alarms * many), math.log(watch.false_actions * many))


def heard(rounds: Rounds, said: Round, at: int, asked: Setting, rng: np.random.Generator) -> Outcome:
    """Return what is known with one round more, the lines that it crossed and, for the alarm, a permutation test's p-value."""
    count = rounds.count + 1
    if count <= FIRST:
        first = (*rounds.first, said)
        usual = _usual(first) if count == FIRST else {}
        return Outcome(
            msgspec.structs.replace(rounds, count=count, at=at, first=() if usual else first, usual=usual), (), None
        )
    far = {name: _distance(rounds.usual[name], one) for name, one in said.items() if name in rounds.usual}
    cells = _cells(rounds.usual, said)
    if count <= FIRST + LEARNED:
        streams = dict(rounds.watching.streams)
        for name, sums in cells.items():
            stream = streams[name]
            arm = arm_of(_QUESTIONS[name].method.read(sums))
            ready = count == FIRST + LEARNED
            streams[name] = msgspec.structs.replace(stream, learned=stream.learned + arm, ready=ready, since=at)
        watching = msgspec.structs.replace(rounds.watching, streams=streams)
        return Outcome(
            msgspec.structs.replace(rounds, count=count, at=at, watching=watching, before=(*rounds.before, far)),
            (),
            None,
        )
    batch = Batch(at=at, metrics={name: (Cell(1, 1, 1, sums),) for name, sums in cells.items()})
    watching, crossings = after(rounds.watching, batch, asked)
    grows = any(stream.cusum > 0 for stream in watching.streams.values())
    now = (*rounds.now, far)[-KEPT:] if grows else ()
    next_ = msgspec.structs.replace(rounds, count=count, at=at, watching=watching, now=now)
    return Outcome(next_, crossings, _p(rounds.before, now, rng) if crossings else None)


def _usual(rounds: Sequence[Round]) -> Round:
    """Return each question's most frequent answer, and the mean of what every round tells of the same token."""
    found = {}
    for name in sorted(set.intersection(*(set(one) for one in rounds))):
        answers = [one[name] for one in rounds]
        tokens = set.intersection(*(set(one.top) for one in answers))
        top = {token: sum(one.top[token] for one in answers) / len(answers) for token in sorted(tokens)}
        found[name] = Said(Counter(one.answer for one in answers).most_common(1)[0][0], top)
    return found


def _distance(usual: Said, said: Said) -> float:
    """Return how far an answer's log-probabilities lie from the usual ones; 0 or 1 where there are none."""
    if not usual.top or not said.top:
        return float(usual.answer != said.answer)
    least = min(said.top.values())
    gaps = [abs(said.top.get(token, least) - value) for token, value in usual.top.items()]
    return min(FARTHEST, sum(gaps) / len(gaps))


def _cells(usual: Round, said: Round) -> dict[str, tuple[int, ...]]:
    both = [(usual[name], one) for name, one in said.items() if name in usual]
    other = sum(before.answer != now.answer for before, now in both)
    far = [round(_distance(before, now) * _MILLION) for before, now in both if before.top and now.top]
    cells: dict[str, tuple[int, ...]] = {_ANSWERS: (other, len(both) - other)} if both else {}
    if far:
        cells[_LOGS] = _QUESTIONS[_LOGS].method.gather(far)
    return cells


def _p(
    before: Sequence[Mapping[str, float]], now: Sequence[Mapping[str, float]], rng: np.random.Generator
) -> float | None:
    names = sorted(set.intersection(*(set(one) for one in (*before, *now)))) if before and now else []
    if not names:
        return None
    rows = [np.asarray([[one[name] for name in names] for one in part]) for part in (before, now)]
    return stratified(rows[0], rows[1], rng)
