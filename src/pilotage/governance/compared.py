"""Both sides' answers to the cases of an evaluation, failures first, found by what its evidence says it kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pilotage.store.base.transaction import Transaction

LONGEST = 2_000
"""Characters of one text that are given out: a page of twenty stays a page."""


class Kept(msgspec.Struct, frozen=True):
    """Where an evaluation's scores and both sides' answers lie."""

    scores: str
    answers: str
    before: str = ""


class Scored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case of an evaluation. `key` finds its answers; values are None where there was nothing to score by, or no answer."""

    key: str
    question: str
    kind: str = ""
    scenario: str = ""
    value: float | None = None
    why: str = ""
    before: float | None = None
    error: str = ""


def compared(
    tx: Transaction, use_case: str, release: str, *, only: str = "", after: int = 0, most: int = 20
) -> dict[str, Any]:
    """Return the rows of the newest evaluation of a release that kept its answers."""
    fact = next(
        (
            fact
            for fact in reversed(tx.evidence.of(use_case, release=release))
            if fact.measure == "quality" and "kept" in fact.detail
        ),
        None,
    )
    empty = {"use_case": use_case, "release": "", "baseline": "", "rows": [], "of": 0, "cases": 0, "next": None}
    if fact is None:
        return empty
    try:
        kept = msgspec.convert(fact.detail["kept"], Kept)
        scores = msgspec.convert(_run(tx, use_case, kept.scores), dict[str, Scored])
    except msgspec.ValidationError:
        return empty
    now, before = _run(tx, use_case, kept.answers), _run(tx, use_case, kept.before)
    rows = [_row(case, one, _said(now, one.key), _said(before, one.key)) for case, one in scores.items()]
    rows.sort(key=lambda row: (_ORDER[row["outcome"]], row["case"]))
    wanted = [row for row in rows if _CHOSEN[only](row)]
    shown = wanted[after : after + most]
    return {
        "use_case": use_case,
        "release": release,
        "baseline": str(fact.detail.get("beside", "")),
        "at": fact.at,
        "rows": shown,
        "of": len(wanted),
        "cases": len(rows),
        "next": after + most if after + most < len(wanted) else None,
    }


_ORDER = {"worse": 0, "wrong": 1, "not scored": 2, "better": 3, "right": 4}
_CHOSEN: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "": lambda _: True,
    "worse": lambda row: row["outcome"] == "worse",
    "better": lambda row: row["outcome"] == "better",
    "wrong": lambda row: row["outcome"] in ("worse", "wrong"),
    "differs": lambda row: row["reply"] != row["before"],
}


def _row(case: str, one: Scored, reply: str | None, before: str | None) -> dict[str, Any]:
    return {
        "case": case,
        "kind": one.kind,
        "scenario": one.scenario,
        "question": one.question[:LONGEST],
        "outcome": _outcome(one),
        "value": one.value,
        "value_before": one.before,
        "why": one.why or one.error,
        "reply": reply,
        "before": before,
    }


def _outcome(one: Scored) -> str:
    if one.value is None:
        return "not scored"
    if one.before is not None and one.value != one.before:
        return "worse" if one.value < one.before else "better"
    return "right" if one.value == 1 else "wrong"


def _run(tx: Transaction, use_case: str, run: str) -> Mapping[str, dict[str, Any]]:
    return tx.results.get(f"{use_case}/{run}") if run else {}


def _said(answers: Mapping[str, dict[str, Any]], key: str) -> str | None:
    text = answers.get(key, {}).get("text")
    return text[:LONGEST] if isinstance(text, str) else None
