"""Answers kept for the same question: exactly the same, to the same release, by default for the same unit alone."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from pilotage.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pilotage.serving.exposure import Exposure
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.relay import Relay
    from pilotage.serving.request import Request
    from pilotage.spec.release import CacheRules
    from pilotage.spec.route import Route

_SURFACES = frozenset({"chat", "messages", "responses", "embeddings"})
_NO_PART = ("user", "safety_identifier", "metadata", "model", "stream")
"""Who asks and by which name; whether as a stream is said apart."""
_STATE = ("previous_response_id", "conversation", "background")
_TOOLS = ("tools", "functions")
_HELD_BACK = "content_filter"
_MOST_OF_ROOM = 8
"""An answer that would take more than this part of a release's room is not kept."""
_OVERHEAD, _PIECE = 400, 50
"""Bytes that an answer, and each piece of it, takes beside its own."""


class Kept(NamedTuple):
    """An answer as its caller got it, in the pieces in which it went out, and what the record says of it."""

    pieces: tuple[bytes, ...]
    content_type: str
    until: float
    model: str
    finish_reason: str
    text: str

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces)) + len(self.pieces) * _PIECE + len(self.text) + _OVERHEAD


class Shelf:
    """One release's answers, the one that was asked for longest ago first."""

    def __init__(self, rules: CacheRules, now: Callable[[], float]) -> None:
        self.rules = rules
        self._now = now
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._size = 0
        self.until = 0.0
        """When the last of them is too old."""

    @property
    def size(self) -> int:
        return self._size

    def get(self, key: bytes) -> Kept | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until <= self._now():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, kept: Kept) -> None:
        room = self.rules.megabytes << 20
        if kept.size > room // _MOST_OF_ROOM:
            return
        if key in self._kept:
            self._drop(key)
        self._kept[key] = kept
        self._size += kept.size
        self.until = max(self.until, kept.until)
        while self._size > room:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self._size -= self._kept.pop(key).size


class Place(NamedTuple):
    """Where the answer to one request is kept, or will be."""

    shelf: Shelf
    key: bytes
    until: float

    def get(self) -> Kept | None:
        return self.shelf.get(self.key)

    def keep(self, pieces: tuple[bytes, ...], content_type: str, outcome: Outcome) -> None:
        """Keep a whole answer of the assigned release; anything else is not kept, nor what somebody held back."""
        if outcome.error or outcome.reference != outcome.assigned or outcome.finish_reason == _HELD_BACK:
            return
        made = Kept(pieces, content_type, self.until, outcome.model, outcome.finish_reason, outcome.reply)
        self.shelf.put(self.key, made)


class Cache:
    """One worker's, in its memory alone: what is kept goes with the process, and is out of date after its time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._shelves: dict[str, Shelf] = {}
        self._forgotten: dict[str, int] = {}
        self.hits = self.misses = 0

    @property
    def size(self) -> int:
        return sum(shelf.size for shelf in self._shelves.values())

    def place(self, exposure: Exposure, request: Request) -> Place | None:
        """Return where this request's answer is kept; None where it is not to be."""
        assigned = exposure.assignment
        rules = assigned.release.cache
        if rules is None or assigned.arm == "pinned" or exposure.source != "live" or not _repeats(request, rules):
            return None
        if not (exposure.unit or rules.shared) or assigned.reference in exposure.route.barred:
            return None
        self._forget(exposure.route)
        if not exposure.route.caches:
            return None
        shelf = self._shelves.get(assigned.reference)
        if shelf is None:
            now = self._now()
            # What serves no more is not asked for any more, so nobody else would find it too old.
            self._shelves = {name: kept for name, kept in self._shelves.items() if kept.until > now}
            shelf = self._shelves[assigned.reference] = Shelf(rules, self._now)
        key = _key(request, "" if rules.shared else exposure.unit)
        return Place(shelf, key, self._now() + rules.ttl / SECOND)

    def _forget(self, route: Route) -> None:
        """Drop all answers of a use case of which a unit was erased, for whose is whose nobody can tell, or which may keep none."""
        if route.forgotten != self._forgotten.get(route.use_case, 0) or not route.caches:
            self._forgotten[route.use_case] = route.forgotten
            own = f"{route.use_case}/"
            self._shelves = {name: kept for name, kept in self._shelves.items() if not name.startswith(own)}

    def look(self, place: Place) -> Kept | None:
        found = place.get()
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found


class Replayed:
    """A stream as it went out before."""

    status = 200
    cache = "hit"

    def __init__(self, kept: Kept, outcome: Outcome) -> None:
        self._kept, self._outcome = kept, outcome
        self.content_type = kept.content_type
        self.served, self.error, self.last = outcome.assigned, "", False

    async def open(self) -> None:
        """Do nothing: it is whole."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._outcome.finish(self.status, cancelled=True)

    async def events(self) -> AsyncIterator[bytes]:
        *pieces, ending = self._kept.pieces
        for piece in pieces:
            yield piece
        self._outcome.finish(self.status)
        self.last = True
        yield ending


class Keeping:
    """Passes a stream on and keeps it when it was whole."""

    cache = "miss"

    def __init__(self, relay: Relay, place: Place, outcome: Outcome) -> None:
        self._relay, self._place, self._outcome = relay, place, outcome
        self.served, self.error = relay.served, relay.error
        self.status, self.content_type = relay.status, relay.content_type
        self.last = False

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def __aenter__(self) -> Self:
        await self._relay.__aenter__()
        return self

    async def __aexit__(self, *told: object) -> None:
        await self._relay.__aexit__(*told)

    async def events(self) -> AsyncIterator[bytes]:
        pieces: list[bytes] = []
        async for piece in self._relay.events():
            pieces.append(piece)
            if self._relay.last and not self.last:
                self.last = True
                self._place.keep(tuple(pieces), self.content_type, self._outcome)
            yield piece


def _repeats(request: Request, rules: CacheRules) -> bool:
    """Return whether the same request may be answered alike."""
    body = request.body
    if request.surface not in _SURFACES or any(body.get(name) for name in _STATE):
        return False
    return rules.tools or not any(body.get(name) for name in _TOOLS)


def _key(request: Request, unit: str) -> bytes:
    """Return the digest of all that was asked, whoever asks and in whatever order the fields came.

    The release's prompt and parameters are the shelf's, and what a prompt sees of a request is in here.
    """
    asked = {name: value for name, value in request.everything.items() if name not in _NO_PART and value is not None}
    said = msgspec.json.encode([request.surface, unit, request.stream, asked], order="deterministic")
    return blake2b(said, digest_size=16).digest()
