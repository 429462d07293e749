"""Drift on real questions: how often nothing is taken for something, and how soon other questions are noticed.

What is usual are questions of BANKING77 (Casanueva et al. 2020); others come from CLINC150 (Larson et al. 2019), as a
part of the stream from a known moment on. Lengths are those of the Azure trace's conversations (2023).

    PILOTAGE_TEST_DATA=DIR python -m calibration.drift [--runs 24]      prints the table of docs/watch.md
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.decision import drift
from pilotage.decision.drift import Asked, Reference
from pilotage.decision.traits import Traits
from pilotage.decision.watch import after
from pilotage.spec.watch import Watch
from pilotage.stats.topics import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

TICK = 3_600_000_000
UNITS = 50
"""Requests an hour."""
LEARNED = 4_000


class Stream(msgspec.Struct, frozen=True):
    """One run: ticks until an alarm (infinite: none), and which slice raised it."""

    ticks: float
    by: str


def banking(data: Path) -> list[Asked]:
    with (data / "text" / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
        return [_asked(f"b{n}", row["text"]) for n, row in enumerate(csv.DictReader(file))]


def clinc(data: Path) -> list[Asked]:
    """Return questions of 150 other intents."""
    held = json.loads((data / "text" / "clinc150_without_oos_test.json").read_text(encoding="utf-8"))
    return [_asked(f"c{n}", text) for n, (text, _) in enumerate(held["test"])]


def lengths(data: Path) -> list[Asked]:
    """Return the trace's requests, which have figures and no text."""
    with (data / "traffic" / "azure_llm_conversation_2023.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Asked(
            f"a{n}",
            Traits({"question_tokens": float(row["ContextTokens"]), "reply_tokens": float(row["GeneratedTokens"])}),
        )
        for n, row in enumerate(rows)
    ]


def run(
    usual: Sequence[Asked],
    others: Sequence[Asked],
    part: float,
    rng: np.random.Generator,
    *,
    at: int,
    longest: int,
    false_alarms: int,
) -> Stream:
    """Play one stream: `part` of it comes from `others` from tick `at` on. `false_alarms` is the promise, in ticks."""
    order = rng.permutation(len(usual))
    known = drift.learned([usual[i] for i in order[:LEARNED]], rng)
    fresh, new = _looked_at(known, [usual[i] for i in order[LEARNED:]]), _looked_at(known, others)
    promise = f"{false_alarms}h"
    watch = Watch.model_validate({"tick": "1h", "cycle": "1h", "false_alarms": promise, "false_actions": promise})
    asked, watching = drift.setting(known, watch), drift.begin(known)
    for tick in range(1, longest + 1):
        n = int(rng.poisson(UNITS))
        k = int(rng.binomial(n, part)) if tick > at else 0
        picked = [*rng.integers(len(fresh), size=n - k)], [*rng.integers(len(new), size=k)]
        batch, _ = drift.gathered(known, [*(fresh[i] for i in picked[0]), *(new[i] for i in picked[1])], tick * TICK)
        watching, crossings = after(watching, batch, asked)
        if crossings:
            return Stream(tick, crossings[0].stream)
    return Stream(math.inf, "")


def _looked_at(known: Reference, asked: Sequence[Asked]) -> list[Asked]:
    """Return requests with their topics, so that a simulation looks each text up once."""
    return [msgspec.structs.replace(one, text=None) for one in drift.told(asked, known.topics)]


def _asked(id_: str, text: str) -> Asked:
    return Asked(id_, Traits({"question_length": float(len(text))}), counted(text, 7))


def main() -> None:
    """Print how many runs of four weeks raised an alarm, and how soon after the change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=24)
    runs = parser.parse_args().runs
    data = Path(os.environ["PILOTAGE_TEST_DATA"])
    questions, other, trace = banking(data), clinc(data), lengths(data)
    longer = [
        msgspec.structs.replace(
            one, traits=Traits({**one.traits.numbers, "reply_tokens": 1.3 * one.traits.numbers["reply_tokens"]})
        )
        for one in trace
    ]
    cases = [
        ("nothing changes: questions", questions, other, 0.0),
        *((f"{part:.0%} of questions are of other kinds", questions, other, part) for part in (0.02, 0.05, 0.1, 0.2)),
        ("nothing changes: the trace's lengths", trace, trace, 0.0),
        ("replies get 30 % longer", trace, longer, 1.0),
    ]
    sys.stdout.write(
        "| from hour 48 on | alarms | requests until then: half of the runs | nine in ten | noticed by |" + "\n"
    )
    sys.stdout.write("|---|---|---|---|---|" + "\n")
    for words, usual, others, part in cases:
        found = [
            run(usual, others, part, np.random.default_rng(seed), at=48, longest=28 * 24, false_alarms=91 * 24)
            for seed in range(100, 100 + runs)
        ]
        late = np.asarray([(one.ticks - 48) * UNITS for one in found])
        half, most = (np.quantile(late, q, method="higher") for q in (0.5, 0.9))
        by = ", ".join(sorted({one.by for one in found if one.by}))
        alarms = sum(one.ticks < math.inf for one in found)
        sys.stdout.write(f"| {words} | {alarms} of {runs} | {_text(half)} | {_text(most)} | {by} |" + "\n")


def _text(requests: float) -> str:
    return f"{requests:,.0f}" if math.isfinite(requests) else ""


if __name__ == "__main__":
    main()
