"""Signed evidence for the way from one workspace to another: an in-toto statement in a DSSE envelope. Pure.

in-toto Statement v1 (github.com/in-toto/attestation, spec/v1/statement.md): its subjects are the releases, by name and
SHA-256 of their content; its predicate holds the facts and the charter that they were measured for. The envelope (DSSE,
github.com/secure-systems-lab/dsse, protocol.md) signs, with Ed25519,

    PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body

where LEN is the length in bytes as a decimal number.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pilotage.errors import Tampered, WrongCall
from pilotage.governance.checkpoint import verifier
from pilotage.records import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.spec.verifier_key import VerifierKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:pilotage:evidence:v1"
LONGEST = 16 << 20
"""Bytes of an envelope that are read at most."""
_HINT = "`pilotage evidence export` writes one; use the file as it was written"


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release, and `sha256` of its content."""

    name: str
    digest: dict[str, str]


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured of one use case under one charter, the newest of it `at` (microseconds)."""

    use_case: str
    charter: str
    at: int
    facts: tuple[Evidence, ...]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signed text."""

    type: str = msgspec.field(name="_type", default=STATEMENT)
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType", default=PREDICATE)
    predicate: Measured


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    payload: str
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[_Signature, ...]


def pae(kind: str, body: bytes) -> bytes:
    """Return what DSSE signs, so that neither part can be taken for the other."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)


def seal(statement: Statement, seed: bytes, name: str) -> str:
    """Return the envelope. `seed` is the key's 32 bytes, `name` its name."""
    body = msgspec.json.encode(statement, order="deterministic")
    key = verifier(seed, name)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(pae(PAYLOAD_TYPE, body))
    envelope = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": _key_id(key), "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope, indent=1) + "\n"


def unseal(text: str, trusted: Mapping[str, VerifierKey]) -> tuple[str, Statement]:
    """Return who of the trusted signed an envelope, by the name given here, and what it says.

    Nothing of the payload is read before a signature of a trusted key was found to hold. Raise WrongCall for what is no
    envelope of ours, Tampered where no trusted key signed it as it is.
    """
    if len(text.encode(errors="replace")) > LONGEST:
        raise WrongCall(f"the bundle is longer than {LONGEST:,} bytes", hint=_HINT)
    envelope: _Envelope = _decoded(text, _Envelope, "no bundle of evidence")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise WrongCall(f"the bundle holds {envelope.payload_type[:100]!r}, not {PAYLOAD_TYPE}", hint=_HINT)
    body = _bytes(envelope.payload)
    signed = pae(envelope.payload_type, body)
    for signature in envelope.signatures:
        for name, key in trusted.items():
            if _holds(key, _bytes(signature.sig), signed):
                statement: Statement = _decoded(body.decode(), Statement, "no statement about evidence")
                if (statement.type, statement.predicate_type) != (STATEMENT, PREDICATE):
                    raise WrongCall("the bundle's statement is of another kind", hint=_HINT)
                return name, statement
    by = ", ".join(signature.keyid[:100] for signature in envelope.signatures) or "nobody"
    known = {_key_id(key): name for name, key in trusted.items()}
    if altered := [known[signature.keyid] for signature in envelope.signatures if signature.keyid in known]:
        raise Tampered(f"the bundle is not what {altered[0]} signed", hint="it was altered since; export it again")
    raise Tampered(
        f"no key that the rules trust signed the bundle (it says: {by})",
        hint=f"[evidence_from] of organisation.toml trusts: {', '.join(trusted) or 'nobody'}",
    )


def _key_id(key: VerifierKey) -> str:
    return f"{key.name}+{key.key_id.hex()}"


def _holds(key: VerifierKey, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _decoded(text: str, kind: type[Any], what: str) -> Any:
    try:
        # A key that stands twice means one thing to one reader and another to the next.
        return msgspec.convert(json.loads(text, object_pairs_hook=_once), kind)
    except (ValueError, RecursionError) as fault:
        raise WrongCall(f"this is {what}: {str(fault)[:300]}", hint=_HINT) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key stands twice in one object"
        raise ValueError(msg)
    return found
