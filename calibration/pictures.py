"""The document's pictures, drawn from the same simulations as its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration import peers, ramp, samples
from calibration.false_calls import DRIFTING, PROMOTION, ROLLBACK, SMALL, both
from calibration.figure import ALPHA
from calibration.picture import COLOURS, Axis, Chart
from pilotage.stats.binary import Batch
from pilotage.stats.sequence import rate_sequence

if TYPE_CHECKING:
    from pilotage.stats.mixture import Array

NAMES = {
    PROMOTION: "Pilotage, promotion",
    "usual": "z-test at 5 %",
    "growthbook": "GrowthBook's formula",
    "tensorzero": "TensorZero's formula",
    "limit": "fixed limit",
    ROLLBACK: "Pilotage, rollback",
}
PERCENT = Axis("false calls so far", 0, 1, tuple((x / 100, f"{x} %") for x in (0, 20, 40, 60, 80, 100)))
LEVEL = ("promised: 5 %", ALPHA)


def over_looks(first: dict[str, Array]) -> Chart:
    """False calls over the number of looks, from the run of a million."""
    at = np.unique(np.round(np.geomspace(100, 1_000_000, 81)))
    lines = {NAMES[rule]: [(float(x), float((first[rule] <= x).mean())) for x in at] for rule in NAMES if rule in first}
    ticks = ((1e2, "100"), (1e3, "1,000"), (1e4, "10,000"), (1e5, "100,000"), (1e6, "1,000,000"))
    across = Axis("looks, one after every unit (50/50, rate .10 on both sides)", 1e2, 1e6, ticks, logarithmic=True)
    return Chart("Two identical variants: who calls a difference", across, PERCENT, lines, level=LEVEL)


def over_ramp(rng: np.random.Generator, size: float) -> Chart:
    """False calls over the hours of a ramp whose base rate drifts."""
    seen = ramp.simulate(DRIFTING, rng, int(2000 * size))
    first = ramp.judge(DRIFTING, seen, both(SMALL), alpha=ALPHA, limit=0.15)
    hours = range(DRIFTING.length + 1)
    lines = {name: [(float(h), float((first[rule] <= h).mean())) for h in hours] for rule, name in NAMES.items()}
    across = Axis("hours; the base rate drifts from .10 to .15", 0, 120, tuple((h, str(h)) for h in range(0, 121, 24)))
    return Chart("Two identical variants on a ramp", across, PERCENT, lines, level=LEVEL, marks=_steps())


def over_effects(rng: np.random.Generator, size: float) -> Chart:
    """Units to show an effect, times the oracle, over the true effect."""
    found = samples.over_effects(rng, size)
    names = {"ours": "Pilotage", "growthbook": NAMES["growthbook"], "tensorzero": NAMES["tensorzero"]}
    across = Axis(
        "true effect, times the minimum effect (2 points on .10)",
        0.5,
        3,
        tuple((x, f"{x:g}") for x in (0.5, 1, 1.5, 2, 2.5, 3)),
    )
    up = Axis("units, times the told oracle", 1, 2, tuple((1 + x / 5, f"{1 + x / 5:.1f}") for x in range(6)))
    lines = {name: found[rule] for rule, name in names.items()}
    shades = (COLOURS[0], COLOURS[2], COLOURS[3])
    return Chart("What it takes to show a true effect", across, up, lines, level=("the oracle", 1.0), colours=shades)


def one_run(rng: np.random.Generator) -> Chart:
    """One ramp with a true effect of 2 points under drift: what was seen, and the confidence sequence."""
    effect = 0.02
    road = ramp.Ramp(24, 250, 0.10, 0.15, effect=effect)
    entered = ramp.simulate(road, rng, 1).entered[0]
    sequence = rate_sequence(tuple(round(x / 400 - 0.2, 4) for x in range(161)), SMALL)
    estimate, band, known, whole = [], [], 0.0, 0.0
    for hour, counts in enumerate(entered.astype(int).tolist()):
        share = road.share(hour)
        if any(counts):
            sequence = sequence.update(Batch(*counts), share)
        low, high = sequence.interval(2 * ALPHA)
        band.append((float(hour + 1), low, high))
        step = hour // road.hours * road.hours
        value, weight = _difference(entered[step : hour + 1].sum(axis=0), share)
        if weight:
            estimate.append((float(hour + 1), (known + weight * value) / (whole + weight)))
        if (hour + 1) % road.hours == 0:
            known, whole = known + weight * value, whole + weight
    across = Axis("hours, 250 new users each", 0, 120, tuple((h, str(h)) for h in range(0, 121, 24)))
    ticks = tuple((x / 100, f"{x:+d} %" if x else "0") for x in range(-10, 11, 5))
    up = Axis("candidate minus baseline", -0.1, 0.1, ticks)
    return Chart(
        "One ramp: the estimate and its confidence sequence",
        across,
        up,
        {"weighed over steps": estimate},
        {"5 % each side, always": band},
        level=("true: +2 points", effect),
        marks=_steps(),
    )


def _difference(counts: Array, share: float) -> tuple[float, float]:
    """Return the difference within one step and its weight n pi (1 - pi)."""
    totals = peers.of_counts(counts)
    if not min(float(totals.n_b), float(totals.n_c)):
        return 0.0, 0.0
    return float(totals.mean_c - totals.mean_b), float(totals.n_b + totals.n_c) * share * (1 - share)


def _steps() -> tuple[tuple[float, str], ...]:
    return tuple((24.0 * i, f"{100 * share:g} %") for i, share in enumerate(ramp.SHARES))
