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
    """The candidate's share of users, in percent."""
    demands: Lines = ("safe",)
    """What leaving this step takes: 'safe' (no guardrail shows harm), 'prove' (every guardrail shown no worse, every
    goal shown better), 'hold 6h' (at least this long), 'approve' (somebody's yes)."""

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
    """The ramp and its error rates."""

    steps: Annotated[tuple[Step, ...], pydantic.Strict(False), Field(min_length=1)] = (
        Step(share=1),
        Step(share=5),
        Step(share=25),
        Step(share=50, demands=("prove",)),
    )
    """Stops in rising order; after the last one the candidate is promoted."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """The chance of promoting a candidate that is worse by the margin, and of rolling back one that is not."""
    minimum_units: Annotated[int, Field(ge=1)] = 50
    """Candidate units with a matured outcome before a step may be left."""
    blind_after: Duration = 60_000_000
    """When the controller has not been heard of for this long, workers send the candidate's users to the baseline."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(set(shares)):
            msg = f"shares must rise from step to step, not {', '.join(f'{share:g}' for share in shares)}"
            raise ValueError(msg)
        return self
