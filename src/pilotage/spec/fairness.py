"""Groups of units, as applications name them, and how much worse an outcome may be for one than for the others."""

from __future__ import annotations

from typing import Annotated, Self

import pydantic
from pydantic import Field, model_validator

from pilotage.spec.metric import Incoherent, Strict
from pilotage.spec.variant import Name

Value = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
Values = Annotated[tuple[Value, ...], pydantic.Strict(False), Field(min_length=2, max_length=12)]


class Fairness(Strict):
    """Outcomes by group, on live traffic. Applications say which with a request: `x-pilotage-segment: language=de`."""

    segments: Annotated[dict[Name, Values], Field(max_length=4)] = Field(default_factory=dict)
    """By what units are told apart, and the groups there are, such as `language = ["en", "de"]`. Anything else that a request says is passed over."""
    margins: dict[Name, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """By goal or guardrail: by how much more the candidate may be worse for a group than for the others, on the metric's own scale. Shown to be above it, the rollout holds."""
    least: Annotated[int, Field(ge=10, le=10_000)] = 30
    """Units that a group needs on both sides before anything is shown of it."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        faults = [
            (f"segments.{name}", "names a group twice")
            for name, groups in self.segments.items()
            if len(set(groups)) < len(groups)
        ]
        if self.margins and not self.segments:
            faults.append(("margins", "margins are about groups, and segments names none"))
        if faults:
            raise Incoherent(faults)
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """Return every group as `segment=value`, in the file's order."""
        return tuple(group_of(name, value) for name, values in self.segments.items() for value in values)


def group_of(segment: str, value: str) -> str:
    """Return a group's name; with an empty value, those of whom nothing was said."""
    return f"{segment}={value}"
