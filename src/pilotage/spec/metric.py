"""What is measured on units after they were served: goals and guardrails."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from pilotage.spec.quantity import Duration

MetricKind = Literal["binary", "rating", "duration", "money", "count"]
Source = Literal["feedback", "errors", "fallbacks", "slow", "filtered", "cost"]
LEFT_OUT = "none"
"""What the file says of silence where units that never answered do not count."""
HOUR = 3_600_000_000


Lines = Annotated[tuple[str, ...], pydantic.Strict(False)]
"""A list of strings in the file."""


Silence = Annotated[
    float | None,
    BeforeValidator(lambda value: None if value == LEFT_OUT else value),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"const": LEFT_OUT}], "default": 0.0}),
]
"""A number, or `none` in the file: units that never answered are left out."""


def _matures(given: dict[str, Any]) -> int:
    """What the gateway sees is final with the unit's first request; people take their time to answer."""
    return HOUR if given.get("source") == "feedback" else 0


class Strict(BaseModel):
    """A table of the file: unknown keys are errors, no type is guessed, and nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Incoherent(ValueError):
    """Several faults of one table at once: `faults` pairs the key at fault (empty: the table) with what is wrong."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(says for _, says in faults))
        self.faults = faults


class Metric(Strict):
    """One outcome of a unit. Goals must get better; guardrails must not get worse than `margin`."""

    kind: MetricKind = "binary"
    """What a value is: binary (0 or 1), rating, duration (seconds), money, or count."""
    direction: Literal["up", "down"] = "up"
    """Which way is better."""
    source: Source = "feedback"
    """Where values come from: feedback that is posted, or what the gateway itself sees (errors, fallbacks, slow, filtered, cost).
    'filtered' is whether any of a release's filters found something; compare releases with the same filters by it.
    Errors, fallbacks and slow take feedback too: an application that makes its own calls tells what it saw."""
    today: float | None = None
    """The level today, before this use case: the baseline where there is no status quo variant."""
    target: float | None = None
    """The level that is hoped for."""
    minimum_effect: Annotated[float, Field(gt=0)] | None = None
    """The smallest difference that matters, on the metric's own scale; what the rollout must be able to see."""
    margin: Annotated[float, Field(gt=0)] | None = None
    """How much worse is still acceptable, on the metric's own scale (0.02 is 2 points of a rate). Every guardrail has one."""
    low: float | None = None
    """The least possible value (rating, duration, money, count); for the last three it is 0 unless this says otherwise."""
    high: float | None = None
    """The greatest possible value; values above a duration's or money's cap count as the cap."""
    matures_after: Duration = Field(default_factory=_matures)
    """How long after a unit's first exposure its value is final, such as '6h'; only then does it count. '1h' unless given
    for what comes by feedback; '0s' for what the gateway itself sees, which is the unit's first request alone. Longer, it
    is every request of that time."""
    silence: Silence = 0.0
    """The value of a unit that never answered. Every unit counts, so that response rates cannot mislead. A signal may
    leave such units out: silence = 'none'."""
    limit: Duration | None = None
    """For source 'slow': slower than this counts as 1."""
    objective: str = ""
    """Which of the organisation's objectives it serves, by its name in organisation.toml."""
    on_alarm: Literal["notify", "hold", "rollback"] = "notify"
    """What happens when it has got worse since its release: people are told (notify), a rollout under way is paused too
    (hold), or the release that was live before serves again (rollback)."""
    worth: Annotated[float, Field(ge=0)] | None = None
    """What one unit that reaches this goal is worth, in the budget's currency."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        faults = [*self._range_faults(), *self._source_faults(), *self._role_faults()]
        if faults:
            raise Incoherent(faults)
        return self

    def _range_faults(self) -> list[tuple[str, str]]:
        low, high = self.bounds
        if low >= high:
            return [("low", f"low ({low:g}) must be below high ({high:g})")]
        faults: list[tuple[str, str]] = []
        span = f"{low:g} to {high:g}"
        for name in ("today", "target", "silence"):
            value = getattr(self, name)
            if value is None or low <= value <= high:
                continue
            if name in self.model_fields_set:
                faults.append((name, f"{name} = {value:g} lies outside {span}"))
            else:
                faults.append(
                    ("", f"a unit that never answers counts as {value:g}, which lies outside {span}; set silence")
                )
        for name in ("margin", "minimum_effect"):
            value = getattr(self, name)
            if value is not None and value >= high - low:
                faults.append(
                    (name, f"{name} = {value:g} is as wide as the metric's whole range ({span}); nothing could fail it")
                )
        return faults

    def _source_faults(self) -> list[tuple[str, str]]:
        faults = []
        if self.source == "feedback" and not self.matures_after:
            says = "matures_after = '0s' makes every value final before anybody could answer"
            faults.append(("matures_after", f"{says}; write how long answers take, such as '6h' ('1h' unless given)"))
        if self.source == "slow" and not self.limit:
            faults.append(("source", "source 'slow' needs a limit, such as limit = '4s'"))
        if self.source != "slow" and self.limit is not None:
            faults.append(
                ("limit", f"limit has no meaning for source '{self.source}'; remove it, or set source = 'slow'")
            )
        if self.source in ("errors", "fallbacks", "slow", "filtered") and self.kind != "binary":
            faults.append(("kind", f"source '{self.source}' is binary by nature; remove kind = '{self.kind}'"))
        if self.source == "cost" and self.kind != "money":
            faults.append(("source", "source 'cost' is measured in money; set kind = 'money'"))
        if self.kind == "binary" and not self.low is self.high is None:
            faults.append(("kind", "a binary metric is 0 or 1; remove low and high, or set another kind"))
        return faults

    def _role_faults(self) -> list[tuple[str, str]]:
        """Return what is wrong with it in its role only."""
        return []

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

    def _role_faults(self) -> list[tuple[str, str]]:
        if self.margin is not None:
            return []
        says = "a guardrail needs a margin: how much worse is still acceptable, on the metric's own scale"
        return [("", f"{says}; write margin = 0.02 for 2 points of a rate")]
