"""Numbers in words, as decisions and gates print them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.records import Evidence
    from pilotage.spec.metric import Metric
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading


_RATES = (
    "quality", "security", "security_garak", "security_promptfoo", "over_refusal", "privacy", "privacy_at_rest",
    "redaction_recall", "redaction_recall_all", "redaction_precision", "replay_errors",
    "day_errors", "fault_failures", "shadow_errors",
)  # fmt: skip
_SECONDS = ("latency", "replay_latency", "day_latency", "fault_recovery", "shadow_latency", "shadow_slower")
_MONEY = {
    "cost": "a request",
    "shadow_cost": "a request",
    "cost_a_goal": "a goal reached",
    "net_value_a_month": "a month",
}
_UNITS = {"break_even_units_a_day": " units a day", "scalability": " times the peak"}


def is_rate(measure: str) -> bool:
    """Return whether a measure is a share, or a difference of two shares."""
    return _unit(measure) in (" %", " points")


def measured_text(measure: str, value: float, currency: str) -> str:
    """Say what was measured in its own unit: `52.5 %`, `12.3 points`, `0.00011 EUR a request`, `4.2 ms`."""
    return "".join(_measured(measure, value, currency))


def evidence_text(found: Evidence, currency: str) -> str:
    """Say `quality_difference is 12.3 points (7.7 to 16.8, n = 316)`."""
    ends = (_measured(found.measure, end, currency, like=found.value)[0] for end in (found.low, found.high))
    value = measured_text(found.measure, found.value, currency)
    return f"{found.measure} is {value} ({' to '.join(ends)}, n = {found.n:,})"


def _measured(measure: str, value: float, currency: str, *, like: float | None = None) -> tuple[str, str]:
    """Return (number, unit); seconds are told as milliseconds where `like` (the value itself unless given) is small."""
    if is_rate(measure):
        return _number(value * 100), _unit(measure)
    if measure in _MONEY:
        large = abs(value if like is None else like) >= 100
        number = f"{value:,.0f}" if large else f"{value:.6f}".rstrip("0").rstrip(".")
        return number, f" {currency} {_MONEY[measure]}"
    if measure in _SECONDS:
        small = (value if like is None else like) < 1
        return _number(value * 1000 if small else value), " ms" if small else " s"
    return f"{value:.4g}", _unit(measure)


def _unit(measure: str) -> str:
    """Return what is written behind a measure's number, where that does not depend on its size."""
    if measure in _RATES:
        return " %"
    if measure in ("quality_difference", "shadow_refusals") or measure.partition("_")[0] == "bias":
        return " points"
    return _UNITS.get(measure, "")


def share_text(millionths: int) -> str:
    return f"{millionths * 100 / MILLION:g} %"


def difference_text(name: str, metric: Metric, reading: Reading, currency: str) -> str:
    """Say `resolved +3.1 points (0.4 to 5.8)`."""
    scale, unit = _scale(metric, currency)
    value, low, high = (_number(x * scale) for x in (reading.value, reading.low, reading.high))
    sign = "" if value.startswith("-") else "+"
    return f"{name} {sign}{value}{unit} ({low} to {high})"


def amount_text(value: float, metric: Metric, currency: str) -> str:
    """Say `2.0 points` or `0.3 s`."""
    scale, unit = _scale(metric, currency)
    return f"{_number(value * scale)}{unit}"


def units_text(count: int, spec: UseCase, side: str = "candidate") -> str:
    """Say `41 candidate users`."""
    return f"{count:,} {side} {spec.unit}{'' if count == 1 else 's'}"


def about_text(count: int) -> str:
    """Say a forecast's count as roughly as it is known: `900`, `1,300`, `42,000`."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // step) * step:,}"


def time_text(at: int, now: int) -> str:
    """Say a coming time (microseconds) as people do: `today 14:10 UTC`, `tomorrow 14:00 UTC`, `Tue 14:00 UTC`, `3 Nov`.

    Rounded up, to ten minutes on the same day and to the hour later.
    """
    here = datetime.fromtimestamp(now / MILLION, UTC)
    coming = datetime.fromtimestamp(at / MILLION, UTC)
    step = 600 if coming.date() == here.date() else 3600
    coming = datetime.fromtimestamp(-(-at // (step * MILLION)) * step, UTC)
    days = (coming.date() - here.date()) // timedelta(days=1)
    if days > 6:
        return f"{coming.day} {coming:%b}" if coming.year == here.year else f"{coming.day} {coming:%b %Y}"
    day = ("today", "tomorrow")[days] if days < 2 else f"{coming:%a}"
    return f"{day} {coming:%H:%M} UTC"


def variant_of(release: str) -> str:
    """Return the variant's name in `usecase/variant@digest`."""
    return release.partition("/")[2].partition("@")[0] or release


def currency_of(spec: UseCase) -> str:
    return spec.budget.currency if spec.budget else "EUR"


def list_text(items: list[str]) -> str:
    """Join as people do: `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _scale(metric: Metric, currency: str) -> tuple[float, str]:
    match metric.kind:
        case "binary":
            return 100.0, " points"
        case "duration":
            return 1.0, " s"
        case "money":
            return 1.0, f" {currency}"
        case _:
            return 1.0, ""


def _number(value: float) -> str:
    """One decimal for what is large enough, three significant digits for what is small."""
    text = f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"
    return "0" if float(text) == 0 else text
