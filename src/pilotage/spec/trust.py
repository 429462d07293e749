"""Whom the organisation believes: its identity provider about people, other workspaces about what they measured."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import pydantic
from pydantic import Field, field_validator

from pilotage.spec.metric import Lines, Strict
from pilotage.spec.verifier_key import VerifierKey


def trustworthy(address: str) -> bool:
    """Return whether nobody on the way to an address can change what is said there: https, or this machine itself."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.username or parts.password or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


class EvidenceSource(Strict):
    """Another workspace, such as that of CI or of a staging cluster, whose signed evidence may be imported."""

    key: str
    """Its verifier key, as `pilotage evidence key` prints it there."""
    measures: Lines = ()
    """What it may vouch for; anything unless given."""

    @field_validator("key")
    @classmethod
    def _readable(cls, value: str) -> str:
        VerifierKey.read(value)
        return value


class Grant(Strict):
    """What people of one group may do."""

    roles: Annotated[tuple[Literal["operate", "approve", "admin"], ...], pydantic.Strict(False), Field(min_length=1)]
    """The roles."""
    use_cases: Lines = ()
    """On these use cases only; on all of them unless given."""


class ConsoleClient(Strict):
    """What the identity provider knows the console as, so that people sign in there as they do elsewhere (authorization code with PKCE)."""

    client: Annotated[str, Field(min_length=1)]
    """The client's id, which the provider names as `aud` in what it says of people that sign in."""
    address: str
    """The console as browsers reach it, such as 'https://pilotage.example.org'. Register `/sign-in/return` under it with the provider."""
    secret_env: Annotated[str, Field(pattern="^([A-Z][A-Z0-9_]{0,120}_CLIENT_SECRET)?$")] = ""
    """The environment variable that holds the client's secret, ending in _CLIENT_SECRET; none for a public client."""
    scopes: Lines = ("openid", "email")
    """What is asked of the provider. Some name groups only with a scope of their own, such as 'groups'."""

    @field_validator("address")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if trustworthy(value) and urlsplit(value).path in ("", "/") and not urlsplit(value).query:
            return value.rstrip("/")
        msg = "write https:// and the host that browsers open the console at, without a path"
        raise ValueError(msg)

    @field_validator("scopes")
    @classmethod
    def _open(cls, value: Lines) -> Lines:
        return value if "openid" in value else ("openid", *value)


class SignIn(Strict):
    """The identity provider (OpenID Connect) whose tokens the control API takes beside keys."""

    issuer: Annotated[str, Field(min_length=1)]
    """What its tokens name as `iss`, to the letter."""
    audience: Annotated[str, Field(min_length=1)]
    """What its tokens for Pilotage name as `aud`."""
    jwks: str
    """Where it publishes its keys; an https address."""
    claim: str = "groups"
    """The claim that lists a person's groups."""
    groups: dict[str, Grant] = Field(default_factory=dict)
    """Roles by group. Of several groups of one person, the first in this file decides."""
    console: ConsoleClient | None = None
    """How people sign in to the console itself; with keys only unless given."""

    @field_validator("jwks")
    @classmethod
    def _fetchable(cls, value: str) -> str:
        if trustworthy(value):
            return value
        msg = "keys that decide who may do what come over https; write https:// and the provider's address of its keys"
        raise ValueError(msg)
