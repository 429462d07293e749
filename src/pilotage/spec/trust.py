"""Whom the organisation believes: its identity provider about people, other workspaces about what they measured."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import pydantic
from pydantic import Field, field_validator

from pilotage.spec.metric import Lines, Strict
from pilotage.spec.verifier_key import VerifierKey


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

    @field_validator("jwks")
    @classmethod
    def _fetchable(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")):
            return value
        msg = "keys that decide who may do what come over https; write https:// and the provider's address of its keys"
        raise ValueError(msg)
