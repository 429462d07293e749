"""Whether the intervals of an evaluation hold the truth as often as they say, in worlds whose truth is known.

    python -m calibration.evaluations                 the committed table (some three minutes of one core)
    python -m calibration.evaluations --runs 20000    more draws

Each line is one world: so many cases are drawn anew each time, and the interval that an evaluation would report is held against the
truth. Ends with 1 where a line that promises 95 % holds it less often than --least.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import Reply
from pilotage.evaluation.comparison import Pair, by_label, difference, rate
from pilotage.evaluation.measures import CONFIDENCE, Judged, cost, quality, quality_difference
from pilotage.evaluation.price import Price
from pilotage.evaluation.value import Bargain, cost_a_goal, net_value
from pilotage.records import Score
from pilotage.spec.case import Case
from pilotage.stats.quantile import quantile_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RUNS = 4_000
LEAST = 0.90
"""Below this a line is a fault: with few cases no interval of these kinds holds 95 % at every truth."""


class Told(NamedTuple):
    """One draw: whether the truth lay within, and how wide it was; None where nothing could be said."""

    held: bool
    width: float


class Line(NamedTuple):
    what: str
    world: str
    held: float
    width: float
    untold: float
    promised: bool


World = tuple[str, str, bool, "Callable[[np.random.Generator], Told | None]"]


def lines(seed: int, runs: int) -> Iterator[Line]:
    every = [*_shares(), *_pairs(), *_grouped(), *_slices(), *_money(), *_latency()]
    for (what, world, promised, draw), child in zip(every, np.random.SeedSequence(seed).spawn(len(every)), strict=True):
        rng = np.random.default_rng(child)
        found = [draw(rng) for _ in range(runs)]
        told = [one for one in found if one is not None]
        held = sum(one.held for one in told) / len(told) if told else math.nan
        width = float(np.median([one.width for one in told])) if told else math.nan
        yield Line(what, world, held, width, 1 - len(told) / runs, promised)


def _judged(right: Floats, before: Floats | None = None, seen: Floats | None = None) -> list[Judged]:
    """Return cases with these scores; where `seen` is 0 the candidate's reply could not be scored."""
    case, reply = Case(id="c", text="q", contains=("x",)), Reply(latency=0.1, status=200, text="x")

    def score(value: float | None) -> Score:
        return Score(case="c", release="r", scorer="s", value=value, why="")

    values = [None if seen is not None and not seen[at] else float(one) for at, one in enumerate(right)]
    earlier = [None] * len(right) if before is None else [score(float(one)) for one in before]
    return [
        Judged(case=case, reply=reply, score=score(value), before=was)
        for value, was in zip(values, earlier, strict=True)
    ]


def _told(low: float, high: float, truth: float) -> Told:
    return Told(low - 1e-12 <= truth <= high + 1e-12, high - low)


def _shares() -> Iterator[World]:
    for n, p in ((30, 0.5), (30, 0.9), (100, 0.05), (100, 0.8), (316, 0.525), (316, 0.98)):

        def draw(rng: np.random.Generator, n: int = n, p: float = p) -> Told:
            found = quality(_judged((rng.random(n) < p).astype(float)))
            return _told(found.low, found.high, p)

        yield "share of right replies", f"{n} cases, {p:.1%} right", True, draw

    def unscored(rng: np.random.Generator) -> Told:
        right = rng.random(200) < 0.7
        # A reply that would have been wrong fails to come three times as often.
        seen = rng.random(200) > np.where(right, 0.05, 0.15)
        found = quality(_judged(right.astype(float), seen=seen.astype(float)))
        return _told(found.low, found.high, 0.7)

    yield (
        "share of right replies",
        "200 cases, 70 % right, 5 % of these and 15 % of the wrong ones unscored",
        True,
        unscored,
    )


