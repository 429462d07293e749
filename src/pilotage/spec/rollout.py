"""How a candidate reaches users: the steps of its ramp and what each demands."""

from __future__ import annotations

import re
from typing import Annotated, Self

import pydantic
from pydantic import Field, field_validator, model_validator

from pilotage.spec.metric import Lines, Strict
from pilotage.spec.quantity import Duration, parse_duration

_HOLD = re.compile(r"hold (.+)")


class Step(Strict):
    """One stop of the ramp."""

    share: Annotated[float, Field(gt=0, le=100)]
    """The candidate's share of users, in percent. Rivals share it equally: with two of them, 75 gives each of the three
    25 %, as much as the baseline has."""
    demands: Lines = ("safe",)
    """What leaving this step takes: 'safe' (no guardrail shows harm), 'prove' (every guardrail shown no worse, every
    goal shown better; with rivals, of one candidate at least), 'hold 6h' (at least this long), 'approve' (somebody's
    yes)."""

    @field_validator("demands")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for demand in value:
            hold = _HOLD.fullmatch(demand)
            if hold:
                parse_duration(hold[1])
            elif demand not in ("safe", "prove", "approve"):
                msg = f"unknown demand {demand!r}; it is one of 'safe', 'prove', 'approve', 'hold 6h'"
                raise ValueError(msg)
        return value

    @property
    def hold(self) -> int:
        """Return the longest hold demanded, in microseconds."""
        holds = [parse_duration(match[1]) for match in map(_HOLD.fullmatch, self.demands) if match]
        return max(holds, default=0)


class Rollout(Strict):
    """The ramp and its error rates.

    A plain A/B test is a ramp of one step, such as steps = [{ share = 50, demands = ["prove", "approve"] }]; with one rival
    66.7 gives all three a third. It ends when something is shown: the best that is proven is promoted, what is shown to
    be harmful or to miss is dropped, and all of it may be looked at whenever you like.
    """

    steps: Annotated[tuple[Step, ...], pydantic.Strict(False), Field(min_length=1)] = (
        Step(share=1),
        Step(share=5),
        Step(share=25),
        Step(share=50, demands=("prove",)),
    )
    """Stops in rising order; after the last one the candidate is promoted."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """The chance of promoting a candidate that is worse by the margin, and of rolling back one that is not. Candidates that
    are tried at once share it."""
    beta: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """The chance of giving up a candidate that does reach the smallest effect that matters."""
    minimum_units: Annotated[int, Field(ge=1)] = 50
    """Candidate units with a matured outcome in every guardrail, all first met at this step, before it may be left."""
    risk_budget: Annotated[int, Field(ge=1)] | None = None
    """The most units that may come to harm on the way up. While a guardrail is not shown to be no worse, a step is only
    left if those who have met a candidate, and minimum_units more, times the most by which it may be worse, are within
    this. It counts guardrails that are binary."""
    minimum_duration: Duration = 86_400_000_000
    """How long a rollout takes at least before everybody gets the candidate: one whole day, unless given, for what helps
    in the morning may not help at night."""
    blind_after: Duration = 60_000_000
    """When the controller has not been heard of for this long, workers send the candidate's users to the baseline."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(set(shares)):
            msg = f"shares must rise from step to step, not {', '.join(f'{share:g}' for share in shares)}"
            raise ValueError(msg)
        return self
