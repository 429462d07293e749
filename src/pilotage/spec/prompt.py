"""Prompts: Jinja2 in a sandbox, with the same environment where a file is checked and where it is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pilotage.spec.fault import meant

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLES = ("use_case", "question", "messages")
_LONGEST = 1 << 20
_OTHER_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class _Environment(ImmutableSandboxedEnvironment):
    """No other files, no undefined names, and nothing that a short prompt could exhaust a process with by mistake.

    Compiling only translates: operators and filters on constants wait for the rendering (`intercepted_binops`, `_late`).
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            msg = "** is not available in prompts"
            raise SecurityError(msg)
        if operator == "*" and not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            msg = "only numbers can be multiplied in prompts"
            raise SecurityError(msg)
        if operator == "%" and isinstance(left, str):
            msg = "text cannot be formatted with % in prompts; use ~ to join"
            raise SecurityError(msg)
        return super().call_binop(context, operator, left, right)


_PLAIN = _Environment(undefined=jinja2.StrictUndefined, autoescape=False)
_UNBOUNDED = frozenset({"center", "format", "random", "pprint"})


def _late(name: str) -> Callable[..., Any]:
    @jinja2.pass_context
    def apply(context: jinja2.runtime.Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        return _PLAIN.call_filter(name, value, args, kwargs, context)

    return apply


def environment() -> jinja2.Environment:
    """Return the environment that prompts are compiled in; compile once, render for every request."""
    made = _Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    made.filters = {name: _late(name) for name in _PLAIN.filters if name not in _UNBOUNDED}
    del made.globals["lipsum"]
    return made


def faults(text: str) -> list[tuple[int, str]]:
    """Return (line, what is wrong and what would be right) for everything that would stop this prompt from rendering."""
    if len(text) > _LONGEST:
        return [(1, f"is longer than {_LONGEST:,} characters; knowledge belongs into files that are searched")]
    room = environment()
    try:
        tree = room.parse(text)
        found = _unknown_words(tree, room)
        unknown = meta.find_undeclared_variables(tree) - set(VARIABLES)
        room.compile(text)
    except jinja2.TemplateSyntaxError as error:
        return [(error.lineno, f"is not a Jinja2 template: {_plain(error.message)}")]
    except (RecursionError, MemoryError, ValueError, OverflowError, SyntaxError):
        # Python itself gives up on what the template turns into.
        return [(1, "is nested too deeply or holds a number too large to compile; write it more simply")]
    found += [
        (node.lineno, "a prompt is one file: include, import and extends are not available")
        for node in tree.find_all(_OTHER_FILES)
    ]
    seen: set[str] = set()
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name in unknown - seen:
            seen.add(node.name)
            found.append((node.lineno, f"'{node.name}' is not known in a prompt; it sees {', '.join(VARIABLES)}"))
    return sorted(found)


def _unknown_words(tree: nodes.Template, room: jinja2.Environment) -> list[tuple[int, str]]:
    """Return unknown filters and tests, and teach them to this environment so that compiling finds the other faults."""
    found = []
    kinds: tuple[tuple[type[nodes.Filter | nodes.Test], str, dict[str, Any]], ...] = (
        (nodes.Filter, "filter", room.filters),
        (nodes.Test, "test", room.tests),
    )
    for kind, word, known in kinds:
        for node in list(tree.find_all(kind)):
            if node.name not in known:
                found.append((node.lineno, f"there is no {word} '{node.name[:60]}'{meant(node.name, known)}"))
                known[node.name] = bool
    return found


def _plain(message: str | None) -> str:
    return (message or "cannot be read").rstrip(".").replace("\n", " ")