def _pairs() -> Iterator[World]:
    for n, better, worse in ((30, 0.2, 0.1), (100, 0.05, 0.05), (100, 0.02, 0.0), (316, 0.2, 0.08), (316, 0.3, 0.3)):

        def draw(rng: np.random.Generator, n: int = n, better: float = better, worse: float = worse) -> Told:
            kind = rng.choice(3, size=n, p=(better, worse, 1 - better - worse))
            same = (rng.random(n) < 0.6).astype(float)
            now = np.where(kind == 0, 1.0, np.where(kind == 1, 0.0, same))
            before = np.where(kind == 0, 0.0, np.where(kind == 1, 1.0, same))
            found = quality_difference(_judged(now, before), "b")
            return _told(found.low, found.high, better - worse)

        yield "difference on the same cases", f"{n} cases, {better:.0%} better, {worse:.0%} worse", True, draw


def _drawn_groups(rng: np.random.Generator, groups: int, alike: float, p: float) -> tuple[Floats, list[str]]:
    """Return 0s and 1s in groups of 1 to 15, whose own rates are beta with the mean p and the correlation `alike`."""
    sizes = rng.integers(1, 16, groups)
    strength = (1 - alike) / alike
    rates = rng.beta(p * strength, (1 - p) * strength, groups)
    values = (rng.random(int(sizes.sum())) < np.repeat(rates, sizes)).astype(float)
    return values, [f"g{at}" for at in np.repeat(np.arange(groups), sizes)]


def _grouped() -> Iterator[World]:
    for groups, alike in ((10, 0.3), (20, 0.3), (20, 0.7), (60, 0.3), (200, 0.7)):
        for heeded in (True, False):

            def share(
                rng: np.random.Generator, groups: int = groups, alike: float = alike, heeded: bool = heeded
            ) -> Told:
                values, names = _drawn_groups(rng, groups, alike, 0.7)
                found = rate(values.tolist(), names if heeded else [], CONFIDENCE)
                return _told(found.low, found.high, 0.7)

            what = "share, cases in groups" if heeded else "the same, groups ignored"
            yield what, f"{groups} groups of 1 to 15, correlation {alike:g}", heeded, share
    for groups in (20, 60):

        def gap(rng: np.random.Generator, groups: int = groups) -> Told:
            base, names = _drawn_groups(rng, groups, 0.5, 0.5)
            moved = np.array([rng.random() for _ in range(groups)])
            _, index = np.unique(names, return_inverse=True)
            # In half of the groups one wrong answer in three becomes right: a sixth of a half is gained.
            lifted = (moved[index] < 0.5) & (rng.random(len(base)) < 1 / 3) & (base == 0)
            found = difference((base + lifted).tolist(), base.tolist(), names, CONFIDENCE)
            return _told(found.low, found.high, 0.5 * 0.5 / 3)

        yield "difference, cases in groups", f"{groups} groups of 1 to 15, correlation 0.5", True, gap


def _slices() -> Iterator[World]:
    for slices, n in ((5, 60), (12, 30), (30, 100)):

        def draw(rng: np.random.Generator, slices: int = slices, n: int = n) -> Told:
            truth = rng.uniform(0, 0.3, slices)
            labelled = {}
            for at, better in enumerate(truth):
                kind = rng.choice(3, size=n, p=(better, 0.1, 0.9 - better))
                labelled[str(at)] = [Pair(float(one == 0), float(one == 1)) for one in kind]
            found = by_label(labelled, CONFIDENCE)
            held = all(found[str(at)]["low"] <= one - 0.1 <= found[str(at)]["high"] for at, one in enumerate(truth))
            return Told(held, float(np.median([one["high"] - one["low"] for one in found.values()])))

        yield "differences by slice, all at once", f"{slices} slices of {n} cases", True, draw


