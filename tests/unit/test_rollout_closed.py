from __future__ import annotations

import random

import pytest

from pilotage.counting import closed
from pilotage.counting.closed import Closed, Past


def test_it_holds_what_was_added_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed, "RUN", 16)
    generator = random.Random(3)
    known, members = Closed(), set[int]()
    for _ in range(400):
        new = {generator.getrandbits(64) for _ in range(generator.randrange(30))} - members
        known.add(new)
        members |= new
        asked = [*generator.sample(sorted(members), min(5, len(members))), generator.getrandbits(64), 0, 2**64 - 1]
        assert sorted(known.among(asked)) == sorted(one for one in asked if one in members)
    assert len(known) == len(members)
    assert all(one in known for one in list(members)[:50])
    assert generator.getrandbits(64) not in known
    # Eight bytes each, in few runs.
    assert known.memory <= 8 * len(members)
    assert len(known._runs) <= (len(members) // 16).bit_length() + 1


def test_the_past_is_remembered_for_a_while() -> None:
    past = Past(remembered=10)
    for one in range(25):
        past.add(one)
        assert one in past
    assert 24 in past
    assert 15 in past
    assert 9 not in past
