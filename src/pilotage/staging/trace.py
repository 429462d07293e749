"""When requests arrive, how large they are and who sends them: read from a file, or from what the gateway recorded."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pilotage.clock import MINUTE, SECOND
from pilotage.errors import FaultyFile, NotMeasured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
USER, SESSION = "User", "Session"
"""Columns that a file may have besides."""
PAUSE = 30 * MINUTE
"""Between two requests of one unit: after more than this, the second begins another session."""
SILENCE = 60
"""A gap of so many mean gaps, and of `LEAST_SILENCE`, is one in the record and no habit of people."""
LEAST_SILENCE = 10 * MINUTE

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


class Arrival(msgspec.Struct, frozen=True):
    """One request: microseconds after the first one, and its size, user and session where the trace says them.

    `inference` is the recorded one that it stands for.
    """

    at: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    session: str = ""
    user: str = ""
    inference: str = ""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Arrivals in order. `disordered` rows came before one that stood above them; `faults` are rows left out, by line.

    `began` is when the first came (microseconds since 1970, UTC), 0 where that means nothing.
    """

    source: str
    arrivals: tuple[Arrival, ...]
    disordered: int = 0
    faults: tuple[str, ...] = ()
    began: int = 0

    @property
    def gaps(self) -> list[float]:
        """Return the silences in seconds that are so long that the record, and not the traffic, may have stopped."""
        if not self.began or len(self.arrivals) < 3:
            return []
        waits = np.diff(np.array([arrival.at for arrival in self.arrivals]))
        bound = max(LEAST_SILENCE, SILENCE * float(np.median(waits)))
        return [float(wait) / SECOND for wait in waits[waits > bound]]

    def busiest(self, count: int) -> tuple[Arrival, ...]:
        """Return the `count` consecutive arrivals that took the least time, counted from the first of them."""
        if count >= len(self.arrivals):
            return self.arrivals
        at = np.array([arrival.at for arrival in self.arrivals])
        start = int(np.argmin(at[count - 1 :] - at[: len(at) - count + 1]))
        return tuple(
            msgspec.structs.replace(arrival, at=arrival.at - int(at[start]))
            for arrival in self.arrivals[start : start + count]
        )


def read_trace(path: Path) -> Trace:
    """Read a CSV `TIMESTAMP,ContextTokens,GeneratedTokens`; times without a zone are UTC.

    Rows that cannot be read are left out and named in `faults`, as `file:line: what is wrong`. Raise FaultyFile where
    the columns are missing, NotMeasured where there is no file or not a single good row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return _read(path.name, lines)
    except (OSError, UnicodeDecodeError) as fault:
        raise NotMeasured(f"cannot read the trace {path}: {fault}", hint="name a CSV file of arrivals") from None


def recorded(rows: Iterable[Mapping[str, Any]]) -> Trace:
    """Return the trace of live traffic in rows of the table `inferences`, in whatever order; a flag is no request.

    A unit's requests without a pause longer than `PAUSE` are one session. Raise NotMeasured where there is none.
    """
    found: list[Arrival] = []
    last: dict[str, tuple[int, int]] = {}
    live = [row for row in rows if row.get("source") == "live" and row.get("surface") != "flag"]
    for row in sorted(live, key=lambda row: row["at"]):
        unit, session = row.get("unit") or "", ""
        if unit:
            before, number = last.get(unit, (row["at"], 0))
            number += row["at"] - before > PAUSE
            last[unit] = row["at"], number
            session = f"{unit}.{number}"
        counted = bool(row.get("counted"))
        sizes = (row.get("input_tokens"), row.get("output_tokens")) if counted else (None, None)
        found.append(Arrival(row["at"], *sizes, session, unit, row.get("id") or ""))
    if not found:
        raise NotMeasured(
            "the gateway has recorded no live request of this use case yet", hint="give a CSV file with --trace FILE"
        )
    return _trace("recorded events", found)


def _read(name: str, lines: Iterable[str]) -> Trace:
    rows = csv.DictReader(lines)
    lacking = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if rows.fieldnames and lacking:
        raise FaultyFile(
            [f"{name}:1: no column {', '.join(lacking)}; the first line is {','.join(COLUMNS)}"],
            outcome="nothing was replayed",
        )
    found: list[Arrival] = []
    faults: list[str] = []
    disordered, latest = 0, 0
    for row in rows:
        try:
            arrival = Arrival(
                _time(row["TIMESTAMP"] or ""),
                _tokens(row, "ContextTokens"),
                _tokens(row, "GeneratedTokens"),
                (row.get(SESSION) or "").strip(),
                (row.get(USER) or "").strip(),
            )
        except ValueError as fault:
            faults.append(f"{name}:{rows.line_num}: {fault}")
            continue
        disordered += arrival.at < latest
        latest = max(latest, arrival.at)
        found.append(arrival)
    if not found:
        raise NotMeasured(
            f"the trace {name} has no arrival in it"
            + (f"; {len(faults)} rows could not be read, first {faults[0]}" if faults else ""),
            hint=f"a line such as 2026-03-01 09:00:00.1234567,374,44 under {','.join(COLUMNS)}",
        )
    return _trace(name, found, disordered, tuple(faults))


def _trace(name: str, found: list[Arrival], disordered: int = 0, faults: tuple[str, ...] = ()) -> Trace:
    found.sort(key=lambda arrival: arrival.at)
    first = found[0].at
    arrivals = tuple(msgspec.structs.replace(arrival, at=arrival.at - first) for arrival in found)
    return Trace(source=name, arrivals=arrivals, disordered=disordered, faults=faults, began=first)


def _time(text: str) -> int:
    """Return microseconds since 1970; digits of the fraction beyond the sixth are cut off."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        msg = f"{text!r} is not a time; write it as 2026-03-01 09:00:00.1234567"
        raise ValueError(msg)
    date, time, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{time}{zone or '+00:00'}")
    whole = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return whole * SECOND + int((fraction or "0")[:6].ljust(6, "0"))


def _tokens(row: dict[str, str], column: str) -> int:
    text = row[column]
    if text is None or not text.strip().isdecimal():
        msg = f"{column} is {text!r}; write a whole number"
        raise ValueError(msg)
    return int(text)
