"""Drift on real questions: how often nothing is taken for something, and how soon another mix is noticed.

What is usual are questions of BANKING77 (Casanueva et al. 2020) or of CLINC150 (Larson et al. 2019); from a known moment on, a
part of the stream are questions of the other one, or of a few intents that are usual too. Lengths, and how many come in a minute,
are those of the Azure trace's conversations (2023).

    PILOTAGE_TEST_DATA=DIR python -m calibration.drift [--runs 24]      prints the table of docs/watch.md
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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

HOUR = 3_600_000_000
UNITS = 50
"""Requests an hour."""
LEARNED = 4_000
CHANGE = 48
"""The hour from which on it is another stream."""
SOME = 7
"""So many intents become more frequent where the mix changes."""


class Stream(msgspec.Struct, frozen=True):
    """One run: ticks until an alarm (infinite: none), requests from the change until then, and which slice raised it."""

    ticks: float
    requests: float
    by: str


def banking(data: Path) -> dict[str, list[Asked]]:
    """Return questions to a bank, by intent."""
    found: dict[str, list[Asked]] = {}
    with (data / "text" / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
        for n, row in enumerate(csv.DictReader(file)):
            found.setdefault(row["category"], []).append(_asked(f"b{n}", row["text"]))
    return found


def clinc(data: Path, *parts: str) -> dict[str, list[Asked]]:
    """Return questions to an assistant, by intent."""
    held = json.loads((data / "text" / "clinc150_without_oos_test.json").read_text(encoding="utf-8"))
    found: dict[str, list[Asked]] = {}
    for n, (text, intent) in enumerate(one for part in parts for one in held[part]):
        found.setdefault(intent, []).append(_asked(f"c{n}", text))
    return found


def together(intents: dict[str, list[Asked]], many: int | None = None) -> list[Asked]:
    """Return the questions of all intents, or of the first few by name."""
    return [one for name in sorted(intents)[:many] for one in intents[name]]


class Trace(NamedTuple):
    """Requests in their order, which have figures and no text, and how many came in each whole minute."""

    asked: list[Asked]
    minutes: list[int]


def trace(data: Path) -> Trace:
    with (data / "traffic" / "azure_llm_conversation_2023.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    asked = [
        Asked(
            f"a{n}",
            Traits({"question_tokens": float(row["ContextTokens"]), "reply_tokens": float(row["GeneratedTokens"])}),
        )
        for n, row in enumerate(rows)
    ]
    counts = Counter(row["TIMESTAMP"][:16] for row in rows)
    return Trace(asked, [counts[minute] for minute in sorted(counts)][1:-1])


def run(
    usual: Sequence[Asked],
    others: Sequence[Asked],
    part: float,
    rng: np.random.Generator,
    *,
    at: int = CHANGE,
    longest: int = 28 * 24,
    false_alarms: int = 91 * 24,
    arrivals: Sequence[int] | None = None,
) -> Stream:
    """Play one stream: `part` of it comes from `others` from tick `at` on. `false_alarms` is the promise, in ticks.

    Of the usual ones, what is learned from does not come again. `arrivals` are how many come tick by tick, over and over.
    """
    order = rng.permutation(len(usual))
    known = drift.learned([usual[i] for i in order[:LEARNED]], rng)
    used = {usual[i].id for i in order[:LEARNED]}
    fresh = _looked_at(known, [usual[i] for i in order[LEARNED:]])
    new = _looked_at(known, [one for one in others if one.id not in used])
    return play(known, fresh, new, part, rng, at=at, longest=longest, false_alarms=false_alarms, arrivals=arrivals)


def play(
    known: Reference,
    fresh: Sequence[Asked],
    new: Sequence[Asked],
    part: float,
    rng: np.random.Generator,
    *,
    at: int,
    longest: int,
    false_alarms: int,
    arrivals: Sequence[int] | None,
) -> Stream:
    promise = f"{false_alarms}h"
    watch = Watch.model_validate({"tick": "1h", "cycle": "1h", "false_alarms": promise, "false_actions": promise})
    asked, watching = drift.setting(known, watch), drift.begin(known)
    requests = 0
    for tick in range(1, longest + 1):
        n = arrivals[tick % len(arrivals)] if arrivals else int(rng.poisson(UNITS))
        k = int(rng.binomial(n, part)) if tick > at else 0
        picked = [*rng.integers(len(fresh), size=n - k)], [*rng.integers(len(new), size=k)]
        batch, _ = drift.gathered(known, [*(fresh[i] for i in picked[0]), *(new[i] for i in picked[1])], tick * HOUR)
        watching, crossings = after(watching, batch, asked)
        requests += n if tick > at else 0
        if crossings:
            return Stream(tick, requests, crossings[0].stream)
    return Stream(math.inf, math.inf, "")


def _looked_at(known: Reference, asked: Sequence[Asked]) -> list[Asked]:
    """Return requests with their topics, so that a simulation looks each text up once."""
    return [msgspec.structs.replace(one, text=None) for one in drift.told(asked, known)]


def _asked(id_: str, text: str) -> Asked:
    return Asked(id_, Traits({"question_length": float(len(text))}), counted(text, 7))


class Case(NamedTuple):
    words: str
    usual: list[Asked]
    others: list[Asked]
    part: float
    arrivals: list[int] | None = None


def cases(data: Path) -> list[Case]:
    bank, assistant = banking(data), clinc(data, "train", "val", "test")
    questions, orders, hour = together(bank), together(assistant), trace(data)
    longer = [
        msgspec.structs.replace(
            one, traits=Traits({**one.traits.numbers, "reply_tokens": 1.3 * one.traits.numbers["reply_tokens"]})
        )
        for one in hour.asked
    ]
    # A quarter of what came, so that a run is not mostly drawing numbers.
    minutes = [round(n / 4) for n in hour.minutes]
    return [
        Case("BANKING77: nothing changes", questions, orders, 0.0),
        *(Case(f"{100 * part:.0f} % are questions of CLINC150", questions, orders, part) for part in (0.02, 0.05, 0.1, 0.2)),
        *(
            Case(f"{100 * part:.0f} % are of {SOME} of its 77 intents, {SOME / 77:.0%} were", questions, together(bank, SOME), part)
            for part in (0.1, 0.2)
        ),
        Case("CLINC150: nothing changes", orders, questions, 0.0),
        Case("10 % are questions of BANKING77", orders, questions, 0.1),
        *(
            Case(f"{100 * part:.0f} % are of {SOME} of its 150 intents, {SOME / 150:.0%} were", orders, together(assistant, SOME), part)
            for part in (0.1, 0.2)
        ),
        Case("the trace's lengths and arrivals: nothing changes", hour.asked, hour.asked, 0.0, minutes),
        Case("replies get 30 % longer", hour.asked, longer, 1.0, minutes),
    ]  # fmt: skip


def own_order(data: Path) -> str:
    """Return what comes of the trace as it came: learned from its first requests, looked at minute by minute."""
    hour = trace(data)
    rng = np.random.default_rng(1)
    known = drift.learned(hour.asked[:LEARNED], rng)
    watch = Watch.model_validate({"tick": "1m", "cycle": "1h"})
    asked, watching, gone = drift.setting(known, watch), drift.begin(known), LEARNED
    for minute, n in enumerate(hour.minutes, 1):
        batch, _ = drift.gathered(known, hour.asked[gone : gone + n], minute * HOUR // 60)
        watching, crossings = after(watching, batch, asked)
        gone += n
        if crossings:
            first = max(crossings, key=lambda one: one.times)
            return f"{first.stream}: {first.value:.0%}, at most {first.level:.0%} before, after {gone - LEARNED:,} requests"
    return "nothing was noticed"


def main() -> None:
    """Print how many runs of four weeks raised an alarm, and how soon after the change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=24)
    runs = parser.parse_args().runs
    data = Path(os.environ["PILOTAGE_TEST_DATA"])
    sys.stdout.write(
        f"| from hour {CHANGE} on | alarms | requests until then: half of the runs | nine in ten | noticed by |\n"
    )
    sys.stdout.write("|---|---|---|---|---|\n")
    for case in cases(data):
        found = [
            run(case.usual, case.others, case.part, np.random.default_rng(seed), arrivals=case.arrivals)
            for seed in range(100, 100 + runs)
        ]
        half, most = (np.quantile([one.requests for one in found], q, method="higher") for q in (0.5, 0.9))
        by = ", ".join(sorted({one.by for one in found if one.by}))
        alarms = sum(one.ticks < math.inf for one in found)
        early = sum(one.ticks <= CHANGE for one in found)
        told = f"{alarms} of {runs}{f' ({early} before)' if early else ''}"
        sys.stdout.write(f"| {case.words} | {told} | {_text(half)} | {_text(most)} | {by} |\n")
        sys.stdout.flush()
    sys.stdout.write(f"\nThe trace in its own order: {own_order(data)}.\n")


def _text(requests: float) -> str:
    return f"{requests:,.0f}" if math.isfinite(requests) else ""


if __name__ == "__main__":
    main()
