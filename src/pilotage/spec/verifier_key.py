"""Public keys as C2SP writes them (c2sp.org/signed-note): NAME+KEYID+BASE64(0x01 || Ed25519 public key)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

_ED25519 = b"\x01"


class VerifierKey(NamedTuple):
    """Who signs (no spaces, no plus), and the 32 bytes with which a signature is checked. It is no secret."""

    name: str
    public: bytes

    @classmethod
    def read(cls, text: str) -> VerifierKey:
        """Raise ValueError where a text is no such key, or its key id does not fit."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        found = cls(name, key[1:])
        if not name or len(key) != 33 or key[:1] != _ED25519 or found.key_id.hex() != key_id:
            msg = "the verifier key is not of the form NAME+KEYID+KEY, or its key id does not fit"
            raise ValueError(msg)
        return found

    @property
    def key_id(self) -> bytes:
        """Return the first 4 bytes of SHA-256(NAME || 0x0A || 0x01 || public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"
