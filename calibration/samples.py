"""A true effect: how many units each rule takes to show it, and how many were planned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from calibration import peers
from calibration.figure import ALPHA, Figure
from calibration.units import Mixed, World, passage
from pilotage.decision import comparison
from pilotage.spec.metric import Goal, Guardrail
from pilotage.stats import planner
from pilotage.stats.sequence import RateSequence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calibration.peers import Flags, Totals
    from calibration.units import Passage

AT_EFFECT, AROUND = 1.15, 1.25
"""Promised: at most so many times the told oracle's units at the effect that was said to matter; from half to twice it."""


def _growthbook(totals: Totals) -> Flags:
    # Two-sided at 10 % is 5 % in the direction that is asked about, as for ours.
    return np.asarray(peers.growthbook(totals, 2 * ALPHA) & (totals.mean_c > totals.mean_b))


def _tensorzero(totals: Totals) -> Flags:
    return np.asarray(peers.tensorzero(totals, ALPHA) & (totals.mean_c > totals.mean_b))


Metric = Goal | Guardrail
ONE_WAY: dict[str, peers.Rule] = {"growthbook": _growthbook, "tensorzero": _tensorzero}


def rows() -> Iterator[tuple[str, World, Metric, float]]:
    """Yield a name, the truth, the metric with its declared level of today, and the times that are promised."""
    for points in (1, 2, 4):
        for factor, called in ((1.0, "the effect that matters"), (0.5, "half of it"), (2.0, "twice it")):
            world = World(0.1, 0.1 + factor * points / 100, 0.5, 1_000_000)
            name = f".10 +{factor * points:g} at 50/50, minimum effect {points}: {called}"
            goal = Goal(today=0.1, minimum_effect=points / 100)
            yield name, world, goal, AT_EFFECT if factor == 1 else AROUND
    errors = World(0.01, 0.05, 0.05, 400_000)
    for margin, called in ((0.04, "the margin"), (0.08, "half of it"), (0.02, "twice it")):
        name = f"errors .01 to .05 at 5 %, harm against 0, margin {100 * margin:g}: {called}"
        harm = Guardrail(direction="down", today=0.01, margin=margin, rollback_at="zero")
        yield name, errors, harm, AT_EFFECT if called == "the margin" else AROUND
    harm = Guardrail(direction="down", today=0.01, margin=0.02)
    yield "errors .01 to .05 at 5 %, harm beyond a margin of 2", errors, harm, AT_EFFECT


def judged(metric: Metric, *, proof: bool) -> tuple[Mixed, tuple[float, float]]:
    """Return the claims by which the controller judges a rate, and the rate and units that it expects beforehand."""
    opened = comparison.opened(metric, compared=True)
    sequence = opened.sequence if opened else None
    if not isinstance(sequence, RateSequence):
        msg = f"these simulations are of rates, not of {metric}"
        raise TypeError(msg)
    claims: Mixed = ((1.0, sequence.claims[0]),)
    if not proof:
        usual, *wide = sequence.claims[1:]
        claims = ((1 - comparison.WIDE * len(wide), usual), *((comparison.WIDE, claim) for claim in wide))
    return claims, (sequence.rate, sequence.units)


def ratio(first: Passage, rule: str = "ours") -> tuple[float, float]:
    """Return how many times the oracle's units a rule took, with its standard error (the same paths serve both)."""
    n, best = first[rule], first["oracle"]
    times = float(n.mean() / best.mean())
    return times, float((n - times * best).std() / best.mean() / math.sqrt(len(n)))


def run(world: World, metric: Metric, rng: np.random.Generator, runs: int, *, proof: bool) -> tuple[Passage, Passage]:
    """Return the first calls when today's rate is declared, and when nothing is known."""
    claims, expected = judged(metric, proof=proof)
    # Bets are renewed as often as a controller would; long runs do not notice it.
    block = 10 if abs(world.candidate - world.baseline) > 0.015 else 50
    others = ONE_WAY if claims[0][1].null == 0 else {}
    told = passage(world, {"ours": claims}, rng, runs=runs, alpha=ALPHA, block=block, expected=expected, others=others)
    blind = passage(world, {"ours": claims}, rng, runs=runs, alpha=ALPHA, block=block)
    return told, blind


