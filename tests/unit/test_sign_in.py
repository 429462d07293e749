"""Tokens of an identity provider: what is taken, what every forged one meets, and what groups may do."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pilotage.errors import Denied
from pilotage.governance.sign_in import Refusal, actor_of, claims_of
from pilotage.spec.organisation_file import read

NOW = 1_790_000_000
RULES = read(
    b"""
name = "T"
[people.grace]
roles = ["risk"]
sign_in = "grace@example.org"
[sign_in]
issuer = "https://id.example.org"
audience = "pilotage"
jwks = "https://id.example.org/keys"
[sign_in.groups.admins]
roles = ["admin"]
[sign_in.groups.care]
roles = ["operate", "approve"]
use_cases = ["support"]
"""
).organisation
SIGN_IN = RULES.sign_in
assert SIGN_IN is not None
CLAIMS = {
    "iss": "https://id.example.org",
    "aud": ["pilotage", "other"],
    "sub": "u-1",
    "exp": NOW + 300,
    "iat": NOW,
    "groups": ["care"],
    "email": "grace@example.org",
    "email_verified": True,
}
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = ed25519.Ed25519PrivateKey.generate()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


_rsa, _ec = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
KEYS: dict[str, Any] = {
    "keys": [
        {"kty": "RSA", "kid": "r", "use": "sig", "n": number(_rsa.n), "e": number(_rsa.e)},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(_ec.x.to_bytes(32)), "y": b64(_ec.y.to_bytes(32))},
        {"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": b64(raw(ED))},
        {"kty": "OKP", "kid": "enc", "use": "enc", "crv": "Ed25519", "x": b64(raw(OTHER))},
    ]
}


def es256(data: bytes) -> bytes:
    r, s = decode_dss_signature(EC.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def hs256(data: bytes) -> bytes:
    mac = hmac.HMAC(raw(ED), hashes.SHA256())
    mac.update(data)
    return mac.finalize()


PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
SIGNERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "RS256": ("r", lambda data: RSA.sign(data, padding.PKCS1v15(), hashes.SHA256())),
    "PS256": ("r", lambda data: RSA.sign(data, PSS, hashes.SHA256())),
    "ES256": ("e", es256),
    "EdDSA": ("d", ED.sign),
}


def token(algorithm: str = "EdDSA", header: dict[str, Any] | None = None, **claims: Any) -> str:
    kid, sign = SIGNERS[algorithm]
    told = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    head = b64(json.dumps({"alg": algorithm, "kid": kid, **(header or {})}).encode())
    body = b64(json.dumps(told).encode())
    return f"{head}.{body}.{b64(sign(f'{head}.{body}'.encode()))}"


def check(text: str) -> dict[str, Any]:
    assert SIGN_IN is not None
    return claims_of(text, SIGN_IN, KEYS, NOW)


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_each_algorithm_is_taken(algorithm: str) -> None:
    assert check(token(algorithm))["sub"] == "u-1"


def forged(change: Callable[[list[str]], None]) -> str:
    parts = token().split(".")
    change(parts)
    return ".".join(parts)


def _swap(parts: list[str]) -> None:
    parts[1] = b64(json.dumps({**CLAIMS, "groups": ["admins"]}).encode())


def _none(parts: list[str]) -> None:
    parts[0], parts[2] = b64(b'{"alg":"none"}'), ""


def _shared(parts: list[str]) -> None:
    # The public key as a shared secret: the oldest trick.
    parts[0] = b64(b'{"alg":"HS256","kid":"d"}')
    parts[2] = b64(hs256(f"{parts[0]}.{parts[1]}".encode()))


def _stranger(parts: list[str]) -> None:
    parts[2] = b64(OTHER.sign(f"{parts[0]}.{parts[1]}".encode()))


def _for_encryption(parts: list[str]) -> None:
    parts[0] = b64(b'{"alg":"EdDSA","kid":"enc"}')
    parts[2] = b64(OTHER.sign(f"{parts[0]}.{parts[1]}".encode()))


@pytest.mark.parametrize("change", [_swap, _none, _shared, _stranger, _for_encryption])
def test_a_forged_token_is_refused(change: Callable[[list[str]], None]) -> None:
    with pytest.raises(Refusal):
        check(forged(change))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://id.example.org/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": [["pilotage"]]},
        {"sub": None},
        {"sub": ""},
        {"exp": NOW - 61},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"nbf": NOW + 61},
        {"iat": NOW + 61},
    ],
)
def test_a_token_of_another_time_or_place_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        check(token(**claims))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ey",
        "ey.ey.ey",
        "ey..",
        token() + "=",
        token() + ".x",
        token()[:-4],
        "ey" + "a" * 20_000 + ".b.c",
        "eyé.b.c",
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        check(text)


def test_critical_extensions_and_mismatched_keys_are_refused() -> None:
    for header in ({"crit": ["x"]}, {"kid": "r"}, {"kid": "unknown"}, {"alg": "RS256"}, {"alg": ["EdDSA"]}):
        with pytest.raises(Refusal):
            check(token(header=header))


def test_groups_become_roles_and_the_first_of_the_file_decides() -> None:
    assert SIGN_IN is not None
    care = actor_of(check(token()), RULES, SIGN_IN)
    assert (care.id, care.who, care.roles, care.use_cases) == (
        "oidc:grace",
        "grace",
        ("operate", "approve"),
        ("support",),
    )
    both = actor_of(check(token(groups=["care", "admins"])), RULES, SIGN_IN)
    assert (both.roles, both.use_cases) == (("admin",), ())
    unverified = actor_of(check(token(email_verified=False)), RULES, SIGN_IN)
    assert unverified.who != "grace"
    assert "example" not in unverified.id
    for groups in ([], "care", None, [["care"]]):
        with pytest.raises(Denied):
            actor_of(check(token(groups=groups)), RULES, SIGN_IN)
