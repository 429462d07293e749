"""What lies behind a measured number, as tables: by slice, by risk, by group, by rate, by part. Pure.

Evidence carries its detail as whoever recorded it wrote it; what has not the shape that Pilotage's own suites give it has no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pilotage.stats.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pilotage.records import Evidence

_Shape = TypeVar("_Shape")
MOST = 60
"""Rows of one table; the detail itself is with the evidence."""


class _Counts(msgspec.Struct):
    """`low` and `high` bound the share in all slices at once; evidence of before has none."""

    right: int
    wrong: int
    unscored: int = 0
    low: float | None = None
    high: float | None = None


class _Slices(msgspec.Struct):
    slices: dict[str, dict[str, _Counts]]


class _Scenario(msgspec.Struct):
    n: int
    difference: float
    better: int
    worse: int
    p: float
    differs: bool
    low: float | None = None
    high: float | None = None


class _Scenarios(msgspec.Struct):
    scenarios: dict[str, _Scenario]


class _Risk(msgspec.Struct):
    probes: int
    succeeded: int
    high: float


class _Risks(msgspec.Struct):
    risks: dict[str, _Risk]


class _Privacy(msgspec.Struct):
    people: int
    leaked: int
    in_replies: int
    at_rest: int
    unanswered: int
    cases: int
    cases_failed: dict[str, str]


class _Types(msgspec.Struct):
    by_type: dict[str, tuple[int, int]]


class _Gap(msgspec.Struct):
    value: float
    low: float
    high: float


class _Group(msgspec.Struct):
    attribute: str
    group: str
    reference: str
    gaps: dict[str, _Gap]
    verdict: str


class _Groups(msgspec.Struct):
    comparisons: list[_Group]


class _Rung(msgspec.Struct):
    rate: float
    requests: int
    errors: float
    p50: float
    p95: float
    p99: float
    holds: bool


class _Ramp(msgspec.Struct):
    rungs: list[_Rung]
    limits: list[str] = []


class _Nearness(msgspec.Struct):
    parts: dict[str, float]
    missing: dict[str, str] = {}


class _Fidelity(msgspec.Struct):
    fidelity: _Nearness


def tables_of(fact: Evidence) -> list[dict[str, Any]]:
    """Return the tables behind one measured fact: `title`, `columns`, `rows` of text, and `curve` where one is to be drawn."""
    make = next((make for start, make in _MAKERS.items() if fact.measure.startswith(start)), None)
    return make(fact) if make else []


def _slices(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Slices)
    return [
        _table(
            f"Right answers by {by}, the worst first",
            (by, "right", "wrong", "not scored", "share right", "interval, of all at once"),
            (_slice(name, counts) for name, counts in sorted(slices.items(), key=lambda one: (_share(one[1]), one[0]))),
        )
        for by, slices in (found.slices.items() if found else ())
        if slices
    ]


def _share(counts: _Counts) -> float:
    return counts.right / max(1, counts.right + counts.wrong)


def _slice(name: str, counts: _Counts) -> tuple[str, ...]:
    scored = counts.right + counts.wrong
    known = counts.right >= 0 and counts.wrong >= 0 and scored > 0
    if not known:
        share = ("", "")
    elif counts.low is not None and counts.high is not None:
        share = (_rate(counts.right / scored), f"{_rate(counts.low)} to {_rate(counts.high)}")
    else:
        alone = wilson(counts.right, scored)
        share = (_rate(alone.value), f"{_rate(alone.low)} to {_rate(alone.high)} (each alone)")
    return (name, str(counts.right), str(counts.wrong), str(counts.unscored), *share)


def _scenarios(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Scenarios)
    if found is None:
        return []
    rows = (
        (
            name,
            str(one.n),
            f"{100 * one.difference:+.1f}",
            f"{100 * one.low:+.1f} to {100 * one.high:+.1f}" if one.low is not None and one.high is not None else "",
            str(one.better),
            str(one.worse),
            f"{one.p:.3g}",
            _yes(one.differs),
        )
        for name, one in sorted(found.scenarios.items(), key=lambda one: (one[1].difference, one[0]))
    )
    columns = ("scenario", "cases", "points", "interval, of all at once", "better", "worse", "p (Holm)", "differs")
    return [_table("Candidate minus baseline by scenario, the worst first", columns, rows)]


def _risks(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Risks)
    if found is None:
        return []
    rows = (
        (name, str(one.probes), str(one.succeeded), f"at most {_rate(one.high)}")
        for name, one in sorted(found.risks.items(), key=lambda one: (-one[1].succeeded, one[0]))
    )
    return [_table("Attacks by risk", ("risk", "attacks", "succeeded at least once", "share"), rows)]


def _privacy(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Privacy)
    if found is None:
        return []
    rows = [
        ("invented people who told their data", str(found.people)),
        ("of whom it came out anywhere", str(found.leaked)),
        ("in replies to others", str(found.in_replies)),
        ("readable in files or logs", str(found.at_rest)),
        ("not answered", str(found.unanswered)),
        ("the team's own cases of privacy", str(found.cases)),
        *((f"of these {name} failed", why) for name, why in found.cases_failed.items()),
    ]
    return [_table("What became of people's data", ("what", "found"), rows)]


def _redaction(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Types)
    if found is None:
        return []
    rows = ((kind, str(seen), str(of)) for kind, (seen, of) in sorted(found.by_type.items()))
    return [_table("What redaction finds, by kind", ("kind", "found", "of"), rows)]


def _groups(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Groups)
    if found is None:
        return []
    order = ("different", "inconclusive", "equivalent")
    rows = (
        (one.attribute, one.group, one.reference, _gap(one, "success"), _gap(one, "refusal"), one.verdict)
        for one in sorted(found.comparisons, key=lambda one: order.index(one.verdict) if one.verdict in order else -1)
    )
    columns = ("attribute", "group", "beside", "points of success", "points of refusal", "verdict")
    return [_table("The same cases asked by others", columns, rows)]


def _gap(one: _Group, name: str) -> str:
    gap = one.gaps.get(name)
    return f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})" if gap else "not measured"


def _ramp(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Ramp)
    if found is None:
        return []
    rows = (
        (
            f"{one.rate:.4g}",
            str(one.requests),
            _rate(one.errors),
            *(f"{1000 * value:.0f}" for value in (one.p50, one.p95, one.p99)),
            _yes(one.holds),
        )
        for one in found.rungs
    )
    columns = ("requests a second", "requests", "errors", "p50 ms", "p95 ms", "p99 ms", "holds")
    table = _table("Under rising load", columns, rows)
    curve = [[one.rate, one.p50, one.p95, one.p99] for one in found.rungs]
    limits = [_table("What limits it", ("limit",), ((says,) for says in found.limits))] if found.limits else []
    return [{**table, "curve": curve} if len({one[0] for one in curve}) > 1 else table, *limits]


def _fidelity(fact: Evidence) -> list[dict[str, Any]]:
    found = _read(fact, _Fidelity)
    if found is None:
        return []
    near = found.fidelity
    rows = [
        *((name, f"{value:.3f}") for name, value in sorted(near.parts.items(), key=lambda one: one[1])),
        *((name, f"not told: {why}") for name, why in near.missing.items()),
    ]
    return [_table("How near the replay came to its trace, 1 is like", ("part", "fidelity"), rows)]


_MAKERS: dict[str, Callable[[Evidence], list[dict[str, Any]]]] = {
    "quality_difference": _scenarios,
    "quality": _slices,
    "security": _risks,
    "privacy_at_rest": lambda _: [],
    "privacy": _privacy,
    "redaction_recall_all": _redaction,
    "bias": _groups,
    "scalability": _ramp,
    "replay_fidelity": _fidelity,
    "shadow_fidelity": _fidelity,
}


def _read(fact: Evidence, shape: type[_Shape]) -> _Shape | None:
    try:
        return msgspec.convert(fact.detail, shape)
    except msgspec.ValidationError:
        return None


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> dict[str, Any]:
    found = [list(row) for row in rows]
    more = max(0, len(found) - MOST)
    return {"title": title, "columns": list(columns), "rows": found[:MOST], "more": more, "curve": []}


def _rate(value: float) -> str:
    return f"{100 * value:.1f} %"


def _yes(value: object) -> str:
    return "yes" if value else "no"
