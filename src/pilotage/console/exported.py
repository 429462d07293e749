"""Inferences as a file: a line each, page by page, so that no export is ever whole in memory."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.console.inference_rows import COLUMNS, TEXT_COLUMNS, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 50_000
"""Inferences in one file; with texts TEXTS, which are decrypted."""
TEXTS = 2_000
_PAGE = 1_000
FORMS = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def lines(
    form: str, page: Callable[[dict[str, Any]], dict[str, Any]], arguments: dict[str, Any], *, texts: bool
) -> Iterator[bytes]:
    """Yield a file's parts. `page` answers the command `inferences`; the first is asked for before anything is yielded."""
    left = TEXTS if texts else MOST
    arguments = {**arguments, "texts": texts}
    names = (*COLUMNS, *TEXT_COLUMNS) if texts else COLUMNS
    first = True
    while left > 0:
        found = page({**arguments, "most": TEXTS if texts else min(left, _PAGE)})
        records = table(found["inferences"])
        yield _jsonl(records) if form == "jsonl" else _csv(records, names, heading=first)
        first = False
        left -= len(records)
        # A search that was cut short goes on: a file has no link to click on.
        if not found["older"] or texts:
            return
        arguments = {**arguments, "before": found["older"]}


def _jsonl(records: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def _csv(records: list[dict[str, Any]], names: tuple[str, ...], *, heading: bool) -> bytes:
    out = io.StringIO(newline="")
    writing = csv.DictWriter(out, names)
    if heading:
        writing.writeheader()
    writing.writerows({name: _cell(record.get(name)) for name in names} for record in records)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, list):
        value = "; ".join(
            one if isinstance(one, str) else f"{one['metric']}={one['value']:g} ({one['by']})" for one in value
        )
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
