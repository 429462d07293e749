"""One metric after release: has it got worse than the level that the release has shown, or than for those held back.

A stream is one detector (`stats.detector`). Against the level, the null is that the metric is no worse than the limit, at
99.5 %, of what was learned of it; against a holdback, that it is no worse than there. Bets lie around the margin or the
smallest effect that matters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from pilotage.decision.comparison import scale_of
from pilotage.decision.method import Bounded, Method, Rate, method_of
from pilotage.decision.stratum import Arm, arm_of
from pilotage.spec.metric import Guardrail
from pilotage.stats import detector, interval
from pilotage.stats.binary import CLIP, Batch, BinaryProcess
from pilotage.stats.bounded import BoundedProcess, Moments
from pilotage.stats.claim import Claim
from pilotage.stats.histogram import Histogram
from pilotage.stats.mixture import START, Array
from pilotage.stats.one_sample import OneMean, rate_increments
from pilotage.stats.one_sequence import INSIDE
from pilotage.stats.shape import Shape
from pilotage.stats.special import normal_quantile
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.spec.metric import Goal

LIMIT = 0.99
"""Two-sided, so that one end is wrong in half a percent."""
DAY = 86_400 * MILLION
_MIDDLE = 2
TOLD_SCALE = 0.25
"""Feedback that falls by a quarter is what matters of its arriving at all."""
_STOPPED, _STOPPED_SCALE = 0.2, 0.08
"""Where only the good is told of, fewer reports may be a worse release: there they have stopped below a fifth of the level."""
_ALIKE = 0.98
"""The part of reports that tell of something above 0 from which on nothing else is told of."""


class Question(NamedTuple):
    """What a stream asks of a metric: how its values are gathered, whether a lower one is worse, what difference matters.

    `limit` is how sure the limit of its level is, two-sided. `of` is how the metric is gathered of which this asks whether it
    is told of, where silence counts as 0 in it. `group` names the units that it is about (`language=de`), empty for all.
    """

    metric: str
    method: Method
    falls: bool
    scale: float
    told: bool = False
    holdback: bool = False
    allowed: float = 0.0
    limit: float = LIMIT
    of: Method | None = None
    group: str = ""

    @property
    def sign(self) -> int:
        """Which way is worse: -1 down, 1 up."""
        return -1 if self.falls else 1


class Stream(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One detector with what it stands on. `learned` is the level's sample, complete once `ready`: begun to be gathered `begun`
    (0: by a rollout). `shape` is how that runs over the week.

    `cusum` and `since` date a change (Page 1954, Biometrika 41:100): `now` and `held` are what matured since then, here and
    of the holdback. `warned` says that its first line was crossed and that it has not come back since. `above` is how many of
    the learned units told of something above 0.
    """

    state: tuple[float, ...] = START
    learned: Arm = Arm()
    ready: bool = False
    begun: int = 0
    shape: Shape = Shape()
    moments: Moments = Moments()
    seen: Batch = Batch()
    cusum: float = 0.0
    since: int = 0
    now: Arm = Arm()
    held: Arm = Arm()
    warned: bool = False
    above: int = 0

    @property
    def one_sided(self) -> bool:
        """Whether only the good (or only the bad) is ever told of, as far as was learned."""
        return self.ready and 0 < _ALIKE * self.learned.mean * self.learned.n <= self.above

    @property
    def level(self) -> float:
        """The detector's own, ln sum w M."""
        return float(detector.level(np.asarray(self.state)))


def questions(
    name: str, metric: Goal | Guardrail, *, holdback: bool, groups: Sequence[str] = ()
) -> list[tuple[str, Question]]:
    """Return what is asked of one metric, each by the stream's name; nothing of one without bounds."""
    method = method_of(metric)
    if not isinstance(method, Rate | Bounded):
        return []
    asked = Question(name, method, metric.direction == "up", scale_of(metric))
    found = [(name, asked), *((f"{name}|{group}", asked._replace(group=group)) for group in groups)]
    if metric.source == "feedback":
        of = method if metric.silence == 0 else None
        found.append((f"{name}|told", Question(name, Rate(), falls=True, scale=TOLD_SCALE, told=True, of=of)))
    if holdback:
        allowed = metric.margin if isinstance(metric, Guardrail) and metric.margin else 0.0
        found.append((f"{name}|holdback", asked._replace(holdback=True, allowed=allowed)))
    return found


def reference(asked: Question, learned: Arm) -> float:
    """Return the limit of the learned level on the side where it would be worse."""
    if isinstance(asked.method, Rate):
        known = interval.wilson(round(learned.mean * learned.n), learned.n, asked.limit)
        return known.low if asked.falls else known.high
    reach = normal_quantile(0.5 + asked.limit / 2) * math.sqrt(max(learned.error, 0.0))
    return learned.mean + asked.sign * reach


