"""Nothing to find: how often each rule calls all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration import peers, pool, ramp, values
from calibration.figure import ALPHA, Figure, percent, share, within
from calibration.units import World, passage, sampled
from pilotage.stats import asymptotic
from pilotage.stats.claim import Claim, harmful, superior, threshold
from pilotage.stats.histogram import even_scale, log_scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pilotage.stats.claim import Better
    from pilotage.stats.mixture import Array

SMALL = 0.02
PROMOTION, ROLLBACK = "false promotion", "false rollback"
LATENCY = log_scale(60, smallest=0.06)
SHARES = (0.01, 0.05, 0.25, 0.5)


def both(scale: float, better: Better = "higher") -> dict[str, Claim]:
    """Return the claims that, on identical variants, would promote and roll back."""
    return {PROMOTION: superior(scale, better), ROLLBACK: harmful(scale, better, at="zero")}


def line(name: str, calls: Mapping[str, NDArray[np.bool_]]) -> Figure:
    """Return a line of the first table: ours with its standard error, and the others."""
    ours = [calls[PROMOTION], calls[ROLLBACK]]
    others = [percent(calls[rule]) if rule in calls else "" for rule in ("usual", "limit", "growthbook", "tensorzero")]
    cells = (name, *map(share, ours), *others, f"{ours[0].size:,}")
    return Figure("false calls", cells, all(map(within, ours)))


def called(first: Mapping[str, Array]) -> dict[str, NDArray[np.bool_]]:
    """Return by rule whether each repetition ever called."""
    return {rule: np.isfinite(at) for rule, at in first.items()}


LONG = World(0.1, 0.1, 0.5, 1_000_000)
"""The world of the run of a million looks, which is also drawn."""


def of_units(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Identical variants, looked at after every unit."""
    for name, world, better, limit, usual in (
        ("50/50, rate .10, 100,000 looks", World(0.1, 0.1, 0.5, 100_000), "higher", 0.15, 2000),
        ("rare errors (1 %), candidate at 5 %, 100,000 looks", World(0.01, 0.01, 0.05, 100_000), "lower", 0.05, 2000),
    ):
        runs = int(usual * size)
        claims = both(SMALL, "lower" if better == "lower" else "higher")
        yield line(name, called(passage(world, claims, rng, runs=runs, alpha=ALPHA, others=peers.RULES, limit=limit)))


def long_run(rng: np.random.Generator, size: float) -> dict[str, Array]:
    """Return the first calls of a million looks."""
    runs = max(int(400 * size), 40)
    return passage(LONG, both(SMALL), rng, runs=runs, alpha=ALPHA, block=250, others=peers.RULES, limit=0.15)


DRIFTING = ramp.Ramp(24, 250, 0.10, 0.15)
RAMPS = {
    "ramp while the rate drifts .10 to .15": DRIFTING,
    "ramp, conversions hours later (others count them as they come)": ramp.Ramp(24, 250, 0.10, 0.10, window=12),
    "ramp, both": ramp.Ramp(24, 250, 0.10, 0.15, window=12),
}


