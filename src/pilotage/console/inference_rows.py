"""Inferences as people read them: one line in a list, or one in full."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pilotage.report.axis import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECOND = 1_000_000
_SAID = 5
MOST_SHOWN = 60_000
"""Characters of a conversation on a page."""
_AROUND = 60
"""Characters of a text that are shown on each side of what was looked for."""


class Piece(NamedTuple):
    """A part of a text; `found` where it is what was looked for."""

    text: str
    found: bool


class Row(NamedTuple):
    """One inference in a list. Times are microseconds, amounts are written out."""

    id: str
    at: int
    release: str
    arm: str
    outcome: str
    bad: bool
    took: str
    cost: str
    tokens: str
    hits: str
    said: str
    text: bool
    pieces: tuple[Piece, ...]


def row_of(inference: Mapping[str, Any], words: str = "") -> Row:
    ended = inference["finished"]
    outcome, bad = outcome_of(inference)
    return Row(
        id=inference["id"],
        at=inference["at"],
        release=inference["release"],
        arm=inference["arm"] if inference["source"] == "live" else inference["source"],
        outcome=outcome,
        bad=bad,
        took=seconds(ended["duration"]) if ended else "",
        cost=money(ended["cost"]) if ended else "",
        tokens=f"{ended['input_tokens']} + {ended['output_tokens']}" if ended and ended["counted"] else "",
        hits=", ".join(dict.fromkeys(hit["guardrail"] for hit in ended["hits"])) if ended else "",
        said=_said(inference["feedback"]),
        text=inference["text"],
        pieces=_around(inference, words) if words else (),
    )


def _said(feedback: Sequence[Mapping[str, Any]]) -> str:
    """Say the first of what was said; of a unit there may be hundreds."""
    told = ", ".join(f"{one['metric']} {number(one['value'])}" for one in feedback[:_SAID])
    return f"{told} and {len(feedback) - _SAID} more" if len(feedback) > _SAID else told


def shortened(turns: Sequence[Mapping[str, str]], most: int = MOST_SHOWN) -> tuple[list[dict[str, str]], int]:
    """Return turns with at most so many characters in all, the last ones whole first, and how many characters that left out."""
    shown: list[dict[str, str]] = []
    left, cut = most, 0
    for turn in reversed(turns):
        text = turn["text"]
        kept = text[:left]
        left -= len(kept)
        cut += len(text) - len(kept)
        if kept or not text:
            shown.append({"role": turn["role"], "text": kept})
    return shown[::-1], cut


def outcome_of(inference: Mapping[str, Any]) -> tuple[str, bool]:
    """Return in words how an inference ended, and whether that is bad."""
    ended = inference["finished"]
    if ended is None:
        return "not finished", True
    parts = []
    if ended["error"]:
        parts.append(f"error: {ended['error']}")
    if ended["fallback"]:
        parts.append("a fallback answered")
    if ended["cancelled"]:
        parts.append("the client went away")
    if not parts and ended["status"] >= 400:
        parts.append(f"refused ({ended['status']})")
    return ", ".join(parts) or "answered", bool(parts)


def seconds(microseconds: int) -> str:
    """Say a duration as its size asks for."""
    if microseconds < 10_000:
        return f"{microseconds / 1000:.2g} ms"
    return f"{microseconds / 1000:.0f} ms" if microseconds < 10 * _SECOND else f"{microseconds / _SECOND:.3g} s"


def money(millionths: int) -> str:
    """Say an amount to the millionth where it is small."""
    return f"{millionths / 1e6:.6f}" if millionths < 10_000 else f"{millionths / 1e6:.2f}"


def timing(ended: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was timed of an answer, in words."""
    first, whole = ended["first_byte"], ended["duration"]
    found = [("until the first byte", seconds(first))] if first else []
    if first and whole > first:
        found.append(("from the first byte to the last", seconds(whole - first)))
    return [*found, ("in all", seconds(whole))]


def _around(inference: Mapping[str, Any], words: str) -> tuple[Piece, ...]:
    """Return the place of a text where the words stand, with a little of what is around it."""
    spoken = words.split()
    if not spoken:
        return ()
    wanted = re.compile(r"\s+".join(map(re.escape, spoken)), re.IGNORECASE)
    for side in ("request", "reply"):
        text = inference.get(side, "")
        if match := wanted.search(text):
            start, end = max(0, match.start() - _AROUND), match.end() + _AROUND
            return (
                Piece(("… " if start else "") + text[start : match.start()], found=False),
                Piece(match.group(), found=True),
                Piece(text[match.end() : end] + (" …" if end < len(text) else ""), found=False),
            )
    return ()


def table(inferences: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return inferences as flat records: a line each of a table or of a file of JSON."""
    found = []
    for one in inferences:
        ended = one["finished"] or {}
        flat = {name: one[name] for name in _STARTED} | {name: ended.get(name) for name in _FINISHED}
        flat["hits"] = [f"{hit['guardrail']}:{hit['side']}:{hit['action']}" for hit in ended.get("hits", ())]
        flat["feedback"] = [{name: said[name] for name in ("metric", "value", "at", "by")} for said in one["feedback"]]
        found.append(flat | {side: one[side] for side in TEXT_COLUMNS if side in one})
    return found


_STARTED = (
    "id",
    "at",
    "use_case",
    "release",
    "arm",
    "source",
    "surface",
    "streamed",
    "rollout",
    "step",
    "share",
    "unit",
)
_FINISHED = (
    "served",
    "status",
    "error",
    "fallback",
    "cancelled",
    "attempts",
    "first_byte",
    "duration",
    "input_tokens",
    "output_tokens",
    "cost",
    "finish_reason",
    "model",
)
COLUMNS = (*_STARTED, *_FINISHED, "hits", "feedback")
TEXT_COLUMNS = ("request", "reply")
