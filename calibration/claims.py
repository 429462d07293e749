"""What a claim must not do: pass the margin, call harm within it, or trust those who happened to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calibration import peers
from calibration.figure import ALPHA, Figure, percent, share, within
from calibration.units import World, passage
from pilotage.stats import binary, mixture
from pilotage.stats.claim import Claim, harmful, not_inferior, threshold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MARGIN = 0.03
PROMISE = f"at most {100 * ALPHA:g} %"


def margins(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """A candidate that is worse by some part of the margin of 3 points, thumbs .70, looked at after every unit."""
    runs = int(2000 * size)
    for worse, called in ((MARGIN, "exactly the margin of 3 points"), (0.015, "half the margin"), (0.0, "nothing")):
        world = World(0.7, 0.7 - worse, 0.5, 30_000)
        claims = {
            "passed as no worse": not_inferior(MARGIN),
            "rolled back, harm against the margin": harmful(MARGIN),
            "rolled back, harm against 0": harmful(MARGIN, at="zero"),
        }
        first = passage(world, claims, rng, runs=runs, alpha=ALPHA)
        for verb in claims:
            promised = verb in _promised(worse)
            calls = np.isfinite(first[verb])
            cells = (f"worse by {called}: {verb}", share(calls), PROMISE if promised else "")
            yield Figure("claims", cells, not promised or within(calls))


def _promised(worse: float) -> tuple[str, ...]:
    both = ("rolled back, harm against the margin",)
    if worse == MARGIN:
        return ("passed as no worse", *both)
    return both if worse else (*both, "rolled back, harm against 0")


class Answers(msgspec.Struct, frozen=True):
    """How many are content on one side, and how many of the content and of the others answer."""

    content: float
    up: float
    down: float


def responders(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Thumbs of 300,000 users at 50/50, of whom few answer; the margin is 3 points.

    Responders only: those answer who like to, and that may change with the candidate. With silence declared every user
    counts, those who say nothing as no thumb up.
    """
    before, runs = Answers(0.70, 0.10, 0.10), int(1000 * size)
    leaning = Answers(0.67, 0.051, 0.048)
    for name, after, silent, promised in (
        ("responders only, who differ: 5.1 % of the content answer, 4.8 % of the others", leaning, False, False),
        ("responders only, everybody answers alike", Answers(0.67, 0.10, 0.10), False, True),
        ("all users of the first row, silence as no thumb", leaning, True, True),
        ("all users, silence as no thumb, 3 points worse on that scale", Answers(0.80, 0.05, 0.05), True, True),
    ):
        calls = _answered(not_inferior(MARGIN), (before, after), rng, silent=silent, runs=runs)
        text = f"{name}: passed as no worse"
        yield Figure("claims", (text, share(calls), PROMISE if promised else ""), not promised or within(calls))


def _answered(
    claim: Claim, sides: tuple[Answers, Answers], rng: np.random.Generator, *, silent: bool, runs: int
) -> NDArray[np.bool_]:
    wealth, seen = np.zeros((runs, len(mixture.WEIGHTS))), np.zeros((runs, 4))
    calls = np.zeros(runs, dtype=bool)
    looks, users = 300, 1000
    for _ in range(looks):
        n_c = rng.binomial(users, 0.5, runs)
        counts = []
        for n, side in zip((users - n_c, n_c), sides, strict=True):
            content = rng.binomial(n, side.content)
            up, down = rng.binomial(content, side.up), rng.binomial(n - content, side.down)
            counts += [up, n - up if silent else down]
        batch, n_seen = np.stack(counts, axis=1), seen.sum(axis=1) + 4
        part = (seen[:, 2] + seen[:, 3] + 2) / n_seen
        wealth += binary.increments(batch, (seen[:, 0] + seen[:, 2] + 2) / n_seen, part, np.full(runs, 0.5), claim)
        seen += batch
        calls |= mixture.log_mixture(wealth) >= threshold(ALPHA)
    return calls


def limits(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """A fixed limit of 5 % errors on windows of five minutes, at several amounts of traffic, for a day."""
    runs, hour, day = int(2000 * size), 12, 288
    for traffic in (3, 12, 60, 250):
        cells = [f"{traffic} candidate requests a window"]
        for rate in (0.02, 0.2):
            rule = peers.Limit(0.05, runs)
            at = np.full(runs, day + 1)
            for window in range(1, day + 1):
                n = rng.poisson(traffic, runs).astype(np.float64)
                aborted = rule.after(n, rng.binomial(n.astype(np.int64), rate).astype(np.float64))
                at = np.where(aborted, np.minimum(at, window), at)
            if rate < 0.2:
                cells += [percent(at <= hour), percent(at <= day)]
            else:
                cells.append(f"{float(np.median(at)) * traffic:,.0f}")
        yield Figure("limits", tuple(cells))
