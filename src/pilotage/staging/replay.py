"""An open loop: requests leave on schedule, whether or not earlier ones have come back.

A closed loop, which waits for an answer before it sends again, slows down with the server and so leaves out the very
requests that would have waited (coordinated omission). Here latency counts from the scheduled time, not the actual one.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import PATIENCE, SHORT, Reply, reply_of
from pilotage.staging.bell import Bell
from pilotage.staging.sender import Raw, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SWEEP = 0.5
"""Seconds between two looks for requests that nobody would wait for any longer."""
READY = 16
"""Connections that are opened before the first request is due."""
TOLD = 100
"""How many times progress is told, at most."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request to come: seconds after the start, what is asked, and by whom."""

    at: float
    messages: Sequence[dict[str, Any]]
    unit: str = ""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One replayed request; seconds after the start of the replay."""

    scheduled: float
    started: float
    finished: float
    reply: Reply

    @property
    def slip(self) -> float:
        """Return how late the sender was."""
        return self.started - self.scheduled

    @property
    def latency(self) -> float:
        """Return what a user who came on schedule would have waited."""
        return self.finished - self.scheduled


async def replay(
    gateway: str,
    key: str,
    release: str,
    asks: Sequence[Ask],
    progress: Callable[[int, int], None],
    *,
    begun: Callable[[float], None] | None = None,
    patience: float = PATIENCE,
) -> list[Sent]:
    """Send each request at its time; return them in that order when the last has come back.

    `begun` is told the start, by `time.monotonic`: a loop's own clock may stand still for the length of a turn. Raise Denied or NotFound where the gateway refuses the key or does not
    know the release: so it will be for all.
    """
    finished = asyncio.Event()
    done, step = 0, max(1, len(asks) // TOLD)

    def ended(raw: Raw) -> None:
        nonlocal done
        done += 1
        if done == len(asks) or raw.status in (401, 403, 404):
            finished.set()
        if done % step == 0 or done == len(asks):
            progress(done, len(asks))

    sender = Sender(gateway, patience, ended)
    messages = _messages(sender.host, gateway, key, release, asks)
    raws: list[Raw] = []
    # A collection of everything that lives would hold up whatever is due meanwhile.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        await sender.open(min(READY, len(asks)))
        begin = time.monotonic()
        if begun is not None:
            begun(begin)
        swept = begin
        index, count = 0, len(asks)
        with Bell() as bell:
            while not finished.is_set() or index < count:
                now = time.monotonic()
                while index < count and begin + asks[index].at <= now:
                    raw = Raw(messages[index], now)
                    raws.append(raw)
                    sender.ask(raw)
                    index += 1
                    now = time.monotonic()
                if now - swept > SWEEP:
                    swept = now
                    sender.sweep()
                if finished.is_set() and done < count:
                    break
                if index < count:
                    await bell.until(min(begin + asks[index].at, now + SWEEP))
                else:
                    await _either(finished, SWEEP)
    finally:
        gc.enable()
        gc.unfreeze()
        sender.close()
    return [
        Sent(
            scheduled=ask.at,
            started=raw.started - begin,
            finished=raw.finished - begin,
            reply=_reply(raw, release),
        )
        for ask, raw in zip(asks, raws, strict=False)
        if raw.finished
    ]


async def _either(finished: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await finished.wait()
    except TimeoutError:
        pass


def _messages(host: str, gateway: str, key: str, release: str, asks: Sequence[Ask]) -> list[bytes]:
    """Return each request as it goes over the wire."""
    path = gateway.partition("://")[2].partition("/")[2].strip("/").removesuffix("v1").strip("/")
    head = (
        f"POST {'/' + path if path else ''}/v1/chat/completions HTTP/1.1\r\nhost: {host}\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\nx-pilotage-source: replay\r\n"
    ).encode()
    made: dict[int, bytes] = {}
    found = []
    for ask in asks:
        known = id(ask.messages)
        if known not in made:
            made[known] = msgspec.json.encode({"model": release, "messages": ask.messages})
        unit = f"x-pilotage-unit: {ask.unit}\r\n".encode() if ask.unit else b""
        body_bytes = made[known]
        found.append(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, unit, len(body_bytes), body_bytes))
    return found


def _reply(raw: Raw, release: str) -> Reply:
    latency = raw.finished - raw.started
    if not raw.status:
        return Reply(latency=latency, error=raw.error[:SHORT])
    return reply_of(raw.status, raw.headers, raw.body, latency, release)