def _spent(rng: np.random.Generator, n: int, spread: float) -> tuple[list[Reply], float]:
    """Return replies whose tokens are log-normal with the mean 200, and the mean price of one at 1 for a token."""
    tokens = rng.lognormal(math.log(200) - spread * spread / 2, spread, n)
    return [
        Reply(latency=0.1, status=200, text="x", input_tokens=0, output_tokens=int(one * 1_000)) for one in tokens
    ], 200.0


def _money() -> Iterator[World]:
    price = (0.0, 1_000.0)
    for n, spread in ((30, 0.5), (100, 0.5), (100, 1.0), (316, 1.0), (316, 1.5)):

        def mean(rng: np.random.Generator, n: int = n, spread: float = spread) -> Told:
            replies, truth = _spent(rng, n, spread)
            found = cost(replies, price, "EUR")
            return _told(found.low, found.high, truth)

        yield "cost of a request", f"{n} replies, log-normal tokens, sigma {spread:g}", spread < 1.5, mean
    for n, p, spread in ((60, 0.5, 0.5), (316, 0.5, 0.5), (316, 0.9, 1.0), (316, 0.1, 0.5)):

        def each(rng: np.random.Generator, n: int = n, p: float = p, spread: float = spread) -> Told | None:
            replies, mean = _spent(rng, n, spread)
            judged = _judged((rng.random(n) < p).astype(float))
            paired = [_with(one, reply) for one, reply in zip(judged, replies, strict=True)]
            try:
                found = cost_a_goal(paired, Bargain(currency="EUR", price=Price(*price)))
            except NotMeasured:
                return None
            return _told(found.low, found.high, mean / p)

        yield "cost of a right answer", f"{n} cases, {p:.0%} right, sigma {spread:g}", True, each

    def net(rng: np.random.Generator) -> Told:
        n = 316
        kind = rng.choice(3, size=n, p=(0.2, 0.1, 0.7))
        replies, mean = _spent(rng, n, 0.5)
        judged = _judged((kind == 0).astype(float), (kind == 1).astype(float))
        paired = [_with(one, reply) for one, reply in zip(judged, replies, strict=True)]
        bargain = Bargain(
            currency="EUR", price=Price(*price), before=Price(0, 0), goal="g", worth=3_000.0, units_a_day=1 / 30
        )
        found = net_value(paired, bargain, [replies[0]] * n, "b")[0]
        return _told(found.low, found.high, 3_000.0 * 0.1 - mean)

    yield "net value of a unit", "316 cases, 20 % better, 10 % worse, sigma 0.5", True, net


def _with(one: Judged, reply: Reply) -> Judged:
    return Judged(case=one.case, reply=reply, score=one.score, before=one.before)


def _latency() -> Iterator[World]:
    truth = math.exp(1.6448536)
    for n in (80, 316):

        def draw(rng: np.random.Generator, n: int = n) -> Told | None:
            found = quantile_interval(rng.lognormal(0, 1, n).tolist(), 0.95, CONFIDENCE)
            return None if found is None else _told(found[1], found[2], truth)

        yield "95th percentile of latency", f"{n} answers, log-normal, sigma 1", True, draw


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=RUNS)
    options.add_argument("--seed", type=int, default=20_260_101)
    options.add_argument("--least", type=float, default=LEAST)
    given = options.parse_args()
    sys.stdout.write(f"Seed {given.seed}, {given.runs:,} draws a line.\n\n")
    sys.stdout.write("| interval | world | holds the truth | median width |\n|---|---|---|---|\n")
    kept = True
    for line in lines(given.seed, given.runs):
        error = math.sqrt(max(line.held * (1 - line.held), 1e-9) / given.runs)
        untold = f"; {line.untold:.1%} not measured" if line.untold else ""
        sys.stdout.write(
            f"| {line.what} | {line.world}{untold} | {line.held:.1%} (+-{error:.1%}) | {line.width:.3g} |\n"
        )
        sys.stdout.flush()
        kept = kept and (not line.promised or line.held + 3 * error >= given.least)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
