"""What the gateway costs beside plain proxies, in one run before one canned upstream.

    make bench                         processor time a request and a streamed event, memory, time to start
    make bench ARGS="--sweep"          also by body size, connections, stream length and use cases, and delay at a fixed rate
    make bench ARGS="--also old=DIR"   the same for the source tree of another version, in the same run
    make bench ARGS="--rivals DIR"     and for LiteLLM and Portkey, where they are installed there (bench/rivals.py)
    make bench ARGS="--upstream 9000 --peer other=4000"   and for a proxy that you have started before that upstream

Processor time is read from /proc/PID/task/*/schedstat of the proxy's own processes; load generator and upstream have
the first core, the proxy the second. It is a ratio between programs on one machine in one run: read the ratio, not the
microseconds. nginx and Envoy only proxy. Pilotage assigns a variant, holds a budget and a limit a minute, looks for
personal data in both directions, and records two events for each request; `redacted` and `full` keep the texts too,
`templated` renders its prompt for each request, and `alone` does none of it but authenticate and record.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from files import PLAIN, TEMPLATE
from load import open_loop, percentile, run
from proxies import Bench, Proxy, memory
from rivals import rivals

EVENTS = 50
AROUND = 2
"""Events of a stream beside those: its last, and the mark of its end."""
SLOW_RATE = 25
"""Requests a second that every other gateway can answer too."""
USERS = 64
"""Requests under way at one time, however many connections there are."""


def compare(proxies: list[Proxy], unary: int, streamed: int, rounds: int) -> dict[str, dict[str, float]]:
    """Measure in turns, so that a noisy moment meets them all; return the medians."""
    found: dict[str, list[dict[str, float]]] = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        for proxy in proxies:
            us, rate = proxy.cost(proxy.plan(), unary // rounds)
            event = proxy.cost(proxy.plan(stream=True), streamed // rounds)[0] if proxy.streams else math.nan
            found[proxy.name].append(
                {
                    "unary_us": us,
                    "event_us": event / (EVENTS + AROUND),
                    "requests_a_second": rate,
                }
            )
    results = {}
    for proxy in proxies:
        rows = found[proxy.name]
        result = {figure: sorted(row[figure] for row in rows)[len(rows) // 2] for figure in rows[0]}
        results[proxy.name] = {**result, "megabytes": memory(proxy.pids), "ready_s": proxy.ready}
    base = results.get("nginx")
    print(f"{'':10}{'a request':>20}{'a streamed event':>20}{'requests/s':>12}{'MB':>6}{'ready, s':>10}")
    for name, result in results.items():
        times = [
            "none"
            if math.isnan(result[figure])
            else f"{result[figure]:.{digits}f} us" + (f" ({result[figure] / base[figure]:.1f}x)" if base else "")
            for figure, digits in (("unary_us", 0), ("event_us", 1))
        ]
        rest = f"{result['requests_a_second']:12.0f}{result['megabytes']:6.0f}{result['ready_s']:10.2f}"
        print(f"{name:10}{times[0]:>20}{times[1]:>20}{rest}", flush=True)
    return results


def table(
    title: str, proxies: list[Proxy], points: list[int], cost: Callable[[Proxy, int], float], unit: str = "a request"
) -> None:
    print(f"\n{title}: microseconds {unit}")
    print(" " * 10 + "".join(f"{point!s:>10}" for point in points))
    for proxy in proxies:
        print(f"{proxy.name:10}" + "".join(f"{cost(proxy, point):10.1f}" for point in points), flush=True)


def sweep(bench: Bench, plain: list[Proxy], pilotage: Proxy) -> None:
    every = [*plain, pilotage]
    sizes = [24, 1_000, 10_000, 100_000, 1_000_000]
    table("by bytes of question", every, sizes, lambda p, n: p.cost(p.plan(size=n), 200 if n > 500_000 else 2000)[0])

    def connected(proxy: Proxy, connections: int) -> float:
        return proxy.cost(proxy.plan(), max(4000, 2 * connections), connections, USERS)[0]

    table("by connections, 64 of them asking at one time", every, [10, 100, 1_000, 5_000], connected)
    print("".join(f"  {proxy.name} {memory(proxy.pids):.0f} MB" for proxy in every), flush=True)

    def streamed(proxy: Proxy, events: int) -> float:
        streams = max(16, 40_000 // events)
        return proxy.cost(proxy.plan(stream=True, events=events), min(streams, 1500))[0] / (events + AROUND)

    table("by events of a stream", every, [10, 50, 500, 5_000], streamed, "an event")
    print("\nby use cases, asked in turn: microseconds a request, megabytes, seconds to be ready")
    for others in (0, 9, 99, 999):
        many = bench.pilotage("many", others=others) if others else pilotage
        models = ["bench", *[f"bench{number}" for number in range(others)]]
        us, _ = many.cost(many.plan(model=models), 8000)
        print(f"{others + 1:6} {us:8.0f} us {memory(many.pids):6.0f} MB {many.ready:6.2f} s", flush=True)


def delays(bench: Bench, quick: list[Proxy], slow: list[Proxy]) -> None:
    """Tell delays at rates that each of them can bear."""
    print("\ndelay in milliseconds at a fixed rate, from when a request was due")
    upstream = Proxy("upstream", [], bench.upstream)
    for rate, asked in ((SLOW_RATE, [upstream, *quick, *slow]), (200, [upstream, *quick]), (1000, [upstream, *quick])):
        for proxy in asked:
            late = run(open_loop(proxy.address, proxy.plan(), rate, 10))
            marks = "".join(f"  p{share * 100:g} {percentile(late, share) * 1e3:6.2f}" for share in (0.5, 0.9, 0.99))
            print(f"{rate:6} a second  {proxy.name:10}{marks}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unary", type=int, default=30000)
    parser.add_argument("--streamed", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=DIR", help="another version's source tree")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PORT", help="a proxy that listens there")
    parser.add_argument("--rivals", type=Path, metavar="DIR", help="other gateways that are installed there")
    parser.add_argument("--upstream", type=int, default=0, metavar="PORT", help="where the canned upstream listens")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # For thousands of connections, and what is started inherits it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="pilotage-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack, events=EVENTS, port=options.upstream)
        plain = [proxy for proxy in (bench.nginx(), bench.envoy()) if proxy]
        named: list[tuple[str, Any]] = [(one.partition("=")[0], one.partition("=")[2]) for one in options.peer]
        peers = [bench.peer(name, int(port)) for name, port in named]
        peers += rivals(bench, options.rivals) if options.rivals else []
        others = [bench.pilotage(name, source) for name, _, source in (one.partition("=") for one in options.also)]
        pilotage = bench.pilotage("Pilotage")
        variations = [
            bench.pilotage("redacted", retention="redacted"),
            bench.pilotage("full", retention="full"),
            bench.pilotage("templated", prompt=TEMPLATE),
            bench.pilotage("alone", file=PLAIN),
        ]
        proxies = [*plain, *peers, *others, pilotage, *variations]
        results = compare(proxies, options.unary, options.streamed, options.rounds)
        if options.sweep:
            sweep(bench, plain, pilotage)
        if options.sweep or options.rivals:
            delays(bench, [*plain, pilotage], peers)
        if options.json:
            print(json.dumps(results))


if __name__ == "__main__":
    main()
