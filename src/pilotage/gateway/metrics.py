"""What a worker counts, in memory that all workers share."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from pilotage.gateway.exposition import Family, text
from pilotage.serving import conventions as names

if TYPE_CHECKING:
    from pilotage.records import Finished
    from pilotage.serving.outcome import Outcome
    from pilotage.store.figures import FigureFile

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_OVERHEAD = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
_DURATIONS, _TOKEN_COUNTS = names.DURATION_BOUNDS, names.TOKEN_BOUNDS
_DURATION_SUM, _TOKEN_SUM = len(_DURATIONS) + 1, len(_TOKEN_COUNTS) + 1
_MODELS = 16
"""Different models that one release's provider may say have answered; what comes on top of them is `other`."""
_OTHER = "other"


def _named(name: str, unit: str = "") -> str:
    return names.label(name) + unit


_TOKENS = _named(names.TOKENS)
_DURATION = _named(names.DURATION, "_seconds")
_FIRST = _named(names.FIRST_TOKEN, "_seconds")
_HITS = "pilotage_filter_hits_total"
_EACH = _named(names.PER_TOKEN, "_seconds")

FAMILIES = {
    "pilotage_requests_total": Family("counter", "Requests answered, by path and status."),
    "pilotage_request_seconds": Family(
        "histogram", "From the first byte of a request to the last of its answer.", _SECONDS
    ),
    "pilotage_overhead_seconds": Family(
        "histogram",
        "What the gateway itself took of a request: from its last byte to the answer's first, less the wait for providers.",
        _OVERHEAD,
    ),
    _TOKENS: Family("histogram", "Tokens of requests and answers, as providers count them.", names.TOKEN_BOUNDS),
    _DURATION: Family("histogram", "From a request's arrival to the last byte of its answer.", names.DURATION_BOUNDS),
    _FIRST: Family("histogram", "Until the first event of a streamed answer.", names.FIRST_TOKEN_BOUNDS),
    _EACH: Family("histogram", "For each token of a streamed answer after the first.", names.PER_TOKEN_BOUNDS),
    _HITS: Family("counter", "What filters found, by use case, filter, side, action and kind."),
    "pilotage_requests_in_flight": Family("gauge", "Requests being answered."),
    "pilotage_workers": Family("gauge", "Workers that count here."),
    "pilotage_events_lost_total": Family("counter", "Events that could not be recorded."),
    "pilotage_texts_dropped_total": Family("counter", "Texts that could not be kept."),
    "pilotage_use_cases": Family("most", "Use cases in the routing table."),
    "pilotage_upstream_calls": Family("gauge", "Calls under way at upstreams with a bound."),
    "pilotage_upstream_waiting": Family("gauge", "Requests that wait for one of these to end."),
    "pilotage_upstream_turned_away_total": Family("counter", "Requests that found no room there."),
    "pilotage_upstream_retries_total": Family("counter", "Requests sent to a provider again."),
    "pilotage_upstream_hedges_total": Family("counter", "Requests sent a second time beside a slow first one."),
    "pilotage_upstream_hedges_won_total": Family("counter", "Of these, those whose second was answered first."),
    "pilotage_breakers_opened_total": Family("counter", "Times that a release was asked no more."),
    "pilotage_breakers_open": Family("gauge", "Releases that are not asked now, in each worker."),
    "pilotage_limited_requests_total": Family("counter", "Requests refused for a limit on requests a minute."),
    "pilotage_limited_tokens_total": Family("counter", "Requests refused for a limit on tokens a minute."),
    "pilotage_limited_budget_total": Family("counter", "Requests refused for a budget."),
    "pilotage_beyond_budget_total": Family("counter", "Requests answered by a budget's beyond."),
    "pilotage_budget_cap": Family("most", "The most that a day or a month may cost, in units of its currency."),
    "pilotage_budget_given_out": Family("most", "Of that, what workers have, spent or not."),
    "pilotage_spans_sent_total": Family("counter", "Traced requests that a collector took."),
    "pilotage_spans_dropped_total": Family("counter", "Traced requests that found no room or no collector."),
    "pilotage_cache_hits_total": Family("counter", "Requests answered from the cache."),
    "pilotage_cache_misses_total": Family("counter", "Requests that might have been."),
    "pilotage_cache_bytes": Family("gauge", "Memory that kept answers take."),
    "pilotage_rollouts_blind": Family("most", "Rollouts whose controller is not heard of."),
}
LAYOUT = repr(FAMILIES)
_LABELLED = ("pilotage_requests_total", _HITS, "pilotage_budget_cap", "pilotage_budget_given_out")


class _Series(NamedTuple):
    """First cells of what is counted for one way to be answered."""

    duration: int
    first: int
    each: int
    tokens_in: int
    tokens_out: int
    overhead: int


