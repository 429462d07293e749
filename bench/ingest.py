"""How many events a second one core takes in, and what a unit costs in memory.

    .venv/bin/python bench/ingest.py --events 1000000
    .venv/bin/python bench/ingest.py --events 200000 --units 10000000

Writes a spool with the real writer: users of a ramp who come, come back, fail, answer and never answer, 10,000 events a
second of the clock. Then, in processor time: reading and decoding it; feeding the observer with what was decoded, with a
batch every 200 ms of the clock; and both together, as the control process does it. Memory is the resident set's growth
with so many units open, each with one request, and one in two with feedback; and then with as many closed.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from pilotage.clock import DAY, SECOND
from pilotage.counting.closed import Closed
from pilotage.counting.course import Followed
from pilotage.counting.observe import Observer
from pilotage.counting.order import hash_of
from pilotage.counting.watched import watched
from pilotage.records import Feedback, Finished, SpoolEvent, Started
from pilotage.serving.routing import position
from pilotage.spec.use_case import UseCase
from pilotage.status import Allocated, RolloutStatus
from pilotage.store.spool import Reader, Writer

T0 = 1_790_000_000 * SECOND
RATE = 10_000
TICK = SECOND // 5
SHARE = 250_000
ROLLOUT = RolloutStatus(
    id="019a2b3c4d5e7f60a1b2c3d4e5f60718",
    candidate="bench/model@111111111111",
    baseline="bench/faq@000000000000",
    shares=(SHARE,),
    started=T0,
    step_since=T0,
    allocations=(Allocated(generation=1, step=0, share=SHARE, at=T0),),
)


def spec(window: str) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "bench",
            "owner": "bench",
            "candidate": "model",
            "variants": {"faq": {"upstream": "search"}, "model": {"upstream": "openai"}},
            "goals": {
                "resolved": {"today": 0.5, "minimum_effect": 0.02, "matures_after": window},
                "stars": {"kind": "rating", "low": 1.0, "high": 5.0, "silence": 3.0, "matures_after": window},
            },
            "guardrails": {
                "complaints": {"direction": "down", "margin": 0.03, "matures_after": window},
                "slow": {"source": "slow", "limit": "4s", "direction": "down", "margin": 0.05},
                "price": {
                    "source": "cost",
                    "kind": "money",
                    "direction": "down",
                    "margin": 0.01,
                    "high": 1.0,
                    "matures_after": window,
                },
            },
        }
    )


def visits(count: int, *, returning: float, feedback: float, seed: int = 7) -> Iterator[SpoolEvent]:
    """Yield about so many events in the order in which they are appended."""
    rng = random.Random(seed)
    units = made = number = 0
    later: list[SpoolEvent] = []
    while made < count:
        at = T0 + made * SECOND // RATE
        if units and rng.random() < returning:
            person = rng.randrange(units)
        else:
            person, units = units, units + 1
        unit, id_ = f"{person:032x}", f"{number:032x}"
        number += 1
        candidate = position(ROLLOUT.id, unit) < SHARE
        yield Started(
            id=id_,
            use_case="bench",
            at=at,
            release=ROLLOUT.candidate if candidate else ROLLOUT.baseline,
            arm="candidate" if candidate else "baseline",
            deadline=at + 90 * SECOND,
            unit=unit,
            rollout=ROLLOUT.id,
            step=0,
            share=SHARE,
            generation=1,
            caller="key-1",
        )
        later.append(
            Finished(
                id=id_,
                use_case="bench",
                at=at,
                served=ROLLOUT.candidate,
                status=200,
                error="timeout" if rng.random() < 0.02 else "",
                first_byte=400_000,
                duration=rng.randrange(5 * SECOND),
                input_tokens=812,
                output_tokens=203,
                counted=True,
                cost=rng.randrange(3000),
                finish_reason="stop",
                model="m-2026-09-01",
            )
        )
        made += 1
        if rng.random() < feedback:
            metric = rng.choice(("resolved", "stars", "complaints"))
            later.append(
                Feedback(
                    id=f"f{number}",
                    use_case="bench",
                    at=at,
                    received=at,
                    metric=metric,
                    value=float(rng.randrange(1, 6) if metric == "stars" else rng.randrange(2)),
                    inference=id_,
                )
            )
        # An answer takes its time, in which others come.
        while later and (len(later) > 200 or made >= count):
            made += 1
            yield later.pop(0)


def observer(window: str) -> Observer:
    made = Observer(grace=0)
    made.follow({"bench": Followed(ROLLOUT, watched(spec(window)), {})})
    return made


def fed(watching: Observer, events: Iterable[SpoolEvent]) -> int:
    """Feed, with a batch at every tick; return how many batches there were."""
    tick, batches = T0 + TICK, 0
    for event in events:
        while event.at >= tick:
            watching.caught_up(tick - 1, tick / SECOND)
            batches += watching.batch("bench", tick) is not None
            tick += TICK
        watching.feed(event)
    return batches


def read(directory: Path) -> Iterator[SpoolEvent]:
    reader = Reader(directory)
    for segment in sorted(reader.segments(), key=lambda name: (directory / f"{name}.spool").stat().st_mtime_ns):
        offset, ended = 0, False
        while not ended:
            events, offset, ended = reader.read(segment, offset)
            for _, event in events:
                yield event


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def said(what: str, events: int, seconds: float) -> None:
    print(f"{what:<36}{events / seconds:>12,.0f} events/s {seconds / events * 1e6:>8.2f} us an event")


def speed(count: int, returning: float, *, profile: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with closing(Writer(directory, "w0")) as writer:
            began = time.process_time()
            for event in visits(count, returning=returning, feedback=0.3):
                writer.append(event)
            print(f"made {count:,} events in {time.process_time() - began:.0f} s")
        began = time.process_time()
        total = sum(1 for _ in read(directory))
        said("reading and decoding", total, time.process_time() - began)
        decoded = list(read(directory))
        watching = observer("20s")
        began = time.process_time()
        if profile:
            with cProfile.Profile() as profiler:
                batches = fed(watching, decoded)
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        else:
            batches = fed(watching, decoded)
        said("observer and batches", total, time.process_time() - began)
        opened, closed = watching.tracker("bench").sizes
        del decoded
        watching = observer("20s")
        began = time.process_time()
        fed(watching, read(directory))
        said("together", total, time.process_time() - began)
    print(f"{batches:,} batches; at the end {opened:,} units are open and {closed:,} closed")


def memory(units: int) -> None:
    for feedback in (0.0, 0.5):
        watching = observer("7d")
        before = resident()
        # Of each unit one request: two events, or three where it answers.
        for event in visits(round(units * (2 + feedback)), returning=0.0, feedback=feedback):
            watching.feed(event)
        opened, _ = watching.tracker("bench").sizes
        took = resident() - before
        print(
            f"{opened:,} open units, {feedback:.0%} with feedback: {took / 1e6:,.0f} MB, {took / opened:,.0f} bytes each"
        )
        if feedback:
            watching.caught_up(T0 + 8 * DAY, 1.0)
            began, longest, batches = time.perf_counter(), 0.0, 0
            while watching.batch("bench", T0) is not None:
                now = time.perf_counter()
                began, longest, batches = now, max(longest, now - began), batches + 1
            print(f"all matured at once: {batches} batches, the longest took {longest * 1000:.0f} ms")
        del watching
    closed = Closed()
    before, longest = resident(), 0.0
    for start in range(0, units, 1000):
        began = time.perf_counter()
        closed.add(hash_of("r", str(n)) for n in range(start, min(start + 1000, units)))
        longest = max(longest, time.perf_counter() - began)
    print(f"{len(closed):,} closed units: {closed.memory / len(closed):.1f} bytes each in runs, ", end="")
    print(
        f"{(resident() - before) / len(closed):.1f} resident; the longest of {units // 1000:,} additions {longest * 1000:.0f} ms"
    )
    asked = [hash_of("r", str(n)) for n in range(units - 500, units + 500)]
    began = time.perf_counter()
    found = closed.among(asked)
    took = time.perf_counter() - began
    print(f"{len(found)} of {len(asked):,} found among them in {took * 1e6:,.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--returning", type=float, default=0.3, help="the part of requests that are of units seen before"
    )
    parser.add_argument("--units", type=int, default=0, help="measure memory with so many units")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if given.units:
        memory(given.units)
    if given.events:
        speed(given.events, given.returning, profile=given.profile)


if __name__ == "__main__":
    main()