def on_ramps(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Identical variants on a ramp of 1, 5, 25, 50 and 75 %, a day each, 250 new units and a look an hour."""
    runs = int(4000 * size)
    alarms = []
    for name, road in RAMPS.items():
        first = ramp.judge(road, ramp.simulate(road, rng, runs), both(SMALL), alpha=ALPHA, limit=0.15)
        yield line(name, called(first))
        alarms.append(np.isfinite(first["ratio"]))
    alarm = np.concatenate(alarms)
    promise = "at most 0.1 %"
    yield Figure("claims", ("honest ramps: sample ratio alarm", share(alarm), promise), within(alarm, 0.001))


def by_value(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Identical variants on bounded metrics."""
    runs = int(1000 * size)
    calls = values.false_calls(
        values.requests, even_scale(0, 1), both(SMALL), rng, share=0.5, units=20_000, runs=runs, alpha=ALPHA, limit=0.15
    )
    yield line("several requests a user (ours: mean by user; others: by request)", calls)
    calls = values.false_calls(
        values.latency, LATENCY, both(0.3, "lower"), rng, share=0.1, units=20_000, runs=runs, alpha=ALPHA, limit=5.0
    )
    yield line("heavy-tailed latency, candidate at 10 % (ours: capped at 60 s)", calls)


def revenue(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Identical variants on revenue a user: 8 % buy, log-normal amounts; three steps while buying gets more frequent."""
    runs = int(2000 * size)
    calls = np.zeros((2, runs), dtype=bool)
    for run in range(runs):
        claims = [asymptotic.AsymptoticProcess(claim, resolution=0.01) for claim in both(0.5).values()]
        for look in range(30):
            part = (0.1, 0.25, 0.5)[look // 10]
            spent = rng.lognormal(3, 1, 1000) * (rng.random(1000) < 0.08 + 0.001 * look)
            on_candidate = rng.random(1000) < part
            b, c = (asymptotic.gather(spent[mask], 0.01) for mask in (~on_candidate, on_candidate))
            claims = [process.update(str(part), b, c, part) for process in claims]
            calls[:, run] |= [process.log_e >= threshold(ALPHA) for process in claims]
    yield line(
        "revenue without a cap (ours: asymptotic), ramp 10/25/50 % with drift", dict(zip(both(1), calls, strict=True))
    )


def by_share(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Identical variants at constant shares, under each difficulty."""
    runs = int(1000 * size)
    cells: dict[str, list[str]] = {}
    kept: dict[str, bool] = {}

    def note(name: str, calls: Mapping[str, NDArray[np.bool_]]) -> None:
        ours = [calls[PROMOTION], calls[ROLLBACK]]
        cells.setdefault(name, []).append(" / ".join(map(percent, ours)))
        kept[name] = kept.get(name, True) and all(map(within, ours))

    for part in SHARES:
        for name, rate, better in (("rate .10", 0.1, "higher"), ("rare errors, 1 %", 0.01, "lower")):
            claims = both(SMALL, "lower" if better == "lower" else "higher")
            first = passage(World(rate, rate, part, 50_000), claims, rng, runs=runs, alpha=ALPHA)
            note(f"{name}, 50,000 looks", called(first))
        for name, road in (
            ("drift .10 to .15", ramp.Ramp(120, 250, 0.10, 0.15, shares=(part,))),
            ("drift, conversions up to 12 h later", ramp.Ramp(120, 250, 0.10, 0.15, window=12, shares=(part,))),
        ):
            seen = ramp.simulate(road, rng, 4 * runs)
            note(f"{name}, 120 looks", called(ramp.judge(road, seen, both(SMALL), alpha=ALPHA)))
        for name, draw, scale, claims in (
            ("several requests a user, mean by user", values.requests, even_scale(0, 1), both(SMALL)),
            ("heavy-tailed latency capped at 60 s", values.latency, LATENCY, both(0.3, "lower")),
        ):
            calls = values.false_calls(draw, scale, claims, rng, share=part, units=20_000, runs=runs, alpha=ALPHA)
            note(f"{name}, 400 looks", calls)
    for name, row in cells.items():
        yield Figure("shares", (name, *row), kept[name])


def among_regulars(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Identical variants on a ramp among people who come back and differ."""
    runs = int(1000 * size)
    for returning in (0.0, 0.5, 0.9, 1.0):
        road = ramp.Ramp(24, 250, 0.10, 0.15, window=12)
        seen, dropped = pool.simulate(pool.Pool(road, returning), rng, runs)
        first = ramp.judge(road, seen, both(SMALL), alpha=ALPHA, limit=0.15)
        calls = called(first)
        ours, alarm = [calls[PROMOTION], calls[ROLLBACK]], calls["ratio"]
        cells = (
            f"{100 * returning:g} % of visits",
            *map(share, ours),
            percent(alarm),
            f"{100 * dropped:.1f} %",
            *(percent(calls[rule]) for rule in ("usual", "limit", "growthbook", "tensorzero")),
        )
        yield Figure("returning", cells, all(map(within, ours)) and within(alarm, 0.001))


def own_designs(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """The others' formulas where they are run as they were made to be: two equal arms side by side, without a ramp."""
    runs = int(4000 * size)
    even = ramp.Ramp(120, 250, 0.10, 0.15, shares=(0.5,))
    drifting = called(ramp.judge(even, ramp.simulate(even, rng, runs), {}, alpha=ALPHA))
    late = ramp.Ramp(120, 250, 0.10, 0.10, window=12, shares=(0.5,))
    arriving = called(ramp.judge(late, ramp.simulate(late, rng, runs), {}, alpha=ALPHA))
    own = {rate: sampled(rate, rng, units=100_000, runs=runs, period=100, own=True) for rate in (0.1, 0.01)}
    plain = {rate: sampled(rate, rng, units=100_000, runs=runs, period=100, own=False) for rate in (0.1, 0.01)}
    growth = {rate: _even_growthbook(rate, rng, runs) for rate in (0.1, 0.01)}
    for rate in (0.1, 0.01):
        cells = (f"rate {rate:g}, 1,000 looks", *map(percent, (growth[rate], plain[rate], own[rate])))
        yield Figure("designs", cells)
    for name, calls in (("drift .10 to .15, 120 looks", drifting), ("conversions hours later, 120 looks", arriving)):
        yield Figure("designs", (name, percent(calls["growthbook"]), percent(calls["tensorzero"]), ""))


def _even_growthbook(rate: float, rng: np.random.Generator, runs: int) -> NDArray[np.bool_]:
    """Return where GrowthBook's formula calls between equal arms of 100,000 units, looked at after every 100."""
    seen = np.zeros((runs, 4))
    calls = np.zeros(runs, dtype=bool)
    for _ in range(1000):
        n_c = rng.binomial(100, 0.5, runs)
        s_b, s_c = rng.binomial(100 - n_c, rate), rng.binomial(n_c, rate)
        seen += np.stack((s_b, 100 - n_c - s_b, s_c, n_c - s_c), axis=1)
        calls |= peers.growthbook(peers.of_counts(seen))
    return calls
