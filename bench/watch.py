"""What watching a live release costs: a million events over 20 metrics, from decoded events to detectors.

    .venv/bin/python bench/watch.py
    .venv/bin/python bench/watch.py --events 200000 --profile

Requests of a live release come 100 a second (`--rate`), each with a unit of its own, and get feedback about sixteen metrics
in turn; four more are seen by the gateway. Every simulated minute what has matured is taken as a batch, all detectors step,
and what is known is encoded as it would be kept. Processor time; the events are made beforehand. Then how large that is
after two thirds of the events and after all of them: it grows with the hours of one week, and not with what was seen.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import time
from collections.abc import Iterator
from contextlib import nullcontext

from pilotage.clock import MINUTE, SECOND
from pilotage.counting.course import Followed, Period
from pilotage.counting.observe import Observer
from pilotage.counting.watched import told, watched
from pilotage.decision.watch import Setting, Watching, after, begin, course_of, setting
from pilotage.monitor.watches import encode
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.spec.use_case import UseCase

T0 = 1_790_000_000 * SECOND
LIVE = "bench/model@111111111111"
BINARY, RATINGS, SECONDS = 8, 5, 3
FEEDBACK = [f"binary{n}" for n in range(BINARY)] + [f"stars{n}" for n in range(RATINGS)] + ["wait0", "wait1", "wait2"]


def spec() -> UseCase:
    """Return a file with 20 metrics, four of which the gateway sees."""
    binary = {f"binary{n}": {"direction": "down", "margin": 0.03} for n in range(1, BINARY)}
    stars = {f"stars{n}": {"kind": "rating", "low": 1, "high": 5, "margin": 0.2, "silence": 3} for n in range(RATINGS)}
    wait = {f"wait{n}": {"kind": "duration", "high": 60, "direction": "down", "margin": 1.0} for n in range(SECONDS)}
    slow = {"source": "slow", "limit": "4s", "direction": "down", "margin": 0.05}
    cost = {"source": "cost", "kind": "money", "direction": "down", "margin": 0.001, "high": 0.1}
    return UseCase.model_validate(
        {
            "name": "bench",
            "owner": "bench",
            "variants": {"model": {"upstream": "openai", "model": "m"}},
            "goals": {"binary0": {"minimum_effect": 0.03}},
            "guardrails": {**binary, **stars, **wait, "slow": slow, "cost": cost},
        },
        strict=False,
    )


def events(count: int, rate: int, seed: int = 7) -> Iterator[list[SpoolEvent]]:
    """Yield about so many events, a simulated minute at a time."""
    rng = random.Random(seed)
    made = number = 0
    while made < count:
        minute: list[SpoolEvent] = []
        for _ in range(rate * 60 // 3):
            at, id_ = T0 + made * SECOND // rate, f"{number:032x}"
            minute.append(
                Started(id=id_, use_case="bench", at=at, release=LIVE, arm="live", deadline=at + MINUTE, unit=f"u{id_}")
            )
            minute.append(
                Finished(
                    id=id_, use_case="bench", at=at, served=LIVE, status=200, attempts=1, counted=True, model="m",
                    error="timeout" if rng.random() < 0.02 else "", duration=rng.randrange(5 * SECOND),
                    cost=rng.randrange(3000),
                )
            )  # fmt: skip
            name = FEEDBACK[number % len(FEEDBACK)]
            value = rng.random() < 0.5 if name.startswith("binary") else rng.randrange(1, 6)
            minute.append(
                Feedback(
                    id=f"f{id_}", use_case="bench", at=at, received=at, metric=name, value=float(value), inference=id_
                )
            )
            number, made = number + 1, made + 3
        yield minute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=100, help="events a second of the clock (default: 100)")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    minutes = list(events(options.events, options.rate))
    file = spec()
    asked = setting(file, holdback=False)
    metrics = watched(file)
    followed = (*metrics, *(told(metric) for metric in metrics if not metric.by_gateway))
    observer = Observer(grace=0)
    course = course_of("w", LIVE, "", T0)
    observer.follow({"bench/watch": Followed(course, followed, {}, Period(file.watch.cycle, LIVE))})
    watching = begin(asked, {})
    sizes: list[tuple[int, int]] = []
    fed = counted = detected = 0.0
    with cProfile.Profile() if options.profile else nullcontext() as profile:
        for number, minute in enumerate(minutes, 1):
            start = time.process_time()
            for event in minute:
                observer.feed(event)
            fed += time.process_time() - start
            counted, detected, watching = _tick(observer, T0 + number * MINUTE, watching, asked, counted, detected)
            if number in (len(minutes) * 2 // 3, len(minutes)):
                sizes.append((number, len(encode(watching))))
        # Everything matures.
        for number in range(len(minutes) + 1, len(minutes) + 70):
            counted, detected, watching = _tick(observer, T0 + number * MINUTE, watching, asked, counted, detected)
    total = sum(map(len, minutes))
    names = len(asked.asked)
    print(f"{total:,} events over {len(metrics)} metrics ({names} detectors), {len(minutes)} ticks: ", end="")
    print(f"{fed + counted + detected:.2f} s of processor time")
    print(f"  joined to their units {fed:.2f} s, taken as batches {counted:.2f} s, detectors {detected:.2f} s")
    print("  kept: " + ", ".join(f"{size / 1000:.1f} kB after {ticks} ticks" for ticks, size in sizes))
    units = sum(stream.learned.n + stream.now.n for stream in watching.streams.values())
    print(f"  {units:,} values are in what is kept")
    if options.profile and isinstance(profile, cProfile.Profile):
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)


def _tick(
    observer: Observer, at: int, watching: Watching, asked: Setting, counted: float, detected: float
) -> tuple[float, float, Watching]:
    start = time.process_time()
    observer.caught_up(at, at / SECOND)
    batch = observer.batch("bench/watch", at)
    mid = time.process_time()
    if batch is not None:
        watching, _ = after(watching, batch, asked)
        encode(watching)
    return counted + mid - start, detected + time.process_time() - mid, watching


if __name__ == "__main__":
    main()
