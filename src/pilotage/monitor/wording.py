"""What a crossed line means, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pilotage.decision.wording import currency_of
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.decision.stream import Question
    from pilotage.decision.watch import Crossing
    from pilotage.spec.metric import Metric
    from pilotage.spec.use_case import UseCase


def crossing_text(spec: UseCase, metric: Metric, asked: Question, crossing: Crossing) -> str:
    """Say `has been 38.1 % since 12 March 14:05 UTC (1,204 users), and was at least 52.4 % when it was released`."""
    since = datetime.fromtimestamp(crossing.since / MILLION, UTC).strftime("%-d %B %H:%M UTC")
    units = f"{crossing.n:,} {spec.unit}{'' if crossing.n == 1 else 's'}{f' of {asked.group}' if asked.group else ''}"
    if asked.told:
        now, before = _percent(crossing.value), _percent(crossing.level)
        return (
            f"reports stopped coming: since {since}, {now} of {units} told anything, and at least {before} did before"
        )
    now, before = (_amount(value, metric, currency_of(spec)) for value in (crossing.value, crossing.level))
    if asked.holdback:
        return f"has been {now} since {since} ({units}), and {before} among those who kept the release of before"
    bound = "at least" if asked.falls else "at most"
    return f"has been {now} since {since} ({units}), and was {bound} {before} when it was released"


def _amount(value: float, metric: Metric, currency: str) -> str:
    match metric.kind:
        case "binary":
            return _percent(value)
        case "duration":
            return f"{value:.3g} s"
        case "money":
            return f"{value:.4g} {currency}"
        case _:
            return f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"
