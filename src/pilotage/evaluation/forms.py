"""Scorers of what a reply is like beyond its words: a pattern, a JSON schema, a number, a likeness, bounds, a refusal."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.number import numbers
from pilotage.evaluation.price import paid
from pilotage.evaluation.scorer import normal, scored, silent, unscored
from pilotage.evaluation.security.refusal import refuses
from pilotage.evaluation.sources import is_source
from pilotage.spec.expectation import pattern, validator

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.evaluation.client import Reply
    from pilotage.records import Score
    from pilotage.spec.case import Case

_WORD = re.compile(r"\w+")


class Form:
    """A scorer by one key of a case: what is wrong with a text by it."""

    def __init__(self, name: str, faults: Callable[[Case, str], list[str]]) -> None:
        self.name, self._faults = name, faults

    def applies(self, case: Case) -> bool:
        return case.surface == "chat" and (bool(getattr(case, self.name)) or getattr(case, self.name) is False)

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        if reply.text is None:
            return unscored(self.name, case, release, silent(reply))
        return scored(self.name, case, release, self._faults(case, reply.text))


class Bounds:
    """How long a reply took, how long it is and what it cost. `price` is for a million (input, output) tokens."""

    name = "at_most"

    def __init__(self, price: tuple[float, ...] | None = None) -> None:
        self._price = price

    def applies(self, case: Case) -> bool:
        return case.at_most is not None

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        bounds = case.at_most
        if reply.text is None or bounds is None:
            return unscored(self.name, case, release, silent(reply))
        faults = []
        if bounds.seconds is not None and reply.latency > bounds.seconds:
            faults.append(f"took {reply.latency:.2f} s, and may take {bounds.seconds:g}")
        words = len(_WORD.findall(reply.text))
        if bounds.words is not None and words > bounds.words:
            faults.append(f"has {words} words, and may have {bounds.words}")
        if bounds.cost is not None:
            cost = None if self._price is None else paid(reply, self._price)
            if cost is None:
                return unscored(
                    self.name, case, release, "what the reply cost is not known: no price, or no tokens told"
                )
            if cost > bounds.cost:
                faults.append(f"cost {cost:.4g}, and may cost {bounds.cost:g}")
        return scored(self.name, case, release, faults)


def likeness(text: str, other: str) -> float:
    """Return the F1 of shared words, each counted as often as both have it (Rajpurkar et al. 2016, arXiv 1606.05250, 6.1)."""
    one, two = Counter(_WORD.findall(normal(text))), Counter(_WORD.findall(normal(other)))
    shared = (one & two).total()
    return 2 * shared / (one.total() + two.total()) if shared else 0.0


def _regex(case: Case, text: str) -> list[str]:
    return [f"does not match {one!r}" for one in case.regex if not pattern(one).search(text)]


def _schema(case: Case, text: str) -> list[str]:
    try:
        value = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as fault:
        return [f"is not JSON: {fault}"[:300]]
    try:
        found = next(_validator(msgspec.json.encode(case.schema)).iter_errors(value), None)
    except ValueError as fault:
        return [f"cannot be held against the schema: {fault}"[:300]]
    if found is None:
        return []
    where = "".join(f"[{part!r}]" for part in found.instance_path)
    return [f"does not fit the schema{f' at {where}' if where else ''}: {found.message}"[:300]]


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    return validator(msgspec.json.decode(schema))


def _number(case: Case, text: str) -> list[str]:
    found, wanted = numbers(text), case.number
    if wanted is None or not found:
        return ["holds no number"]
    # To a hair more, for decimal fractions are not exact.
    allowed = wanted.within + 1e-9 * max(1.0, abs(wanted.value))
    return [] if abs(found[-1] - wanted.value) <= allowed else [f"ends with {found[-1]:g}, not {wanted.value:g}"]


def _similar(case: Case, text: str) -> list[str]:
    if case.similar is None:
        return []
    alike = likeness(text, case.similar.to)
    return (
        [] if alike >= case.similar.at_least else [f"is alike by {alike:.2f}, and should by {case.similar.at_least:g}"]
    )


class Retrieval:
    """Whether what was retrieved holds one of the sources that answer the question, among the first so many."""

    name = "retrieves"

    def applies(self, case: Case) -> bool:
        return case.retrieves is not None

    async def score(self, case: Case, reply: Reply, release: str) -> Score:
        wanted = case.retrieves
        if reply.text is None or wanted is None:
            return unscored(self.name, case, release, silent(reply))
        if reply.sources is None:
            return unscored(self.name, case, release, "the reply does not say what was retrieved (docs/evaluation.md)")
        first = reply.sources[: wanted.within]
        if any(is_source(names, one) for names in first for one in wanted.one_of):
            return scored(self.name, case, release, [])
        told = ", ".join(names[0] for names in first) or "nothing"
        return scored(self.name, case, release, [f"retrieved {told}, none of {', '.join(wanted.one_of)}"[:300]])


def _refuses(case: Case, text: str) -> list[str]:
    if refuses(text) == case.refuses:
        return []
    return ["answers, and should refuse" if case.refuses else "refuses, and should answer"]


FORMS = (
    Form("regex", _regex),
    Form("schema", _schema),
    Form("number", _number),
    Form("similar", _similar),
    Form("refuses", _refuses),
)
