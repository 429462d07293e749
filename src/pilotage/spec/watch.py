"""How what serves is watched once its release is over."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, model_validator

from pilotage.spec.metric import Strict
from pilotage.spec.quantity import Duration
from pilotage.spec.variant import Name

DAY = 86_400_000_000


class Receiver(Strict):
    """Who is told of alarms: an address that takes a POST."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    """What the receiver is called, such as 'on-call'."""
    url_env: Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]{0,120}_WEBHOOK_URL$")]
    """The environment variable that holds the address, ending in _WEBHOOK_URL: whoever knows such an address may write to it,
    so it never stands in a file."""
    shape: Literal["slack", "cloudevents"] = "cloudevents"
    """What is sent: Slack's message, or a CloudEvent 1.0 as structured JSON."""


class Watch(Strict):
    """Every goal and guardrail is watched for as long as its release serves, against the level that the release has shown.

    What is promised is a time between false alarms, for all of them together. What an alarm does stands with its metric
    (`on_alarm`).
    """

    tick: Duration = 60_000_000
    """The detectors' clock: how often what has matured is looked at."""
    cycle: Duration = 3_600_000_000
    """A unit counts anew after this long, by its first request in that time: with '1h', somebody who asks ten times in an
    hour counts once."""
    false_alarms: Duration = 91 * DAY
    """At most one false alarm in such a time, on average, while nothing has got worse."""
    false_actions: Duration = 365 * DAY
    """At most one in such a time that also pauses or rolls back; not less than false_alarms."""
    learns_from: Annotated[int, Field(ge=50, le=1_000_000)] = 500
    """Units from which a metric's level is known. A rollout has seen most of them; what is missing is learned once it serves."""
    drift: Literal["off", "notify", "hold"] = "notify"
    """What is done when what people ask, or what they are answered, moves away from what it was in the first days: nothing (and
    it is not looked for), people are told, or what is on its way is paused too. Texts are looked at only where `[data]
    retention` keeps them."""
    embedding: Name | None = None
    """The variant that turns questions into vectors, for topics and for what is unlike any question before; without it, hashed
    words and letters take their place. It serves nobody, and costs one short request for each question that is looked at."""
    recheck: Duration = 0
    """How often every model behind what serves is asked a fixed set of questions, to tell whether it is still the same; '0s' is
    never. It costs about 25 short answers each time, within the budget."""
    reevaluate: Duration = 0
    """How often the cases are asked again of what serves and of its fallbacks; also as soon as an alarm says that a model, or
    what is asked, is not what it was. '0s' is never."""
    notice: Duration = 30 * DAY
    """How long before a provider shuts down a model that serves, or that what serves falls back on, people are told; by the variant's
    `retires`, and by what the provider says of it where it is asked (`recheck`)."""
    notify: Annotated[tuple[Receiver, ...], pydantic.Strict(False)] = ()
    """Who is told of alarms."""
    holdback: Annotated[float, Field(ge=0, le=20)] = 0.0
    """The part of users, in percent, that keeps the release of before after a promotion, to compare with for as long as no
    other rollout begins. 0 is nobody."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.tick:
            msg = "tick = '0s' is no clock; write how often to look, such as '60s'"
            raise ValueError(msg)
        if self.cycle < self.tick:
            msg = "cycle is shorter than tick; a unit counts anew after some ticks, such as cycle = '1h'"
            raise ValueError(msg)
        if not self.tick < self.false_alarms <= self.false_actions:
            msg = "false_alarms is longer than tick, and false_actions not shorter than false_alarms, such as '91d' and '365d'"
            raise ValueError(msg)
        names = [receiver.name for receiver in self.notify]
        if len(names) != len(set(names)):
            msg = "two receivers in notify have one name; what was not delivered is listed by it"
            raise ValueError(msg)
        return self