def samples(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Units to show a true effect, beside the likelihood ratio that is told the true rates."""
    equal = Guardrail(today=0.7, margin=0.03)
    proofs = [("no worse than 3 points, rate .70, equal", World(0.7, 0.7, 0.5, 400_000), equal, AT_EFFECT)]
    for name, world, metric, promise in (*rows(), *proofs):
        told, blind = run(world, metric, rng, int(1000 * size), proof=metric is equal or isinstance(metric, Goal))
        (times, error), n = ratio(told), float(told["ours"].mean())
        others = [f"{ratio(told, rule)[0]:.2f}" if rule in told else "" for rule in ONE_WAY]
        units = f"{n:,.0f} ({n * world.share:,.0f} exposed)"
        cells = (name, f"{times:.2f} (+-{error:.2f})", f"{promise}", f"{ratio(blind)[0]:.2f}", *others, units)
        yield Figure("samples", cells, times <= promise + 2 * error)


def plans(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """The planner's units to an 80 % chance beside the 80th percentile of simulated processes."""
    two = Goal(today=0.1, minimum_effect=0.02)
    errors = Guardrail(direction="down", today=0.01, margin=0.01, rollback_at="zero")
    for name, world, metric, demand in (
        (".10 +1 point", _to(0.11), Goal(today=0.1, minimum_effect=0.01), planner.rate_demand(0.1, 0.01)),
        (".10 +2 points", _to(0.12), two, planner.rate_demand(0.1, 0.02)),
        (".10 +2 points at 5 %", _to(0.12, 0.05), two, planner.rate_demand(0.1, 0.02)),
        (
            "thumbs .70 +5 points",
            World(0.7, 0.75, 0.5, 100_000),
            Goal(today=0.7, minimum_effect=0.05),
            planner.rate_demand(0.7, 0.05),
        ),
        (
            "no worse than 3 points, thumbs .70",
            World(0.7, 0.7, 0.5, 100_000),
            Guardrail(today=0.7, margin=0.03),
            planner.rate_demand(0.7, 0, -0.03),
        ),
        ("errors .01 to .02 at 5 %", World(0.01, 0.02, 0.05, 400_000), errors, planner.rate_demand(0.01, 0.01)),
    ):
        claims, expected = judged(metric, proof=metric is not errors)
        first = passage(world, {"ours": claims}, rng, runs=int(2000 * size), alpha=ALPHA, block=20, expected=expected)
        simulated = float(np.percentile(first["ours"], 80))
        plan = planner.plan(demand, [planner.Step(world.share)], planner.Traffic(3000), ALPHA)
        planned = plan.units if plan else float("nan")
        off = planned / simulated - 1
        cells = (name, f"{simulated:,.0f}", f"{planned:,.0f}", f"{100 * off:+.0f} %", f"{planned / 3000:.1f}")
        yield Figure("plans", cells, abs(off) <= 0.1)


def _to(candidate: float, share: float = 0.5) -> World:
    return World(0.1, candidate, share, 800_000)


def over_effects(rng: np.random.Generator, size: float) -> dict[str, list[tuple[float, float]]]:
    """Return by rule the ratio to the oracle over the true effect, in multiples of the effect that was said to matter."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for factor in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0):
        world, goal = World(0.1, 0.1 + 0.02 * factor, 0.5, 1_000_000), Goal(today=0.1, minimum_effect=0.02)
        told, _ = run(world, goal, rng, int(1000 * size), proof=True)
        for rule in ("ours", *ONE_WAY):
            lines.setdefault(rule, []).append((factor, ratio(told, rule)[0]))
    return lines
