"""What deciding costs: from stored batches to readings, metric by metric.

    .venv/bin/python bench/decide.py
    .venv/bin/python bench/decide.py --events 1000000000 --batches 1000

Units of a ramp are stored as batches, an hour each, and read back, added up and read off as the controller and `ledger
replay` do it. Time goes with the number of batches, hardly with that of events. Then what one tick costs that finds some
units in each of five rates, with everything that is kept. Times are processor time, the best of several runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import msgspec
import numpy as np

from pilotage.decision.batch import Batch, Cell
from pilotage.decision.method import Bounded, Rate, method_of
from pilotage.decision.statistics import Statistics, after, begin, readings
from pilotage.decision.verdict import judged
from pilotage.spec.use_case import UseCase
from pilotage.status import MILLION, Allocated, RolloutStatus

SHARES = (10_000, 50_000, 250_000, 500_000)
RATES = {"resolved": 0.5, "complaints": 0.1, "slow": 0.05, "errors": 0.01, "fallbacks": 0.02}
SPEC = UseCase.model_validate(
    {
        "name": "bench",
        "owner": "bench",
        "candidate": "model",
        "variants": {"faq": {"upstream": "search"}, "model": {"upstream": "openai"}},
        "goals": {
            "resolved": {"today": 0.5, "minimum_effect": 0.02},
            "stars": {"kind": "rating", "low": 1.0, "high": 5.0, "minimum_effect": 0.1, "silence": 3.0},
            "revenue": {"kind": "money", "minimum_effect": 0.5},
        },
        "guardrails": {
            "complaints": {"direction": "down", "margin": 0.03, "today": 0.1},
            "slow": {"source": "slow", "limit": "4s", "direction": "down", "margin": 0.05},
            "seconds": {"kind": "duration", "high": 30.0, "direction": "down", "margin": 0.5},
        },
    }
)
ROLLOUT = RolloutStatus(
    id="bench",
    candidate="bench/model@111111111111",
    baseline="bench/faq@000000000000",
    shares=SHARES,
    started=0,
    step_since=0,
    step=3,
    generation=4,
    allocations=tuple(Allocated(generation=i + 1, step=i, share=share, at=i) for i, share in enumerate(SHARES)),
)


def drawn(rng: np.random.Generator, name: str, units: int) -> tuple[int, ...]:
    """Return the sums of one side's units. Many units are a thousand times as many of the same values."""
    method = method_of(judged(SPEC)[name])
    if isinstance(method, Rate):
        successes = int(rng.binomial(units, RATES[name]))
        return successes, units - successes
    times = max(1, units // 2000)
    values = rng.integers(1, 6, units // times) if name == "stars" else rng.lognormal(0.5, 0.8, units // times)
    sums = method.gather([round(float(value) * MILLION) for value in values])
    return method.merge([sums] * times) if times > 1 or isinstance(method, Bounded) else sums


def stored(rng: np.random.Generator, names: tuple[str, ...], units: int, batches: int) -> list[bytes]:
    """Return batches as they are stored, over the whole ramp."""
    bodies = []
    for at in range(batches):
        generation = 1 + at * len(SHARES) // batches
        n_c = int(rng.binomial(units, SHARES[generation - 1] / MILLION))
        sides = ((0, units - n_c), (1, n_c))
        metrics = {
            name: tuple(Cell(generation, generation, arm, drawn(rng, name, n)) for arm, n in sides) for name in names
        }
        exposed = tuple((generation, arm, n) for arm, n in sides)
        bodies.append(msgspec.json.encode(Batch(at=at, metrics=metrics, exposed=exposed, heard=names)))
    return bodies


def decided(bodies: list[bytes]) -> Statistics:
    statistics = begin(SPEC, ROLLOUT)
    for body in bodies:
        statistics = after(statistics, msgspec.json.decode(body, type=Batch), SPEC, ROLLOUT)
    readings(statistics, SPEC, ROLLOUT)
    return statistics


def best(work: Callable[[], object], runs: int) -> float:
    """Return the shortest of several runs, in milliseconds."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000_000, help="units of each metric (default: 100 million)")
    parser.add_argument("--batches", type=int, default=100, help="stored batches that hold them (default: 100)")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    print(f"{options.events:,} units of a metric in {options.batches:,} stored batches, on a ramp of 1, 5, 25, 50 %:")
    for name in ("resolved", "stars", "seconds", "revenue"):
        bodies = stored(rng, (name,), options.events // options.batches, options.batches)
        units = sum(decided(bodies).comparisons[0][name].units)
        took = best(lambda bodies=bodies: decided(bodies), options.runs)  # type: ignore[misc]
        kind = type(method_of(judged(SPEC)[name])).__name__.lower()
        print(f"  {name:9} ({kind}): {took:6.1f} ms for {units:,} units, {sum(map(len, bodies)) / 1e6:.2f} MB stored")
    bodies = stored(rng, tuple(RATES), 60, 200)
    tick = best(lambda: decided(bodies), options.runs) / len(bodies)
    whole = decided(bodies)
    kept = best(lambda: msgspec.msgpack.encode(whole), 100)
    read = best(lambda: readings(whole, SPEC, ROLLOUT), 100)
    size = len(msgspec.msgpack.encode(whole)) / 1000
    print(f"A tick with 60 units in each of {len(RATES)} rates: {tick:.2f} ms, readings {read:.2f} ms,")
    print(f"  keeping all of it ({size:.0f} kB) {kept:.2f} ms")


if __name__ == "__main__":
    main()
