"""Simulates what docs/statistics.md promises and prints its tables; with --write, puts them into the document.

    python -m calibration.run                     the committed tables (about twenty minutes on one core)
    python -m calibration.run --size 4            four times the repetitions
    python -m calibration.run --seed 7 --write    another seed, written into docs/statistics.md and docs/pictures

Ends with 1 where a promise was not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration import claims, detectors, engine, fairness, false_calls, live, pictures, samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calibration.figure import Figure

DOCUMENT = Path(__file__).parent.parent / "docs" / "statistics.md"
PICTURES = DOCUMENT.parent / "pictures"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
OTHERS = ("z-test", "fixed limit", "GrowthBook's formula", "TensorZero's formula")
HEADS = {
    "false calls": (
        "nothing to find, looked at all the time",
        "false promotion (promised: 5 %)",
        "false rollback (promised: 5 %)",
        *OTHERS,
        "repetitions",
    ),
    "shares": ("false promotion / false rollback at a share of", "1 %", "5 %", "25 %", "50 %"),
    "returning": (
        "on a ramp with drift and outcomes within 12 h, returning",
        "false promotion",
        "false rollback",
        "sample ratio alarm (promised: 0.1 %)",
        "dropped as moved",
        *(f"{rule}, by visit" for rule in OTHERS),
    ),
    "designs": (
        "equal arms side by side, no ramp",
        "GrowthBook's formula",
        "TensorZero's formula",
        "TensorZero's formula and sampler",
    ),
    "limits": (
        "a fixed limit of 5 % errors, a window every five minutes, the fourth above it aborts",
        "errors 2 %: aborted within an hour",
        "within a day",
        "errors 20 %: requests until aborted",
    ),
    "claims": ("what a claim must not do", "happened", "promised"),
    "samples": (
        "a true effect",
        "units, times the told oracle",
        "promised at most",
        "times, nothing known beforehand",
        "GrowthBook's formula, one way",
        "TensorZero's formula",
        "units",
    ),
    "plans": (
        "units to an 80 % chance",
        "simulated",
        "planned",
        "off (promised: 10 %)",
        "days at 3,000 new users a day",
    ),
    "engine": engine.HEAD,
    "fairness": fairness.HEAD,
    "watch": ("after release (errors .02, then .04; 20 units a tick)", "measured", "promised"),
    "production": (
        "as production runs it; 1,000 ticks promised, 20 units a tick",
        "ticks a false alarm, level learned from 2,000 units",
        "delay from the start, beside the CUSUM (at most 1.3 times)",
        "after 200 ticks (at most 1.2 times)",
        "median delay, level learned from 2,000 units",
    ),
    "histogram": ("hat histogram", "measured", "expected"),
}


def everything(seed: int, size: float) -> Iterator[Figure]:
    """Yield every line, and write nothing; each group has its own stream, so that one can be run again alone."""
    groups = (
        false_calls.of_units,
        false_calls.on_ramps,
        false_calls.by_value,
        false_calls.revenue,
        false_calls.by_share,
        false_calls.among_regulars,
        false_calls.own_designs,
        claims.limits,
        claims.margins,
        claims.responders,
        samples.samples,
        samples.plans,
        engine.outcomes,
        detectors.after_release,
        detectors.histograms,
        fairness.holds,
        live.kinds,
    )
    for group, child in zip(groups, np.random.SeedSequence(seed).spawn(len(groups)), strict=True):
        yield from group(np.random.default_rng(child), size)


def tables(figures: list[Figure]) -> str:
    """Return the figures as Markdown tables."""
    parts, order = [], list(HEADS)
    for name, group in groupby(sorted(figures, key=lambda f: order.index(f.table)), key=lambda f: f.table):
        rows = [HEADS[name], *(figure.cells for figure in group)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def main() -> int:
    """Run, print, and say whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--size", type=float, default=1.0, help="times the usual repetitions")
    parser.add_argument("--write", action="store_true", help="put tables and pictures into docs/")
    chosen = parser.parse_args()
    started = time.monotonic()
    figures = []

    def note(figure: Figure) -> None:
        figures.append(figure)
        mark = " " if figure.kept else "!"
        sys.stderr.write(f"{time.monotonic() - started:6.1f} s {mark} {' | '.join(figure.cells)}\n")

    drawing = np.random.default_rng(np.random.SeedSequence(chosen.seed + 1))
    million = false_calls.long_run(drawing, chosen.size)
    note(false_calls.line("50/50, rate .10, 1,000,000 looks", false_calls.called(million)))
    for figure in everything(chosen.seed, chosen.size):
        note(figure)
    text = f"Seed {chosen.seed}, size {chosen.size:g}.\n\n{tables(figures)}\n"
    sys.stdout.write(text)
    if chosen.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
        PICTURES.mkdir(exist_ok=True)
        for name, chart in (
            ("looks", pictures.over_looks(million)),
            ("ramp", pictures.over_ramp(drawing, chosen.size)),
            ("effects", pictures.over_effects(drawing, chosen.size)),
            ("run", pictures.one_run(drawing)),
        ):
            (PICTURES / f"statistics-{name}.svg").write_text(chart.svg(), encoding="utf-8")
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
