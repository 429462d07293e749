"""Who may do what: roles, and keys that are stored only as digests."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from enum import StrEnum
from functools import lru_cache

import msgspec

PREFIX = "plt"
_BLOCK = 64
"""Bytes of SHA-256's block."""


class Role(StrEnum):
    INFER = "infer"
    FEEDBACK = "feedback"
    OPERATE = "operate"
    APPROVE = "approve"
    ADMIN = "admin"


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as stored: `digest` is SHA-256 of the secret (256 random bits, so a slow hash would add nothing).

    `use_cases` empty means all. `expires` and `revoked` are microseconds, 0 for never. `person` is who answers for what is
    done with it, `makers` are the people through whose hands it came, each of whom could have kept its secret.
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
