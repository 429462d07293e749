"""Every kind of detector as production runs it: `decision.watch` over ticks of made-up units.

Time between false alarms is that of a stream whose level was learned from 2,000 units of its own, as a rollout leaves it.
Delay is that of a stream that knows its level, beside the CUSUM that knows the distribution before and after (Page 1954; no
other is quicker in the worst case: Moustakides 1986), tuned by simulation to the run length that is promised.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calibration.figure import Figure
from pilotage.clock import MINUTE
from pilotage.decision.batch import Batch, Cell
from pilotage.decision.drift import scale_of_slice
from pilotage.decision.method import Bounded, Rate
from pilotage.decision.stratum import Arm, arm_of
from pilotage.decision.stream import TOLD_SCALE, Question
from pilotage.decision.watch import Setting, after, begin
from pilotage.spec.watch import Watch
from pilotage.stats.histogram import even_scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Random = np.random.Generator
    Rates = tuple[float, ...]

UNITS = 20
"""Units that mature in a tick, on average."""
LEARNED, KNOWN = 2_000, 10**9
TICKS = 1_000
"""What is promised between false alarms."""
FROM_START, STEADY = 1.3, 1.2
SETTLED = 200
_MILLION = 1_000_000
_STARS = (0.05, 0.08, 0.15, 0.32, 0.40)


class Kind(msgspec.Struct, frozen=True):
    """One kind of stream: how often each of `values` comes before and after the change; `held` percent of the units see none."""

    name: str
    question: Question
    values: Rates
    before: Rates
    after: Rates
    held: int = 0
    units: int = UNITS

    def setting(self, ticks: float) -> Setting:
        """Return the question of this stream alone, with so many ticks promised between false alarms."""
        return Setting({"it": self.question}, Watch(), 1 - self.held / 100, math.log(ticks), math.inf)

    def cells(self, rng: Random, *, changed: bool) -> tuple[Cell, ...]:
        """Return what matures in one tick."""
        sides = ((1, 100 - self.held, self.after if changed else self.before), (0, self.held, self.before))
        found = []
        for arm, part, rates in sides:
            counts = rng.poisson(self.units * part / 100 * np.asarray(rates))
            if counts.any():
                found.append(Cell(1, 1, arm, self.sums(counts)))
        return tuple(found)

    def sums(self, counts: NDArray[np.int64]) -> tuple[int, ...]:
        if isinstance(self.question.method, Rate):
            return int(counts[1]), int(counts[0])
        return self.question.method.gather([round(v * _MILLION) for v in np.repeat(self.values, counts).tolist()])

    def level(self, rng: Random, units: int) -> Arm:
        """Return what so many units have shown; KNOWN of them say it exactly."""
        if units < KNOWN:
            return arm_of(self.question.method.read(self.sums(rng.multinomial(units, self.before))))
        values, rates = np.asarray(self.values), np.asarray(self.before)
        mean = float(values @ rates)
        return Arm(units, 0, mean, units * (float(values**2 @ rates) - mean * mean))


def _fallen(by: float) -> Rates:
    """Return how often each star is given after the mean has fallen, by the tilt that takes the least information."""
    stars, rates = np.arange(1.0, 6.0), np.asarray(_STARS)
    low, high = -3.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        tilted = rates * np.exp(middle * stars)
        fell = float(tilted @ stars / tilted.sum()) < float(rates @ stars) - by
        low, high = (middle, high) if fell else (low, middle)
    return tuple((rates * np.exp(low * stars) / float(rates @ np.exp(low * stars))).tolist())


def _rate(name: str, rates: tuple[float, float], question: Question, **more: int) -> Kind:
    before, after_ = rates
    return Kind(name, question, (0.0, 1.0), (1 - before, before), (1 - after_, after_), **more)


def _question(scale: float, *, falls: bool = False, told: bool = False, holdback: bool = False) -> Question:
    return Question("it", Rate(), falls, scale, told, holdback)


KINDS = (
    _rate("errors .02, then .04", (0.02, 0.04), _question(0.02)),
    _rate("resolved .60, then .55", (0.60, 0.55), _question(0.05, falls=True)),
    Kind(
        "stars 3.94, then 3.74",
        Question("it", Bounded(even_scale(1.0, 5.0)), falls=True, scale=0.2),
        (1.0, 2.0, 3.0, 4.0, 5.0),
        _STARS,
        _fallen(0.2),
    ),
    _rate(
        "silence: .70 told, then .525 (5 units a tick)",
        (0.7, 0.525),
        _question(TOLD_SCALE, falls=True, told=True),
        units=5,
    ),
    _rate("drift: novel questions .02, then .03", (0.02, 0.03), _question(scale_of_slice(0.02))),
    _rate("mix: a topic's part .05, then .0625", (0.05, 0.0625), _question(scale_of_slice(0.05))),
    _rate(
        "resolved .60, then .50, beside 20 % held back",
        (0.60, 0.50),
        _question(0.05, falls=True, holdback=True),
        held=20,
    ),
)


def alarm(kind: Kind, rng: Random, *, at: int, longest: int, known: int) -> float:
    """Return the ticks to the first alarm where it changes at a tick; infinite where there is none until `longest`."""
    asked = kind.setting(TICKS)
    watching = begin(asked, {"it": kind.level(rng, known)})
    # A file's tick is a minute; from noon on, for the first ticks are no place for midnight.
    source = "it|told" if kind.question.told else "it"
    for tick in range(1, longest + 1):
        metrics = {source: kind.cells(rng, changed=tick > at)}
        watching, crossings = after(watching, Batch(at=(720 + tick) * MINUTE, metrics=metrics), asked)
        if crossings:
            return tick
    return math.inf


def best(
    kind: Kind, heights: NDArray[np.float64], rng: Random, *, runs: int, at: int, longest: int
) -> NDArray[np.float64]:
    """Return the ticks to the first alarm of the CUSUM told both distributions, at every height: shape (heights, runs)."""
    before, after_ = np.asarray(kind.before), np.asarray(kind.after)
    gain = np.log(after_ / before)
    level, alarms = np.zeros(runs), np.full((len(heights), runs), math.inf)
    for tick in range(longest):
        counts = rng.poisson(kind.units * (before if tick < at else after_), (runs, len(before)))
        level = np.maximum(level + counts @ gain, 0)
        alarms[(level >= heights[:, None]) & ~np.isfinite(alarms)] = tick + 1
        if np.isfinite(alarms[-1]).all():
            break
    return alarms


def kinds(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Yield a line for every kind of stream."""
    heights, runs, many = np.linspace(1.0, 9.0, 161), max(int(40 * size), 10), max(int(300 * size), 20)
    never, cap = 10 * TICKS, 2 * TICKS
    for kind in KINDS:
        quiet = [alarm(kind, rng, at=never, longest=cap, known=LEARNED) for _ in range(runs)]
        # A run that is quiet to its end counts with its time: alarms come, by then, as rarely after it as before.
        watched, alarms = float(np.minimum(quiet, cap).sum()), int(np.isfinite(quiet).sum())
        tuned = best(kind, heights, rng, runs=many, at=20 * TICKS, longest=20 * TICKS)
        height = float(np.interp(TICKS, np.minimum(tuned, 20 * TICKS).mean(axis=1), heights))
        cells = [kind.name, f"{watched / alarms:,.0f}" if alarms else f"none in {watched:,.0f}"]
        kept = watched >= TICKS * (alarms - 2 * math.sqrt(alarms))
        for at, most in ((0, FROM_START), (SETTLED, STEADY)):
            ours = np.asarray([alarm(kind, rng, at=at, longest=cap, known=KNOWN) for _ in range(many)])
            ideal = best(kind, np.asarray([height]), rng, runs=10 * many, at=at, longest=cap)[0]
            mine, theirs = (np.minimum(ticks[ticks > at], cap) - at for ticks in (ours, ideal))
            times, error = mine.mean() / theirs.mean(), mine.std() / math.sqrt(mine.size) / theirs.mean()
            cells.append(f"{mine.mean():.1f}, {times:.2f} times (+-{error:.2f})")
            # Whoever is compared with a fifth of the users cannot be as quick as one who knows the level.
            kept &= bool(kind.held) or bool(times - 2 * error <= most)
        late = [alarm(kind, rng, at=0, longest=cap, known=LEARNED) for _ in range(runs)]
        cells.append(f"{np.median(late):,.0f}" if np.median(late) < math.inf else f"more than {cap:,}")
        yield Figure("production", tuple(cells), kept)
