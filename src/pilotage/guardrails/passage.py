"""One request's passage through its release's filters, and its answer's."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from pilotage.clock import SECOND
from pilotage.guardrails.look import Blocked, Late, Timer
from pilotage.guardrails.placeholders import Placeholders
from pilotage.guardrails.window import Window
from pilotage.records import GuardrailHit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.guardrails.filters import Filters, TextFilter
    from pilotage.guardrails.look import Find
    from pilotage.spec.filter_rule import FilterRule

_PATIENCE = 60.0

log = logging.getLogger(__name__)


class Hits:
    """What was found, counted. Never the text."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    def add(self, rule: FilterRule, side: str, kind: str, *, action: str = "") -> None:
        self._counts[rule.name, side, action or rule.action, kind] += 1

    def records(self) -> tuple[GuardrailHit, ...]:
        return tuple(
            GuardrailHit(guardrail=name, side=side, action=action, kind=kind, count=count)
            for (name, side, action, kind), count in self._counts.items()
        )


class Channel(Protocol):
    """One text on its way. `feed` returns what may go out; with `last`, all that is left. Raises Blocked."""

    def feed(self, text: str, *, last: bool = False) -> str: ...


class Passage:
    """Raises Blocked wherever something may not pass."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._placeholders = Placeholders()
        self.hits = Hits()

    @property
    def looks_in(self) -> bool:
        return bool(self._filters.into)

    @property
    def looks_out(self) -> bool:
        return bool(self._filters.out or self._placeholders)

    def reserve(self, texts: list[str]) -> None:
        self._placeholders.reserve(texts)

    def entering(self) -> Channel:
        """Return a channel for all texts of the request in turn: its `last` ends one, and the next may begin."""
        return _Chain([_Step(one, "in", self._put(one.rule), self.hits, at_once=True) for one in self._filters.into])

    def leaving(self, *, at_once: bool, counts: bool = True) -> Channel:
        """Return a channel for the texts of an answer: `at_once` for a whole one, otherwise each event is a look.

        It counts nothing where what it passes was counted already.
        """
        hits = self.hits if counts else Hits()
        steps: list[_Step | _Back] = [_Step(one, "out", _kind, hits, at_once=at_once) for one in self._filters.out]
        if self._placeholders:
            steps.append(_Back(self._placeholders))
        return _Chain(steps)

    def _put(self, rule: FilterRule) -> Callable[[Find, str], str]:
        if not rule.restore:
            return _kind
        return lambda find, stood: self._placeholders.put(find.kind, stood)


def _kind(find: Find, _: str) -> str:
    return f"[{find.kind}]"


class _Chain:
    def __init__(self, steps: list[_Step] | list[_Step | _Back]) -> None:
        self._steps = steps

    def feed(self, text: str, *, last: bool = False) -> str:
        for step in self._steps:
            text = step.feed(text, last=last)
        return text


class _Step:
    """One filter on one text after another. Its deadline bounds each look; `at_once`, all of them together."""

    def __init__(
        self, one: TextFilter, side: str, replace: Callable[[Find, str], str], hits: Hits, *, at_once: bool
    ) -> None:
        self._seconds = one.rule.deadline / SECOND
        self._timer = Timer(self._seconds) if at_once else None
        self._rule = one.rule
        self._finder = one.finder
        self._side = side
        self._replace = replace
        self._hits = hits
        self._window = Window(one.finder, self._act)

    def feed(self, text: str, *, last: bool = False) -> str:
        window = self._window
        if last:
            self._window = Window(self._finder, self._act)
        held = window.held
        try:
            return window.feed(text, self._timer or Timer(self._seconds), last=last)
        except Blocked:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a filter makes go wrong, the file says what follows
            if not isinstance(fault, Late):
                log.error("the filter %s erred: %s", self._rule.name, type(fault).__name__)  # noqa: TRY400
            kind = "late" if isinstance(fault, Late) else "error"
            self._hits.add(self._rule, self._side, kind, action=self._rule.on_error)
            if self._rule.on_error == "block":
                raise Blocked(self._rule.name, kind) from None
            self._window = Window(self._finder, self._act)
            return held + text

    def _act(self, find: Find, stood: str) -> str:
        self._hits.add(self._rule, self._side, find.kind)
        match self._rule.action:
            case "block":
                raise Blocked(self._rule.name, find.kind)
            case "redact":
                return self._replace(find, stood)
            case _:
                return stood


class _Back:
    """Puts the user's own data back."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._window = Window(placeholders, self._get)

    def feed(self, text: str, *, last: bool = False) -> str:
        window = self._window
        if last:
            self._window = Window(self._placeholders, self._get)
        return window.feed(text, Timer(_PATIENCE), last=last)

    def _get(self, _: Find, stood: str) -> str:
        return self._placeholders.get(stood)