def taken(
    stream: Stream,
    asked: Question,
    sides: tuple[tuple[int, ...], tuple[int, ...]],
    *,
    at: int,
    hour: int,
    share: float,
    enough: int,
) -> tuple[Stream, Array | None]:
    """Return the stream with what matured in one tick, and the tick's log e-values (None: nothing is at stake yet).

    `sides` are gathered values of the holdback and of everybody else.
    """
    held, mine = (arm_of(asked.method.read(side)) for side in sides)
    if not mine.n and not (asked.holdback and held.n):
        return stream, None
    if asked.holdback:
        stream, gain = _against_holdback(stream, asked, sides, share)
    else:
        shape = stream.shape.after(hour, mine.n, mine.n * mine.mean, keep=not stream.warned)
        if not stream.ready:
            return _learned(msgspec.structs.replace(stream, shape=shape), mine, at=at, enough=enough), None
        stream, gain = _against_level(stream, asked, sides[1], hour)
        stream = msgspec.structs.replace(stream, shape=shape)
    cusum = stream.cusum + float(gain[_MIDDLE])
    if cusum <= 0:
        return msgspec.structs.replace(stream, cusum=0.0, since=at, now=Arm(), held=Arm()), gain
    now = msgspec.structs.replace(stream, cusum=cusum, since=stream.since or at)
    return msgspec.structs.replace(now, now=stream.now + mine, held=stream.held + held), gain


def above_zero(asked: Question, sums: tuple[int, ...]) -> int:
    """Return how many units told of something above 0."""
    if isinstance(asked.of, Rate):
        return sums[0]
    return sum(count for count, total in zip(sums[1::3], sums[2::3], strict=True) if total > 0)


def stepped(stream: Stream, gain: Array | None, ticks: int = 1) -> Stream:
    """Return the stream after a tick with these log e-values, and the empty ticks before it (`ticks` in all)."""
    state = np.asarray(stream.state)
    if ticks > 1:
        # After k empty ticks M has grown by k, so 1 + M by as much.
        state = np.logaddexp(state, math.log(ticks - 1))
    state = detector.step(state, np.zeros_like(state) if gain is None else gain)
    return msgspec.structs.replace(stream, state=tuple(state.tolist()))


def _learned(stream: Stream, mine: Arm, *, at: int, enough: int) -> Stream:
    """Return the stream with more of its level's sample, which is complete with enough units of a whole day."""
    begun, learned = stream.begun or at, stream.learned + mine
    ready = learned.n >= enough and at - begun >= DAY
    return msgspec.structs.replace(stream, learned=learned, begun=begun, ready=ready, since=at)


def _against_level(stream: Stream, asked: Question, mine: tuple[int, ...], hour: int) -> tuple[Stream, Array]:
    level, scale = reference(asked, stream.learned) + stream.shape.offset(hour), asked.scale
    if asked.told:
        least = max(stream.learned.mean, 2 * CLIP)
        level, scale = (_STOPPED * level, _STOPPED_SCALE * least) if stream.one_sided else (level, scale * least)
    claim = Claim(0.0, scale, asked.sign)
    read = asked.method.read(mine)
    if isinstance(read, Histogram):
        low, high = float(read.points[0]), float(read.points[-1])
        # A level at the very end of the range leaves nothing that would be worse.
        inside = min(max(level, low + INSIDE * (high - low)), high - INSIDE * (high - low))
        process = OneMean(claim, inside, moments=stream.moments).update(read)
        return msgspec.structs.replace(stream, moments=process.moments), np.asarray(process.log_wealth)
    assert isinstance(read, tuple), "a metric without bounds is not watched"
    successes, failures = read
    level = min(max(level, 2 * CLIP), 1 - 2 * CLIP)
    return stream, rate_increments(successes, failures, level, claim)


def _against_holdback(
    stream: Stream, asked: Question, sides: tuple[tuple[int, ...], tuple[int, ...]], share: float
) -> tuple[Stream, Array]:
    claim = Claim(asked.allowed, asked.scale, asked.sign)
    held, mine = (asked.method.read(side) for side in sides)
    if isinstance(held, Histogram) and isinstance(mine, Histogram):
        process = BoundedProcess(claim, moments=stream.moments).update(held, mine, share)
        return msgspec.structs.replace(stream, moments=process.moments), np.asarray(process.log_wealth)
    assert isinstance(held, tuple), "a metric without bounds is not watched"
    assert isinstance(mine, tuple), "both sides are gathered alike"
    batch = Batch(*held, *mine)
    known = BinaryProcess(claim, seen=stream.seen).update(batch, share)
    return msgspec.structs.replace(stream, seen=known.seen), np.asarray(known.log_wealth)
