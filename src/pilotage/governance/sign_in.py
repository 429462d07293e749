"""Who a token of the organisation's identity provider stands for: the token checked, its groups made into roles.

OpenID Connect's tokens are signed JSON (RFC 7515, 7519); the keys come as a JWK set (RFC 7517, 8037).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pilotage.access import Actor, Role
from pilotage.errors import Denied
from pilotage.governance.people import SIGNED_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.spec.organisation import Organisation
    from pilotage.spec.trust import SignIn

LONGEST = 16 << 10
LEEWAY = 60
"""Seconds by which two clocks may differ."""
_SMALLEST_RSA = 2048
_KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""Algorithms that are taken, with the kind of key of each. None is a shared secret, and none is no signature at all."""


class Refusal(Exception):
    """Why a token is not good. It is for the log; whoever presented it learns only that it is not."""


def looks_signed(secret: str) -> bool:
    """Return whether this has the form of a token rather than of a key."""
    return secret.startswith("ey") and secret.count(".") == 2


def claims_of(token: str, rules: SignIn, keys: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return what a good token says; raise Refusal otherwise. `keys` is the JWK set, `now` is in seconds."""
    if len(token) > LONGEST:
        raise Refusal("it is too long")
    try:
        head, body, mac = token.encode("ascii").split(b".")
        header, claims = _object(head), _object(body)
        signature = _bytes(mac)
    except ValueError as fault:
        raise Refusal(f"it is no token: {fault}") from None
    if "crit" in header:
        raise Refusal("it has critical extensions")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _KINDS:
        raise Refusal("its algorithm is not taken")
    key = _key(keys, header.get("kid"), algorithm)
    _check(key, algorithm, head + b"." + body, signature)
    _valid(claims, rules, now)
    return claims


def actor_of(claims: Mapping[str, Any], organisation: Organisation, rules: SignIn) -> Actor:
    """Return whom a good token stands for; raise Denied where none of its groups has a role.

    The first group of the file that the token bears decides, so that no group's roles reach another's use cases.
    """
    subject = str(claims["sub"])
    names = {subject}
    if claims.get("email_verified") is True and isinstance(claims.get("email"), str):
        names.add(claims["email"])
    person = next((name for name, one in organisation.people.items() if one.sign_in and one.sign_in in names), "")
    given = claims.get(rules.claim)
    groups = {group for group in given if isinstance(group, str)} if isinstance(given, list) else set()
    for group, grant in rules.groups.items():
        if group in groups:
            # Nobody's mail address or subject goes into the ledger.
            digest = hashlib.sha256(f"{rules.issuer}\0{subject}".encode()).hexdigest()[:16]
            return Actor(
                id=f"{SIGNED_IN}{person or digest}",
                roles=tuple(Role(role) for role in grant.roles),
                use_cases=grant.use_cases,
                person=person or digest,
            )
    raise Denied("none of your groups has a role here", hint="[sign_in.groups] in organisation.toml gives roles")


def _valid(claims: Mapping[str, Any], rules: SignIn, now: int) -> None:
    audience = claims.get("aud")
    meant = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    if claims.get("iss") != rules.issuer:
        raise Refusal("another issuer made it")
    if rules.audience not in meant:
        raise Refusal("it is for another audience")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Refusal("it says nothing of whom it stands for")
    ends, begins, made = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if not _seconds(ends) or now >= ends + LEEWAY:
        raise Refusal("it has expired")
    if begins is not None and (not _seconds(begins) or now < begins - LEEWAY):
        raise Refusal("it is not valid yet")
    if made is not None and (not _seconds(made) or now < made - LEEWAY):
        raise Refusal("it was made in the future")


def _seconds(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12


def _key(keys: Mapping[str, Any], kid: object, algorithm: str) -> Mapping[str, Any]:
    listed = keys.get("keys")
    fitting = [
        key
        for key in (listed if isinstance(listed, list) else [])
        if isinstance(key, dict)
        and key.get("kty") == _KINDS[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if len(fitting) != 1:
        raise Refusal("no key of the provider's, or more than one, is the one that signed it")
    return fitting[0]


def _check(key: Mapping[str, Any], algorithm: str, signed: bytes, signature: bytes) -> None:
    try:
        if algorithm in ("RS256", "PS256"):
            public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
            if public.key_size < _SMALLEST_RSA:
                raise Refusal("its key is too short")
            how: padding.AsymmetricPadding = padding.PKCS1v15()
            if algorithm == "PS256":
                how = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            public.verify(signature, signed, how, hashes.SHA256())
        elif algorithm == "ES256":
            if key.get("crv") != "P-256" or len(signature) != 64:
                raise Refusal("its key is on another curve")
            point = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1()).public_key()
            halves = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
            point.verify(encode_dss_signature(*halves), signed, ec.ECDSA(hashes.SHA256()))
        else:
            if key.get("crv") != "Ed25519":
                raise Refusal("its key is on another curve")
            ed25519.Ed25519PublicKey.from_public_bytes(_bytes(str(key["x"]).encode())).verify(signature, signed)
    except InvalidSignature:
        raise Refusal("its signature is not the provider's") from None
    except (KeyError, ValueError) as fault:
        raise Refusal(f"the provider's key cannot be used: {fault}") from None


def _number(value: object) -> int:
    return int.from_bytes(_bytes(str(value).encode()))


def _bytes(value: bytes) -> bytes:
    if b"=" in value or b"+" in value or b"/" in value:
        raise ValueError("not base64url")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error as fault:
        raise ValueError(str(fault)) from None


def _object(value: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(_bytes(value))
    except (msgspec.DecodeError, RecursionError) as fault:
        raise ValueError(str(fault)) from None
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 (what it says is wrong, not what was passed)
    return found
