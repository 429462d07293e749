"""Who may do what: roles, and keys that are stored only as digests."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "plt"
_BLOCK = 64
"""Bytes of SHA-256's block."""
MOST_FAILURES = 50
"""Bad keys of one address within `FAILURE_SECONDS`; then it is not listened to until those are over."""
FAILURE_SECONDS = 60.0
_ADDRESSES = 10_000


class Role(StrEnum):
    INFER = "infer"
    FEEDBACK = "feedback"
    OPERATE = "operate"
    APPROVE = "approve"
    ADMIN = "admin"


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as stored: `digest` is SHA-256 of the secret (256 random bits, so a slow hash would add nothing).

    `use_cases` empty means all. `expires` and `revoked` are microseconds, 0 for never. `person` is who answers for what is
    done with it, `successor` the key that took its place when it was rotated, `makers` are the people through whose hands it came, each of whom could have kept its secret.
    The last of it is what may be asked with it and what that may cost, over all use cases: in millionths of `currency`, 0
    for no limit.
    """

    id: str
    name: str
    digest: str
    roles: tuple[Role, ...]
    created: int
    use_cases: tuple[str, ...] = ()
    expires: int = 0
    revoked: int = 0
    person: str = ""
    makers: tuple[str, ...] = ()
    requests_a_minute: int = 0
    tokens_a_minute: int = 0
    a_day: int = 0
    a_month: int = 0
    currency: str = "EUR"
    successor: str = ""

    @property
    def limited(self) -> bool:
        return bool(self.requests_a_minute or self.tokens_a_minute or self.a_day or self.a_month)

    def allows(self, role: Role, use_case: str = "", *, now: int) -> bool:
        """Return whether this key may act as `role` on `use_case` at `now` (microseconds)."""
        return lives(self, now) and self.may(role, use_case)

    def may(self, role: Role, use_case: str = "") -> bool:
        """Return the same of a key that lives."""
        if self.use_cases and use_case and use_case not in self.use_cases:
            return False
        return role in self.roles or Role.ADMIN in self.roles


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something: `key:<id>`, `local:<name>` for a command on the workspace itself, or `controller`.

    `person` is who stands behind it, itself unless given; `makers` as in `Key`.
    """

    id: str
    roles: tuple[Role, ...]
    use_cases: tuple[str, ...] = ()
    person: str = ""
    makers: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        return self.person or self.id

    def allows(self, role: Role, use_case: str = "") -> bool:
        if self.use_cases and use_case not in self.use_cases:
            return False
        return role in self.roles or Role.ADMIN in self.roles


def lives(key: Key, now: int) -> bool:
    """Return whether a key is neither revoked nor expired at `now` (microseconds)."""
    return not key.revoked and not (key.expires and now >= key.expires)


def actor_of(key: Key) -> Actor:
    return Actor(id=f"key:{key.id}", roles=key.roles, use_cases=key.use_cases, person=key.person, makers=key.makers)


def new_secret() -> tuple[str, str]:
    """Return (key id, secret as the caller presents it); the secret is shown once and never stored."""
    key_id = secrets.token_hex(6)
    return key_id, f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_id_of(secret: str) -> str:
    """Return the id within a presented secret, or an empty string where it has not the form of a key."""
    prefix, _, rest = secret.partition("_")
    key_id, _, tail = rest.partition("_")
    return key_id if prefix == PREFIX and tail else ""


def matches(key: Key, secret: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(key.digest, digest(secret))


def keyed(secret: bytes, *parts: str) -> str:
    """Return 32 hex digits of HMAC-SHA256 over length-prefixed parts: unit digests, business keys and MACs of ids."""
    inner, outer = _begun(secret)
    inner, outer = inner.copy(), outer.copy()
    message = b""
    for part in parts:
        data = part.encode()
        message += len(data).to_bytes(4, "big") + data
    inner.update(message)
    outer.update(inner.digest())
    return outer.hexdigest()[:32]


@lru_cache(maxsize=16)
def _begun(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """Return HMAC's two hashes (RFC 2104) with the secret in them: begun once, copied for each message."""
    key = (secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()).ljust(_BLOCK, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in key)), hashlib.sha256(bytes(byte ^ 0x5C for byte in key))


class Failures:
    """Counts bad keys by address, of which it remembers the latest. A good key is not counted, and forgives nothing."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Return for how many seconds this address is not listened to; 0 where it is."""
        since, count = self._counts.get(address, (0.0, 0))
        left = since + FAILURE_SECONDS - self._now()
        return max(1, int(left)) if count >= MOST_FAILURES and left > 0 else 0

    def failed(self, address: str) -> None:
        since, count = self._counts.get(address, (self._now(), 0))
        if self._now() - since >= FAILURE_SECONDS:
            since, count = self._now(), 0
        self._counts[address] = since, count + 1
        self._counts.move_to_end(address)
        if len(self._counts) > _ADDRESSES:
            self._counts.popitem(last=False)
