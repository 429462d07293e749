"""People's own verdicts on replies, as a table: what a judge model is held against. Free of pydantic."""

from __future__ import annotations

import csv
import io
from typing import Literal

import msgspec

from pilotage.spec.case import Line

RIGHT = ("case", "reply", "right")
"""The columns of verdicts on replies."""
PREFERS = ("case", "first", "second", "prefers")
"""The columns of preferences between two replies."""
_WORDS = {"yes": True, "right": True, "true": True, "1": True, "no": False, "wrong": False, "false": False, "0": False}
_SIDES: dict[str, Literal["first", "second", "tie"]] = {"first": "first", "second": "second", "tie": "tie"}


class Label(msgspec.Struct, frozen=True):
    """Somebody's word on the reply to a case; `reply` is the digest of its text."""

    case: str
    reply: str
    right: bool


class Preference(msgspec.Struct, frozen=True):
    """Somebody's word on two replies to a case, each by the digest of its text."""

    case: str
    first: str
    second: str
    prefers: Literal["first", "second", "tie"]


def read_labels(data: bytes) -> tuple[list[Label | Preference], list[Line]]:
    """Return the labels and the faults of a CSV file; rows that nobody has filled in yet are passed over."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        return [], [Line(data.count(b"\n", 0, fault.start) + 1, "is not UTF-8 text; save the table as CSV UTF-8")]
    heading = text.split("\n", 1)[0]
    separator = ";" if heading.count(";") > heading.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found: list[Label | Preference] = []
    faults: list[Line] = []
    names: list[str] = []
    line = 1
    try:
        for cells in reader:
            if not names:
                names = [cell.strip() for cell in cells]
                if not (set(RIGHT) <= set(names) or set(PREFERS) <= set(names)):
                    says = f"the heading must name {', '.join(RIGHT)}, or {', '.join(PREFERS)}"
                    return [], [Line(1, f"{says}; `pilotage evaluate --suite judge --sheet FILE` writes such a table")]
            elif any(cell.strip() for cell in cells):
                label = _label(dict(zip(names, (cell.strip() for cell in cells), strict=False)))
                if isinstance(label, str):
                    faults.append(Line(line, label))
                elif label is not None:
                    found.append(label)
            line = reader.line_num + 1
    except csv.Error as fault:
        faults.append(Line(line, f"cannot be read as CSV ({fault})"))
    return found, faults


def _label(row: dict[str, str]) -> Label | Preference | str | None:
    """Return a row's label, what is wrong with it, or None where it is not filled in."""
    said = row.get("right", row.get("prefers", "")).casefold()
    if not said:
        return None
    lacks = [name for name in (PREFERS if "prefers" in row else RIGHT)[:-1] if not row.get(name)]
    if lacks:
        return f"lacks {' and '.join(lacks)}; leave those columns as they were written"
    if "prefers" in row:
        if said not in _SIDES:
            return f'prefers is "{said[:40]}"; write first, second or tie, or nothing'
        return Preference(row["case"], row["first"], row["second"], _SIDES[said])
    if said not in _WORDS:
        return f'right is "{said[:40]}"; write yes or no, or nothing where you cannot say'
    return Label(row["case"], row["reply"], _WORDS[said])
