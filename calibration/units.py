"""Independent units at one share, looked at after every one: false calls, and how soon a true effect is shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.stats import binary, mixture
from pilotage.stats.claim import Claim, threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z = 1.959964
FIRST_NAIVE = 100


class World(msgspec.Struct, frozen=True):
    """The true rates, the candidate's share, and how many units come at most."""

    baseline: float
    candidate: float
    share: float
    units: int

    @property
    def kinds(self) -> list[float]:
        """Chances of a unit being sB, fB, sC, fC."""
        b, c, pi = self.baseline, self.candidate, self.share
        return [(1 - pi) * b, (1 - pi) * (1 - b), pi * c, pi * (1 - c)]


class Passage(msgspec.Struct, frozen=True):
    """For every repetition the unit at which each rule first called; infinite where it never did."""

    process: NDArray[np.float64]
    oracle: NDArray[np.float64]
    naive: NDArray[np.float64]


def passage(
    world: World,
    claim: Claim,
    rng: np.random.Generator,
    *,
    runs: int,
    alpha: float,
    block: int = 100,
    expected: tuple[float, float] = (0.5, 4.0),
) -> Passage:
    """Simulate until the process has called or the units are used up; bets are renewed after each block.

    The oracle is the likelihood ratio of the true rates to their projection; naive is a two-sided z-test of the pooled
    totals, looked at after each block. `expected` is the rate known beforehand and the units that it counts as.
    """
    needed = threshold(alpha)
    first = Passage(*(np.full(runs, math.inf) for _ in range(3)))
    alive = np.arange(runs)
    wealth = np.zeros((runs, len(mixture.WEIGHTS)))
    seen = np.zeros((runs, 4))
    told = np.zeros(runs)
    truth = _oracle(world, claim)
    edges = np.cumsum(world.kinds)[:-1]
    for start in range(0, world.units, block):
        draws = np.searchsorted(edges, rng.random((len(alive), block)), side="right")
        table = _table(seen, world.share, claim, expected)
        path = wealth[:, None, :] + np.cumsum(np.take_along_axis(table, draws[..., None], axis=1), axis=1)
        # No mixture is above its highest component, so most paths need no closer look.
        near = path.max(axis=(1, 2)) >= needed
        _note(first.process, alive[near], mixture.log_mixture(path[near]) >= needed, start)
        if truth is not None:
            ideal = told[:, None] + np.cumsum(truth[draws], axis=1)
            _note(first.oracle, alive, ideal >= needed, start)
            told = ideal[:, -1]
        seen = seen + np.stack([(draws == kind).sum(axis=1) for kind in range(4)], axis=1)
        if start + block >= FIRST_NAIVE:
            _note(first.naive, alive, (np.abs(_z(seen)) > Z)[:, None], start)
        wealth = path[:, -1]
        # The naive rule is only asked about where nothing is to be found, and there most repetitions stay.
        stay = ~(np.isfinite(first.process[alive]) & (np.isfinite(first.oracle[alive]) | (truth is None)))
        if truth is None:
            stay |= ~np.isfinite(first.naive[alive])
        alive, wealth, seen, told = alive[stay], wealth[stay], seen[stay], told[stay]
        if not len(alive):
            break
    return first


def _table(seen: NDArray[np.float64], share: float, claim: Claim, expected: tuple[float, float]) -> NDArray[np.float64]:
    """Return each repetition's log e-values by kind and component, predicted as `binary.BinaryProcess` does."""
    arms = seen if claim.sign > 0 else seen[:, [2, 3, 0, 1]]
    pi = share if claim.sign > 0 else 1 - share
    rate, units = expected
    n = arms.sum(axis=1) + units
    pooled = (arms[:, 0] + arms[:, 2] + rate * units) / n
    part = (arms[:, 2] + arms[:, 3] + pi * units) / n
    table = binary.log_ratios(pooled, part, pi, claim.null, mixture.offsets(claim.scale) + claim.null)
    table = np.swapaxes(table, 1, 2)
    return table if claim.sign > 0 else table[:, [2, 3, 0, 1]]


def _oracle(world: World, claim: Claim) -> NDArray[np.float64] | None:
    a, b, pi = world.baseline, world.candidate, world.share
    if claim.sign < 0:
        a, b, pi = b, a, 1 - pi
    if b - a <= claim.null + 1e-12:
        return None
    a0 = float(binary.null_point(np.asarray([a]), np.asarray([b]), np.asarray([pi]), claim.null)[0])
    b0 = a0 + claim.null
    logs = [math.log(a / a0), math.log((1 - a) / (1 - a0)), math.log(b / b0), math.log((1 - b) / (1 - b0))]
    return np.asarray(logs if claim.sign > 0 else logs[2:] + logs[:2])


def _note(first: NDArray[np.float64], alive: NDArray[np.intp], hit: NDArray[np.bool_], start: int) -> None:
    """Set the first unit at which each living repetition hit, where it had not before."""
    at = np.where(hit.any(axis=1), start + 1.0 + hit.argmax(axis=1), math.inf)
    first[alive] = np.minimum(first[alive], at)


def _z(seen: NDArray[np.float64]) -> NDArray[np.float64]:
    n_b, n_c = np.maximum(seen[:, :2].sum(axis=1), 1), np.maximum(seen[:, 2:].sum(axis=1), 1)
    pooled = (seen[:, 0] + seen[:, 2]) / (n_b + n_c)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_b + 1 / n_c))
    return np.asarray((seen[:, 2] / n_c - seen[:, 0] / n_b) / np.where(error > 0, error, np.inf))
