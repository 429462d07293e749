"""One request's passage through its release's filters, and its answer's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from pilotage.clock import SECOND
from pilotage.guardrails.look import Blocked, Late, Timer
from pilotage.guardrails.names import Names
from pilotage.guardrails.placeholders import Placeholders
from pilotage.guardrails.tools import fault
from pilotage.guardrails.topics import strays
from pilotage.guardrails.window import Window
from pilotage.records import GuardrailHit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.guardrails.filters import Filters, TextFilter
    from pilotage.guardrails.look import Find, Finder
    from pilotage.spec.filter_rule import FilterRule

    Replace = Callable[[Find, str], str]

_PATIENCE = 60.0
log = logging.getLogger(__name__)


class Hits:
    """What was found, counted. Never the text."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str, str], int] = {}

    def add(self, rule: FilterRule, side: str, kind: str, *, action: str = "") -> None:
        what = rule.name, side, action or rule.action, kind
        self._counts[what] = self._counts.get(what, 0) + 1

    def records(self) -> tuple[GuardrailHit, ...]:
        if not self._counts:
            return ()
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
        self.names = Names()
        """Names that were found in this request and its answer, by whoever looks for them."""

    @property
    def looks_out(self) -> bool:
        return self._filters.looks_out or bool(self._placeholders)

    def reserve(self, texts: list[str]) -> None:
        self._placeholders.reserve(texts)

    def entering(self) -> Channel:
        """Return a channel for all texts of the request in turn: its `last` ends one, and the next may begin."""
        return _Chain(
            [self._step(one, "in", self._put(one.rule), self.hits, at_once=True) for one in self._filters.into]
        )

    def leaving(self, *, at_once: bool, counts: bool = True) -> Channel:
        """Return a channel for the texts of an answer: `at_once` for a whole one, otherwise each event is a look.

        It counts nothing where what it passes was counted already.
        """
        hits = self.hits if counts else Hits()
        steps: list[Channel] = [self._step(one, "out", _kind, hits, at_once=at_once) for one in self._filters.out]
        if self._placeholders:
            steps.append(_Back(self._placeholders))
        return steps[0] if len(steps) == 1 else _Chain(steps)

    def asks(self, question: str) -> None:
        """Look at what is asked last."""
        for rule in self._filters.topics:
            if strays(question, rule.topics):
                self.met(rule, "in", "off_topic")

    def offers(self, tool: str) -> None:
        """Look at a tool that the caller offers."""
        for rule in self._filters.tools_in:
            if found := fault(rule, tool):
                self.met(rule, "in", found)

    def calls(self, tool: str, arguments: str) -> None:
        """Look at a call that the model makes; `arguments` are JSON."""
        for rule in self._filters.tools_out:
            if found := fault(rule, tool, arguments):
                self.met(rule, "out", found)

    def met(self, rule: FilterRule, side: str, kind: str) -> None:
        """Count what a filter found, and do what its file says; what is to be redacted is only counted."""
        self.hits.add(rule, side, kind)
        if rule.action == "block":
            raise Blocked(rule.name, kind)

    def erred(self, rule: FilterRule, side: str, kind: str) -> None:
        """Do what the file says where a filter cannot tell: `late` or `error`."""
        self.hits.add(rule, side, kind, action=rule.on_error)
        if rule.on_error == "block":
            raise Blocked(rule.name, kind)

    def _step(self, one: TextFilter, side: str, replace: Replace, hits: Hits, *, at_once: bool) -> Channel:
        if one.finder is None:
            return _Length(one.rule, side, hits)
        finder = self.names if one.rule.kind == "names" else one.finder
        return _Step(one.rule, finder, side, replace, hits, at_once=at_once)

    def _put(self, rule: FilterRule) -> Replace:
        if not rule.restore:
            return _kind
        return lambda find, stood: self._placeholders.put(find.kind, stood)


def _kind(find: Find, _: str) -> str:
    return f"[{find.kind}]"


class _Chain:
    def __init__(self, steps: Sequence[Channel]) -> None:
        self._steps = steps

    def feed(self, text: str, *, last: bool = False) -> str:
        for step in self._steps:
            text = step.feed(text, last=last)
        return text


class _Step:
    """One filter on one text after another. Its deadline bounds each look; `at_once`, all of them together."""

    def __init__(
        self, rule: FilterRule, finder: Finder, side: str, replace: Replace, hits: Hits, *, at_once: bool
    ) -> None:
        self._seconds = rule.deadline / SECOND
        self._timer = Timer(self._seconds) if at_once else None
        self._rule = rule
        self._finder = finder
        self._side = side
        self._replace = replace
        self._hits = hits
        self._window = Window(finder, self._act)

    def feed(self, text: str, *, last: bool = False) -> str:
        window = self._window
        if last:
            self._window = Window(self._finder, self._act)
        elif (clear := window.glance(text)) is not None:
            return clear
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


class _Length:
    """Counts signs: all texts of a request together, or one of an answer."""

    def __init__(self, rule: FilterRule, side: str, hits: Hits) -> None:
        self._rule = rule
        self._side = side
        self._hits = hits
        self._left = rule.most

    def feed(self, text: str, *, last: bool = False) -> str:
        del last
        within = self._left >= 0
        self._left -= len(text)
        if within and self._left < 0:
            self._hits.add(self._rule, self._side, "length")
            if self._rule.action == "block":
                raise Blocked(self._rule.name, "length")
        return text


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
