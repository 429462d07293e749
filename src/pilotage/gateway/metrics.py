"""A worker's own figures, as Prometheus text. Workers share one port, so each series carries its worker's name."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotage.gateway.limits import Limits
    from pilotage.upstream.tally import Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Figures:
    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self.in_flight = 0

    def seen(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request of a known path."""
        self._requests[path, status] += 1
        buckets = self._buckets.get(path)
        if buckets is None:
            buckets = self._buckets[path] = [0] * (len(_BUCKETS) + 1)
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[path] += seconds

    def text(self, *, lost: int, dropped: int, routes: int, blind: int, tally: Tally, limits: Limits) -> bytes:
        worker = f'worker="{self._worker}"'
        lines = _head("pilotage_requests_total", "counter", "Requests answered, by path and status.")
        lines += [
            f'pilotage_requests_total{{{worker},path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self._requests.items())
        ]
        lines += _head(
            "pilotage_request_seconds", "histogram", "From the first byte of a request to the last of its answer."
        )
        for path, counts in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f'pilotage_request_seconds_bucket{{{worker},path="{path}",le="{bound}"}} {total}')
            lines.append(f'pilotage_request_seconds_sum{{{worker},path="{path}"}} {self._seconds[path]:.6f}')
            lines.append(f'pilotage_request_seconds_count{{{worker},path="{path}"}} {total}')
        for name, kind, says, value in (
            ("pilotage_requests_in_flight", "gauge", "Requests being answered.", self.in_flight),
            ("pilotage_events_lost_total", "counter", "Events that could not be recorded.", lost),
            ("pilotage_texts_dropped_total", "counter", "Texts that could not be kept.", dropped),
            ("pilotage_use_cases", "gauge", "Use cases in the routing table.", routes),
            ("pilotage_upstream_calls", "gauge", "Calls under way at upstreams with a bound.", tally.asked),
            ("pilotage_upstream_waiting", "gauge", "Requests that wait for one of these to end.", tally.waiting),
            ("pilotage_upstream_turned_away_total", "counter", "Requests that found no room there.", tally.turned_away),
            ("pilotage_upstream_retries_total", "counter", "Requests sent to a provider again.", tally.retried),
            ("pilotage_breakers_opened_total", "counter", "Times that a release was asked no more.", tally.opened),
            ("pilotage_breakers_open", "gauge", "Releases that are not asked now.", tally.open),
            ("pilotage_rollouts_blind", "gauge", "Rollouts whose controller is not heard of.", blind),
        ):
            lines += [*_head(name, kind, says), f"{name}{{{worker}}} {value}"]
        return ("\n".join([*lines, *self._spending(limits)]) + "\n").encode()

    def _spending(self, limits: Limits) -> list[str]:
        """Return what was refused, and how near each cap is; money in units of its currency."""
        worker = f'worker="{self._worker}"'
        lines = _head("pilotage_limited_total", "counter", "Requests refused for a limit, by which it was.")
        lines += [f'pilotage_limited_total{{{worker},limit="{name}"}} {n}' for name, n in limits.refused.items()]
        lines += _head("pilotage_beyond_budget_total", "counter", "Requests answered by a budget's beyond.")
        lines.append(f"pilotage_beyond_budget_total{{{worker}}} {limits.beyond}")
        budgets = [(one.account, one.cap, one.last) for one in limits.allowances]
        for name, says, values in (
            ("cap", "The most that a day or a month may cost.", [(account, cap) for account, cap, _ in budgets]),
            ("given_out", "Of that, what workers have.", [(account, purse.taken) for account, _, purse in budgets]),
            (
                "spent",
                "Of that, what this worker has spent.",
                [(account, purse.spent) for account, _, purse in budgets],
            ),
        ):
            lines += _head(f"pilotage_budget_{name}", "gauge", says)
            lines += [f'pilotage_budget_{name}{{{worker},account="{a}"}} {value / 1e6:.6f}' for a, value in values]
        return lines


def _head(name: str, kind: str, says: str) -> list[str]:
    return [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
