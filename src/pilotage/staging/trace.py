"""When requests arrive: read from a recorded trace, or drawn from a day's profile."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.clock import DAY, HOUR, SECOND
from pilotage.errors import FaultyFile, NotMeasured

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
HOURLY = (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 7, 6, 6, 7, 7, 7, 6, 6, 6, 6, 5, 4, 3)
"""The default day: the share of requests in each hour, midnight first, as weights. People's waking hours, two peaks."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


class Arrival(msgspec.Struct, frozen=True):
    """One request: microseconds after the first one, and its size where the trace says it."""

    at: int
    input_tokens: int | None = None
    output_tokens: int | None = None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Arrivals in order. `disordered` rows came before one that stood above them; `faults` are rows left out, by line."""

    source: str
    arrivals: tuple[Arrival, ...]
    disordered: int = 0
    faults: tuple[str, ...] = ()

    def busiest(self, count: int) -> tuple[Arrival, ...]:
        """Return the `count` consecutive arrivals that took the least time, counted from the first of them."""
        if count >= len(self.arrivals):
            return self.arrivals
        at = np.array([arrival.at for arrival in self.arrivals])
        start = int(np.argmin(at[count - 1 :] - at[: len(at) - count + 1]))
        return tuple(
            Arrival(arrival.at - int(at[start]), arrival.input_tokens, arrival.output_tokens)
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


def daily_profile(requests_a_day: float, count: int, random: np.random.Generator) -> Trace:
    """Return a day or more of arrivals, at least about `count` of them, at random times that follow `HOURLY`.

    Within an hour arrivals are a Poisson process: independent, with no bursts of their own. A real trace has some.
    """
    weights = np.array(HOURLY) / sum(HOURLY)
    days = max(1, int(np.ceil(1.5 * count / requests_a_day)))
    number = np.maximum(random.poisson(requests_a_day, days), 1)
    hours = [random.choice(24, size, p=weights) for size in number]
    at = np.sort(
        np.concatenate(
            [day * DAY + (hour + random.random(len(hour))) * HOUR for day, hour in enumerate(hours)],
        )
    )
    return Trace(source="daily profile", arrivals=tuple(Arrival(int(time - at[0])) for time in at))


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
                _time(row["TIMESTAMP"] or ""), _tokens(row, "ContextTokens"), _tokens(row, "GeneratedTokens")
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
    found.sort(key=lambda arrival: arrival.at)
    first = found[0].at
    arrivals = tuple(Arrival(arrival.at - first, arrival.input_tokens, arrival.output_tokens) for arrival in found)
    return Trace(source=name, arrivals=arrivals, disordered=disordered, faults=tuple(faults))


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
