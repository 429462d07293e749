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
            msg = "give exactly one of at_least and at_most, such as { at_least = 0.8 }"
            raise ValueError(msg)
        return self


class Gates(Strict):
    """Criteria by the stage that the gate opens into; a measure named here replaces its default or adds to it."""

    poc: dict[Name, Criterion] = Field(default_factory=dict)
    """From concept to poc: is it worth doing?"""
    staging: dict[Name, Criterion] = Field(default_factory=dict)
    """From poc to staging: can it work? Reads evaluations: quality, quality_difference, cost, and of the suites security, privacy and bias."""
    canary: dict[Name, Criterion] = Field(default_factory=dict)
    """From staging to canary: does it survive real conditions? Reads rehearsals: replay_errors, replay_latency,
    replay_fidelity, and where they are named scalability, fault_failures, shadow_errors and others (docs/staging.md)."""
    production: dict[Name, Criterion] = Field(default_factory=dict)
    """From canary to production: the rollout's own demands on goals and guardrails, and what is named here."""


class Approvals(Strict):
    """How many people must say yes before a stage begins; an author never approves their own release."""

    poc: int = Field(default=0, ge=0, le=10)
    """People who must approve before the proof of concept."""
    staging: int = Field(default=0, ge=0, le=10)
    """People who must approve before staging."""
    canary: int = Field(default=0, ge=0, le=10)
    """People who must approve before the first users see it."""
    production: int = Field(default=0, ge=0, le=10)
    """People who must approve before everybody gets it."""
