"""Simulates what docs/statistics.md promises and prints its tables; with --write, puts them into the document.

    python -m calibration.run                     the committed tables (about two minutes on one core)
    python -m calibration.run --size 4            four times the repetitions
    python -m calibration.run --seed 7 --write    another seed, written into docs/statistics.md

Ends with 1 where a promise was not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import groupby
from pathlib import Path

from calibration.figure import Figure
from calibration.rows import everything

DOCUMENT = Path(__file__).parent.parent / "docs" / "statistics.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEADS = {
    "errors": ("nothing to find, looked at all the time", "called", "promised", "naive test, called"),
    "samples": ("a true effect", "units, times the told oracle", "", "times, nothing known beforehand"),
    "plans": ("units to an 80 % chance", "simulated", "planned", "at 3,000 new users a day"),
    "histogram": ("hat histogram", "measured", "expected", ""),
    "watch": ("after release (errors .02, then .04; 20 units a tick)", "measured", "promised", ""),
}


def tables(figures: list[Figure]) -> str:
    """Return the figures as Markdown tables; columns that say nothing are left out."""
    parts = []
    order = list(HEADS)
    for name, group in groupby(sorted(figures, key=lambda f: order.index(f.table)), key=lambda f: f.table):
        rows = [HEADS[name], *((f.name, f.value, f.promise, f.beside) for f in group)]
        columns = [i for i in range(4) if any(row[i] for row in rows)]
        lines = ["| " + " | ".join(row[i] for i in columns) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(columns))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def main() -> int:
    """Run, print, and say whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--size", type=float, default=1.0, help="times the usual repetitions")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/statistics.md")
    chosen = parser.parse_args()
    started = time.monotonic()
    figures = []
    for figure in everything(chosen.seed, chosen.size):
        figures.append(figure)
        mark = " " if figure.kept else "!"
        sys.stderr.write(f"{time.monotonic() - started:6.1f} s {mark} {figure.name}: {figure.value} {figure.beside}\n")
    text = f"Seed {chosen.seed}, size {chosen.size:g}.\n\n{tables(figures)}\n"
    sys.stdout.write(text)
    if chosen.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
