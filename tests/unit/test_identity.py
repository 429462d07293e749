"""Ids and keyed digests are what their standards say, however they are made."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest

from pilotage import access
from pilotage.clock import FrozenClock, new_id


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 64, b"y" * 65, bytes(range(256))])
@pytest.mark.parametrize("parts", [(), ("a",), ("use case", "ünit"), ("a", "", "b" * 500)])
def test_keyed_is_hmac_over_length_prefixed_parts(secret: bytes, parts: tuple[str, ...]) -> None:
    message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    assert access.keyed(secret, *parts) == hmac.new(secret, message, hashlib.sha256).hexdigest()[:32]


def test_parts_do_not_run_into_each_other() -> None:
    assert access.keyed(b"s", "ab", "c") != access.keyed(b"s", "a", "bc")


def test_ids_are_version_7_and_never_the_same() -> None:
    clock = FrozenClock()
    ids = [new_id(clock) for _ in range(2000)]
    assert len(set(ids)) == 2000
    for one in ids:
        assert len(one) == 32
        assert int(one[:12], 16) == clock.now() // 1000
        assert one[12] == "7"
        assert one[16] in "89ab"
    # Every other digit varies.
    assert all(len({one[place] for one in ids}) == 16 for place in range(32) if place > 12 and place != 16)


def test_a_forked_process_makes_ids_of_its_own() -> None:
    clock = FrozenClock()
    new_id(clock)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_id(clock).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        assert told.read().decode() != new_id(clock)