class Figures:
    """Counting is additions in memory: no call, no lock. Only the running loop's thread may count."""

    def __init__(self, file: FigureFile) -> None:
        self._file = file
        self._cells = file.cells
        self._paths: dict[tuple[str, int], tuple[int, int]] = {}
        self._met: dict[tuple[str, str, str, str], _Series] = {}
        self._models: dict[tuple[str, str], set[str]] = {}
        self.in_flight = 0
        # What does not fit any more is counted here, so there is always room for it.
        self._rest = self._series((_OTHER, _OTHER, _OTHER, _OTHER, _OTHER, _OTHER), _OTHER, "")
        self._rest_path = self._path(_OTHER, 0)
        self._single = {
            name: self._at(name, "") for name, family in FAMILIES.items() if not family.bounds and name not in _LABELLED
        }
        self._before = {name: self._cells[at] for name, at in self._single.items() if FAMILIES[name].kind == "counter"}

    def seen(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request of a known path."""
        found = self._paths.get((path, status))
        if found is None:
            found = self._paths[path, status] = self._path(path, status)
        cells = self._cells
        cells[found[0]] += 1
        at = found[1]
        cells[at + bisect_left(_SECONDS, seconds)] += 1
        cells[at + len(_SECONDS) + 1] += seconds

    def ended(self, outcome: Outcome, finished: Finished) -> None:
        """Count one request that went to a provider, or was meant to."""
        failed = finished.error if finished.status >= 400 or not finished.fallback else ""
        found = self._met.get((outcome.reference, outcome.surface, finished.model, failed))
        if found is None:
            found = self._meet(outcome, finished.model, failed)
        cells = self._cells
        at, seconds = found.duration, finished.duration / 1e6
        cells[at + bisect_left(_DURATIONS, seconds)] += 1
        cells[at + _DURATION_SUM] += seconds
        if finished.counted:
            for at, count in ((found.tokens_in, finished.input_tokens), (found.tokens_out, finished.output_tokens)):
                cells[at + bisect_left(_TOKEN_COUNTS, count)] += 1
                cells[at + _TOKEN_SUM] += count
        for hit in finished.hits:
            said = (("use_case", finished.use_case), ("filter", hit.guardrail), ("side", hit.side))
            at = self._at(_HITS, _labels(*said, ("action", hit.action), ("kind", hit.kind)))
            if at >= 0:
                cells[at] += hit.count
        if not finished.served:
            return
        at, seconds = found.overhead, outcome.overhead / 1e9
        cells[at + bisect_left(_OVERHEAD, seconds)] += 1
        cells[at + len(_OVERHEAD) + 1] += seconds
        if not outcome.streamed:
            return
        at, seconds = found.first, finished.first_byte / 1e6
        cells[at + bisect_left(names.FIRST_TOKEN_BOUNDS, seconds)] += 1
        cells[at + len(names.FIRST_TOKEN_BOUNDS) + 1] += seconds
        if finished.output_tokens > 1 and not (failed or finished.cancelled):
            seconds = (finished.duration - finished.first_byte) / 1e6 / (finished.output_tokens - 1)
            at = found.each
            cells[at + bisect_left(names.PER_TOKEN_BOUNDS, seconds)] += 1
            cells[at + len(names.PER_TOKEN_BOUNDS) + 1] += seconds

    def put(self, **values: int) -> None:
        """Say how much there is of what is counted elsewhere: since this worker's start, or now."""
        for name, value in {**values, "pilotage_requests_in_flight": self.in_flight, "pilotage_workers": 1}.items():
            self._cells[self._single[name]] = self._before.get(name, 0) + value

    def budget(self, account: str, cap: float, given_out: float) -> None:
        """Say how a budget stands, in units of its currency."""
        for name, value in (("pilotage_budget_cap", cap), ("pilotage_budget_given_out", given_out)):
            at = self._at(name, _labels(("account", account)))
            if at >= 0:
                self._cells[at] = value

    def text(self) -> bytes:
        """Return the sum over all workers. Reads files, so it blocks."""
        return text(self._file.all(), FAMILIES)

    def _meet(self, outcome: Outcome, model: str, failed: str) -> _Series:
        reference, surface, release = outcome.reference, outcome.surface, outcome.release
        models = self._models.setdefault((reference, surface), set())
        known = model if model in models or len(models) < _MODELS else _OTHER
        models.add(known)
        labels = (
            names.operation(surface),
            names.provider(release.upstream),
            release.use_case,
            release.model or release.upstream.kind,
            known or "unknown",
            release.variant,
        )
        found = self._series(labels, names.operation(surface), failed)
        if known == model:
            self._met[reference, surface, model, failed] = found
        return found

    def _series(self, values: tuple[str, ...], operation: str, failed: str) -> _Series:
        labels = _labels(*zip(_GEN_AI, values, strict=True))
        failure = _labels((names.ERROR, failed)) if failed else ""
        duration = self._at(_DURATION, f"{labels},{failure}" if failure else labels)
        if duration < 0:
            return self._rest
        token = {
            kind: self._at(_TOKENS, f"{labels},{_labels((names.TOKEN_TYPE, kind))}") for kind in ("input", "output")
        }
        made = _Series(
            duration,
            self._at(_FIRST, labels),
            self._at(_EACH, labels),
            token["input"],
            token["output"],
            self._at("pilotage_overhead_seconds", _labels((names.OPERATION, operation))),
        )
        return made if min(made) >= 0 else self._rest

    def _path(self, path: str, status: int) -> tuple[int, int]:
        count = self._at("pilotage_requests_total", f'path="{path}",status="{status}"')
        seconds = self._at("pilotage_request_seconds", f'path="{path}"')
        return (count, seconds) if min(count, seconds) >= 0 else self._rest_path

    def _at(self, name: str, labels: str) -> int:
        return self._file.place(f"{name}{{{labels}}}" if labels else name, FAMILIES[name].cells)


_GEN_AI = (
    names.OPERATION,
    names.PROVIDER,
    names.ORIGINAL_MODEL,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    "pilotage.variant",
)


def _labels(*pairs: tuple[str, str]) -> str:
    return ",".join(f'{names.label(name)}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
