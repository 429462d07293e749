"""Prompts: Jinja2 in a sandbox, with the same environment where a file is checked and where it is rendered."""

from __future__ import annotations

import traceback
from itertools import count
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pilotage.spec.fault import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

VARIABLES = ("use_case", "question", "messages")
_SEEN = "use_case and question are texts, messages a list of what has role and content"
RENDERING = (jinja2.TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What rendering may raise."""
_LONGEST = 1 << 20
_LONGEST_RANGE = 1_000
_MOST_STEPS = 100_000
"""Turns of loops and calls in one rendering, which no other request of the process can interrupt."""
_STEPS = "loop steps"
"""A filter, and where a rendering keeps its count: not a name that a prompt can write."""
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

    def call(self, context: Any, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        _step(context)
        return super().call(context, callee, *args, **kwargs)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        for loop in source.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _STEPS, [], [], None, None, lineno=loop.lineno)
        return super()._generate(source, *args, **kwargs)


def _step(context: jinja2.runtime.Context) -> None:
    steps = context.parent.setdefault(_STEPS, count(1))
    if next(steps) > _MOST_STEPS:
        msg = f"a prompt may take {_MOST_STEPS:,} turns of loops and calls"
        raise SecurityError(msg)


@jinja2.pass_context
def _stepped(context: jinja2.runtime.Context, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _step(context)
        yield value


def _range(*args: int) -> range:
    made = range(*args)
    if len(made) > _LONGEST_RANGE:
        msg = f"range gives at most {_LONGEST_RANGE:,} numbers in prompts"
        raise SecurityError(msg)
    return made


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
    made.filters[_STEPS] = _stepped
    made.globals["range"] = _range
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
    found += _long_loops(tree)
    seen: set[str] = set()
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name in unknown - seen:
            seen.add(node.name)
            found.append((node.lineno, f"'{node.name}' is not known in a prompt; it sees {', '.join(VARIABLES)}"))
    return sorted(found) or _tried(text)


def _tried(text: str) -> list[tuple[int, str]]:
    """Return what goes wrong when it is rendered for the plainest of requests."""
    asked = {"role": "user", "content": "When does it arrive?"}
    try:
        environment().from_string(text).render(use_case="helpdesk", question=asked["content"], messages=[asked])
    except (*RENDERING, MemoryError) as fault:
        frames = traceback.extract_tb(fault.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == "<template>"), None)
        says = _plain(str(fault)) if isinstance(fault, jinja2.TemplateError) else type(fault).__name__
        right = f"; {_SEEN}" if isinstance(fault, jinja2.UndefinedError) else ""
        return [(line or 1, f"does not render for a plain question: {says}{right}")]
    return []


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


def _long_loops(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Yield what would keep a process busy, as far as that can be seen without rendering."""
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            yield loop.lineno, "recursive loops are not available in prompts"
        if _counts(loop.iter) and any(_counts(inner.iter) for inner in loop.find_all(nodes.For) if inner is not loop):
            yield loop.lineno, "a loop over range within a loop over range is not available in prompts"
    for call in tree.find_all(nodes.Call):
        if not isinstance(call.node, nodes.Name) or call.node.name != "range":
            continue
        given = [argument.value for argument in call.args if isinstance(argument, nodes.Const)]
        if len(given) != len(call.args) or not all(isinstance(value, int) for value in given):
            continue
        try:
            _range(*given)
        except (SecurityError, ValueError, TypeError, OverflowError) as fault:
            yield call.lineno, f"this range cannot be used: {_plain(str(fault))}"


def _counts(values: nodes.Node) -> bool:
    """Return whether a loop's values come from `range`."""
    return any(node.name == "range" for node in (values, *values.find_all(nodes.Name)) if isinstance(node, nodes.Name))


def _plain(message: str | None) -> str:
    return (message or "cannot be read").rstrip(".").replace("\n", " ")
