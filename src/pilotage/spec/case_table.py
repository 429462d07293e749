"""Cases as a table: CSV with a heading, for teams whose examples live in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTS = ("forbidden", "contains")
_LONGEST = 1 << 20


def rows(data: bytes, known: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield (line, a case as plain data), or (line, what is wrong with it), of a UTF-8 file with commas or semicolons.

    An empty cell says nothing. Lists have | between their texts; the groups of `required` have ; between them.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        yield data.count(b"\n", 0, fault.start) + 1, "is not UTF-8 text; save the table as CSV UTF-8"
        return
    heading = text.split("\n", 1)[0]
    separator = ";" if heading.count(";") > heading.count(",") else ","
    before = csv.field_size_limit(_LONGEST)
    try:
        yield from _rows(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), known)
    finally:
        csv.field_size_limit(before)


def _rows(reader: Any, known: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    names: list[str] = []
    line = 1
    try:
        for cells in reader:
            if not names:
                names = [cell.strip() for cell in cells]
                if not {"id", "text"} <= set(names):
                    has = ", ".join(filter(None, names))[:200] or "nothing"
                    yield line, f"the heading has {has}; it must name id and text at least"
                    return
            elif any(cell.strip() for cell in cells):
                if len(cells) > len(names):
                    yield line, f"has {len(cells)} cells under {len(names)} headings; text with commas stands in quotes"
                else:
                    yield line, _case(dict(zip(names, cells, strict=False)), known)
            line = reader.line_num + 1
    except csv.Error as fault:
        yield line, f"cannot be read as CSV ({fault})"


def _case(cells: dict[str, str], known: tuple[str, ...]) -> dict[str, Any]:
    case: dict[str, Any] = {}
    for name, cell in cells.items():
        if not cell.strip() or (name and name not in known):
            continue
        if name == "required":
            case[name] = [_texts(group) for group in cell.split(";") if group.strip()]
        elif name in _LISTS:
            case[name] = _texts(cell)
        elif name:
            case[name] = cell
    return case


def _texts(cell: str) -> list[str]:
    return [text.strip() for text in cell.split("|") if text.strip()]
