"""How much is kept, for how long, and what goes first."""

from __future__ import annotations

import random

from pilotage.serving.cache import Kept, Shelf
from pilotage.spec.release import CacheRules


def answer(size: int, until: float) -> Kept:
    return Kept((b"x" * size,), "application/json", until, "", "stop", "")


def test_it_never_takes_more_than_its_room_and_drops_what_was_asked_for_longest_ago() -> None:
    now = 0.0
    shelf = Shelf(CacheRules(ttl=1, megabytes=1), lambda: now)
    chance = random.Random(7)
    last: list[bytes] = []
    for number in range(3_000):
        key = b"%d" % (number if chance.random() < 0.8 else chance.randrange(number + 1))
        shelf.put(key, answer(chance.randrange(40_000), 10))
        assert shelf.size <= 1 << 20
        last.append(key)
    assert shelf.get(last[-1]) is not None
    assert shelf.get(b"0") is None


def test_what_is_too_old_or_too_large_is_not_there() -> None:
    now = [0.0]
    shelf = Shelf(CacheRules(ttl=1, megabytes=1), lambda: now[0])
    shelf.put(b"a", answer(10, 5))
    shelf.put(b"large", answer(200_000, 5))
    assert shelf.get(b"a") is not None
    assert shelf.get(b"large") is None
    now[0] = 5
    assert shelf.get(b"a") is None
    assert shelf.size == 0
