"""Faults on a schedule: what goes wrong while a trace is replayed, and what that did to users."""

from __future__ import annotations

import asyncio
import json
import time
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from pilotage.errors import FaultyFile, NotMeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.staging.replay import Sent

DEFAULT = "default"
KINDS = ("outage", "slow", "rate_limit", "malformed", "worker")
WORKER = "worker"
GOOD_AGAIN = 5
"""Good answers in a row after which the candidate counts as recovered."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault; `at` and `lasts` are shares of the replay's time, `factor` is how many times as slow."""

    kind: str
    at: float
    lasts: float = 0.0
    factor: float = 10.0


class Breakable(Protocol):
    """What can be made to fail."""

    async def provider(self, kind: str, factor: float) -> None:
        """Make the candidate's provider fail so, or with an empty kind be well again."""

    def kill_worker(self) -> None: ...


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What users saw of one fault. Seconds are of the replay; `recovered` is after its end, None where it never came."""

    kind: str
    begins: float
    ends: float
    requests: int
    failed: int
    fallback: int
    slow: int
    recovered: float | None


def read_faults(name: str) -> tuple[Fault, ...]:
    """Read a schedule: a TOML file, or `default`; raise FaultyFile with all that is wrong in it, NotMeasured without one."""
    try:
        if name == DEFAULT:
            text = (resources.files("pilotage.staging") / "faults.toml").read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as fault:
        raise NotMeasured(f"cannot read the faults {name}: {fault}", hint="name a TOML file, or `default`") from None
    except tomllib.TOMLDecodeError as fault:
        raise FaultyFile([f"{name}: {fault}"], outcome="nothing was replayed") from None
    given = tables.get("faults")
    if set(tables) != {"faults"} or not isinstance(given, list) or not given:
        right = '[[faults]], each with kind = "outage", at = 0.3 and lasts = 0.1'
        raise FaultyFile([f"{name}: holds no faults, or something else; write {right}"], outcome="nothing was replayed")
    found, wrong = [], []
    for number, table in enumerate(given, 1):
        try:
            made = msgspec.convert(table, Fault)
        except msgspec.ValidationError as mistake:
            wrong.append(f"{name}: fault {number}: {mistake}")
            continue
        wrong += [f"{name}: fault {number}: {says}" for says in _mistakes(made)]
        found.append(made)
    if wrong:
        raise FaultyFile(wrong, outcome="nothing was replayed")
    return tuple(sorted(found, key=lambda fault: fault.at))


def _mistakes(fault: Fault) -> list[str]:
    found = []
    if fault.kind not in KINDS:
        found.append(f"kind is {fault.kind!r}; it is one of {', '.join(KINDS)}")
    if not 0 <= fault.at < 1:
        found.append(f"at is {fault.at:g}; it is a share of the replay's time, from 0 to below 1")
    if fault.kind != WORKER and not 0 < fault.lasts <= 1 - fault.at:
        found.append(
            f"lasts is {fault.lasts:g}; it is a share of the replay's time, above 0 and up to {1 - fault.at:g}"
        )
    if not fault.factor > 1:
        found.append(f"factor is {fault.factor:g}; it is above 1")
    return found


async def inflict(faults: Sequence[Fault], seconds: float, begin: float, what: Breakable) -> None:
    """Let every fault happen at its time; `begin` is when the replay started, by `time.monotonic`."""

    async def one(fault: Fault) -> None:
        await asyncio.sleep(max(0.0, begin + fault.at * seconds - time.monotonic()))
        if fault.kind == WORKER:
            what.kill_worker()
            return
        await what.provider(fault.kind, fault.factor)
        await asyncio.sleep(max(0.0, begin + (fault.at + fault.lasts) * seconds - time.monotonic()))
        await what.provider("", 1.0)

    await asyncio.gather(*map(one, faults))


def seen(faults: Sequence[Fault], seconds: float, sent: Sequence[Sent], release: str, limit: float) -> list[Seen]:
    """Return what users saw of each fault: those who came from its begin until it was over for users, or the next began.

    A request is slow beyond `limit` seconds. Recovered is when the first of `GOOD_AGAIN` good answers in a row was asked for.
    """
    found = []
    for index, fault in enumerate(faults):
        begins, ends = fault.at * seconds, (fault.at + fault.lasts) * seconds
        later = [other.at * seconds for other in faults[index + 1 :] if other.at * seconds > begins]
        until = min(later, default=float("inf"))
        met = [one for one in sent if begins <= one.scheduled < until]
        recovered = _recovered(met, ends, release, limit)
        over = until if recovered is None else ends + recovered
        met = [one for one in met if one.scheduled < max(over, ends)]
        found.append(
            Seen(
                kind=fault.kind,
                begins=round(begins, 3),
                ends=round(ends, 3),
                requests=len(met),
                failed=sum(failed(one) for one in met),
                fallback=sum(fell_back(one, release) for one in met),
                slow=sum(one.latency > limit and not failed(one) for one in met),
                recovered=recovered,
            )
        )
    return found


def failed(one: Sent) -> bool:
    """Return whether the user got no answer at all."""
    return bool(one.reply.error) and not (one.reply.status == 200 and one.reply.release)


def fell_back(one: Sent, release: str) -> bool:
    return one.reply.status == 200 and bool(one.reply.release) and one.reply.release != release


def _recovered(met: Sequence[Sent], ends: float, release: str, limit: float) -> float | None:
    after = [one for one in met if one.scheduled >= ends]
    row: list[Sent] = []
    for one in after:
        good = not failed(one) and not fell_back(one, release) and one.latency <= limit
        row = [*row, one] if good else []
        if len(row) == min(GOOD_AGAIN, len(after)):
            return round(max(0.0, row[0].scheduled - ends), 3)
    return None


def as_data(found: Sequence[Seen]) -> list[dict[str, Any]]:
    return [json.loads(msgspec.json.encode(one)) for one in found]
