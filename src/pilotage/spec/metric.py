"""What is measured on units after they were served: goals and guardrails."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pilotage.spec.quantity import Duration

MetricKind = Literal["binary", "rating", "duration", "money", "count"]
Source = Literal["feedback", "errors", "fallbacks", "slow", "cost"]


class Strict(BaseModel):
    """A table of the file: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Metric(Strict):
    """One outcome of a unit. Goals must get better; guardrails must not get worse than `margin`."""

    kind: MetricKind = "binary"
    """What a value is: binary (0 or 1), rating, duration (seconds), money, or count."""
    direction: Literal["up", "down"] = "up"
    """Which way is better."""
    source: Source = "feedback"
    """Where values come from: feedback that is posted, or what the gateway itself sees (errors, fallbacks, slow, cost)."""
    today: float | None = None
    """The level today, before this use case: the baseline where there is no status quo variant."""
    target: float | None = None
    """The level that is hoped for."""
    minimum_effect: Annotated[float, Field(gt=0)] | None = None
    """The smallest difference that matters, on the metric's own scale; what the rollout must be able to see."""
    margin: Annotated[float, Field(gt=0)] | None = None
    """How much worse is still acceptable, on the metric's own scale (0.02 is 2 points of a rate)."""
    low: float | None = None
    """The least possible value (rating, duration, money, count)."""
    high: float | None = None
    """The greatest possible value; values above a duration's or money's cap count as the cap."""
    matures_after: Duration = 0
    """How long after a unit's first exposure its value is final, such as '6h'."""
    silence: float | None = 0.0
    """The value of a unit that never answered. Every unit counts, so that response rates cannot mislead."""
    limit: Duration | None = None
    """For source 'slow': slower than this counts as 1."""
    worth: Annotated[float, Field(ge=0)] | None = None
    """What one unit that reaches this goal is worth, in the budget's currency."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        low, high = self.bounds
        if low >= high:
            msg = f"low ({low:g}) must be below high ({high:g})"
            raise ValueError(msg)
        for name in ("today", "target", "silence"):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                msg = f"{name} = {value:g} lies outside {low:g} to {high:g}"
                raise ValueError(msg)
        for name in ("margin", "minimum_effect"):
            value = getattr(self, name)
            if value is not None and value >= high - low:
                msg = f"{name} = {value:g} is as wide as the metric's whole range ({low:g} to {high:g}); nothing could fail it"
                raise ValueError(msg)
        if self.source == "slow" and self.limit is None:
            msg = "source 'slow' needs a limit, such as limit = '4s'"
            raise ValueError(msg)
        if self.source in ("errors", "fallbacks", "slow") and self.kind != "binary":
            msg = f"source '{self.source}' is binary by nature; remove kind = '{self.kind}'"
            raise ValueError(msg)
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Return (low, high); infinite where the file gives none for an unbounded kind."""
        if self.kind == "binary":
            return 0.0, 1.0
        floor = 0.0 if self.kind in ("duration", "money", "count") else float("-inf")
        return (floor if self.low is None else self.low, float("inf") if self.high is None else self.high)


class Goal(Metric):
    """An outcome that the use case exists to improve."""


class Guardrail(Metric):
    """An outcome that must not get worse by more than its margin."""

    rollback_at: Literal["margin", "zero"] = "margin"
    """Harm is measured against the margin (default) or against no difference at all."""
