"""Checkpoints: what the ledger was at one moment, signed, to be kept where whoever holds the workspace cannot reach.

A chain shows an altered entry. It cannot show that its end was cut off, or that somebody who holds the workspace wrote all
of it anew: the shorter or newer chain is whole. A checkpoint kept elsewhere (a file, a git tag, another team's system)
can: the ledger must still hold the entry that it names, with that digest.

The form is the signed note of C2SP (c2sp.org/signed-note, tlog-checkpoint): a text of three lines - origin, number of
entries, digest of the newest in base64 - an empty line, and a signature line

    — NAME BASE64(key id (4 bytes) || Ed25519 signature (64 bytes))

with the key's id as `spec.verifier_key` has it. The text ends with its line break. The
third line differs from a transparency log's in what it digests: the newest entry of a chain, not the root of a tree.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pilotage.errors import Tampered, WrongCall
from pilotage.spec.verifier_key import VerifierKey

ORIGIN = "pilotage/ledger"
_DASH = "\N{EM DASH}"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_LONGEST = 64 << 10
"""Characters of a note that are read at most: one with more signatures than anybody needs is no checkpoint."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The ledger had `entries` entries, the newest with this digest (64 hex digits); `signer` names the key."""

    entries: int
    digest: str
    signer: str


def sign(seed: bytes, name: str, entries: int, digest: str) -> str:
    """Return a signed checkpoint. `seed` is the key's 32 bytes, `name` its name (no spaces, no plus)."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    text = f"{ORIGIN}\n{entries}\n{base64.b64encode(bytes.fromhex(digest)).decode()}\n"
    signature = base64.b64encode(verifier(seed, name).key_id + key.sign(text.encode())).decode()
    return f"{text}\n{_DASH} {name} {signature}\n"


def verifier(seed: bytes, name: str) -> VerifierKey:
    """Return the public key of a seed."""
    return VerifierKey(name, Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def read(note: str, trusted: str) -> Checkpoint:
    """Return a checkpoint whose signature by `trusted` (a verifier key) holds.

    Raise WrongCall where the note or the key is no such thing, Tampered where the signature is not this key's.
    """
    key = _verifier_key(trusted)
    name = key.name
    text, _, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if (
        len(note) > _LONGEST
        or not signatures
        or len(lines) < 3
        or lines[0] != ORIGIN
        or not _NUMBER.fullmatch(lines[1])
    ):
        raise WrongCall("this is no checkpoint of a ledger", hint="`pilotage ledger checkpoint` writes one")
    digest = _base64(lines[2])
    if len(digest) != 32:
        raise WrongCall("the checkpoint's third line is no SHA-256 in base64", hint="use the file as it was written")
    for line in signatures.split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        signature = _base64(encoded)
        if dash != _DASH or signer != name or signature[:4] != key.key_id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature[4:], f"{text}\n".encode())
        except InvalidSignature:
            raise Tampered(
                f"the checkpoint's signature is not {name}'s", hint="it was altered since it was signed"
            ) from None
        return Checkpoint(int(lines[1]), digest.hex(), name)
    raise Tampered(
        f"no signature of {name} ({key.key_id.hex()}) is on the checkpoint",
        hint="it belongs to another workspace or key",
    )


def _verifier_key(text: str) -> VerifierKey:
    try:
        return VerifierKey.read(text)
    except ValueError as fault:
        raise WrongCall(str(fault), hint="`pilotage ledger checkpoint` prints it") from None


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
