"""Independent units at one share, looked at after every one: false calls, and how soon a true effect is shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calibration import peers
from pilotage.stats import binary, mixture
from pilotage.stats.claim import Claim, threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pilotage.stats.mixture import Array

WINDOW = 250
"""Units of both arms in a window of the limit."""


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


Mixed = tuple[tuple[float, Claim], ...]
"""Claims of one null with their weights: the mean of their e-processes is one."""
Passage = dict[str, "NDArray[np.float64]"]
"""By rule, for every repetition the unit at which it first called; infinite where it never did."""


def passage(
    world: World,
    claims: Mapping[str, Claim | Mixed],
    rng: np.random.Generator,
    *,
    runs: int,
    alpha: float,
    block: int = 100,
    expected: tuple[float, float] = (0.5, 4.0),
    others: dict[str, peers.Rule] | None = None,
    limit: float | None = None,
) -> Passage:
    """Simulate until every rule has called or the units are used up, and return the first calls by rule.

    Bets are renewed after each block. `oracle` is the likelihood ratio of the true rates to their projection on the
    first claim's null; `expected` is the rate known beforehand and the units that it counts as; `others` are asked after
    every unit, `limit` after every window.
    """
    others = others or {}
    mixed = {name: claim if isinstance(claim, tuple) else ((1.0, claim),) for name, claim in claims.items()}
    weights = {
        name: np.log(np.concatenate([np.asarray(mixture.WEIGHTS) * w for w, _ in m])) for name, m in mixed.items()
    }
    truth = _oracle(world, next(iter(mixed.values()))[0][1])
    rules = [*claims, *others, *(["oracle"] if truth is not None else []), *(["limit"] if limit is not None else [])]
    first: Passage = {rule: np.full(runs, math.inf) for rule in rules}
    windows = peers.Limit(limit or 0.0, runs)
    alive = np.arange(runs)
    wealth = {name: np.zeros((runs, len(bets))) for name, bets in weights.items()}
    seen, window, told = np.zeros((runs, 4)), np.zeros((runs, 4)), np.zeros(runs)
    edges = np.cumsum(world.kinds)[:-1]
    for start in range(0, world.units, block):
        draws = np.searchsorted(edges, rng.random((len(alive), block)), side="right")
        for name, parts in mixed.items():
            table = np.concatenate([_table(seen, world.share, claim, expected) for _, claim in parts], axis=-1)
            path = wealth[name][:, None, :] + np.cumsum(np.take_along_axis(table, draws[..., None], axis=1), axis=1)
            # No mixture is above its highest component, so most paths need no closer look.
            near = path.max(axis=(1, 2)) >= threshold(alpha)
            _note(first[name], alive[near], _log_mean(path[near] + weights[name]) >= threshold(alpha), start)
            wealth[name] = path[:, -1]
        if truth is not None:
            ideal = told[:, None] + np.cumsum(truth[draws], axis=1)
            _note(first["oracle"], alive, ideal >= threshold(alpha), start)
            told = ideal[:, -1]
        if others:
            path = seen[:, None, :] + np.cumsum(draws[..., None] == np.arange(4), axis=1)
            totals = peers.of_counts(path)
            for name, rule in others.items():
                _note(first[name], alive, rule(totals), start)
        seen = seen + np.stack([(draws == kind).sum(axis=1) for kind in range(4)], axis=1)
        if limit is not None and (start + block) % WINDOW < block:
            in_window = seen - window
            aborted = windows.after(in_window[:, 2] + in_window[:, 3], in_window[:, 2], alive)
            _note(first["limit"], alive, aborted[:, None], start + block - 1)
            window = seen
        stay = ~np.all([np.isfinite(first[rule][alive]) for rule in rules], axis=0)
        if not stay.all():
            alive, seen, window, told = alive[stay], seen[stay], window[stay], told[stay]
            wealth = {name: state[stay] for name, state in wealth.items()}
        if not len(alive):
            break
    return first


def _log_mean(terms: Array) -> Array:
    top = terms.max(axis=-1)
    return np.asarray(top + np.log(np.exp(terms - top[..., None]).sum(axis=-1)))


def _table(seen: Array, share: float, claim: Claim, expected: tuple[float, float]) -> Array:
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


def _oracle(world: World, claim: Claim) -> Array | None:
    a, b, pi = world.baseline, world.candidate, world.share
    if claim.sign < 0:
        a, b, pi = b, a, 1 - pi
    if b - a <= claim.null + 1e-12:
        return None
    a0 = float(binary.null_point(np.asarray([a]), np.asarray([b]), np.asarray([pi]), claim.null)[0])
    b0 = a0 + claim.null
    logs = [math.log(a / a0), math.log((1 - a) / (1 - a0)), math.log(b / b0), math.log((1 - b) / (1 - b0))]
    return np.asarray(logs if claim.sign > 0 else logs[2:] + logs[:2])


def _note(first: Array, alive: NDArray[np.intp], hit: NDArray[np.bool_], start: int) -> None:
    """Set the first unit at which each living repetition hit, where it had not before."""
    at = np.where(hit.any(axis=1), start + 1.0 + hit.argmax(axis=1), math.inf)
    first[alive] = np.minimum(first[alive], at)


def sampled(
    rate: float, rng: np.random.Generator, *, units: int, runs: int, period: int, own: bool
) -> NDArray[np.bool_]:
    """Return where TensorZero's formula calls between two equal arms that it samples itself (`own`), or half and half.

    Shares are set, and the rule is asked, once in `period` units, as its background task does.
    """
    seen = np.zeros((runs, 4))
    called = np.zeros(runs, dtype=bool)
    for _ in range(units // period):
        totals = peers.of_counts(seen)
        n_c = rng.binomial(period, peers.tensorzero_share(totals) if own else 0.5, runs)
        s_b, s_c = rng.binomial(period - n_c, rate), rng.binomial(n_c, rate)
        seen += np.stack((s_b, period - n_c - s_b, s_c, n_c - s_c), axis=1)
        called |= peers.tensorzero(peers.of_counts(seen))
    return called
