"""What a gate demands beyond its defaults."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pilotage.spec.metric import Strict
from pilotage.spec.variant import Name


class Criterion(Strict):
    """A bound on one measure: the whole confidence interval must lie inside it."""

    at_least: float | None = None
    """The interval's lower end must be at least this."""
    at_most: float | None = None
    """The interval's upper end must be at most this."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            msg = "give exactly one of at_least and at_most"
            raise ValueError(msg)
        return self


class Gates(Strict):
    """Criteria by the stage that the gate opens into; a measure named here replaces its default or adds to it."""

    poc: dict[Name, Criterion] = Field(default_factory=dict)
    staging: dict[Name, Criterion] = Field(default_factory=dict)
    canary: dict[Name, Criterion] = Field(default_factory=dict)
    production: dict[Name, Criterion] = Field(default_factory=dict)


class Approvals(Strict):
    """How many people must say yes before a stage begins; an author never approves their own release."""

    poc: int = Field(default=0, ge=0, le=10)
    staging: int = Field(default=0, ge=0, le=10)
    canary: int = Field(default=0, ge=0, le=10)
    production: int = Field(default=0, ge=0, le=10)
