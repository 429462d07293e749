"""The validator's findings in plain words: what is wrong, and what would be right."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from pilotage.spec.fault import meant, shown
from pilotage.spec.metric import Incoherent
from pilotage.spec.use_case import UseCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

KeyPath = tuple[str | int, ...]

_EXAMPLES = {
    "name": '"support"',
    "owner": '"Jane Doe"',
    "upstream": '"openai"',
    "share": "5",
    "new_units_a_day": "1000",
}
_NAMES = "names begin with a lower-case letter and hold lower-case letters, digits, - and _ only (at most 63)"
_WANTED = {
    "string_type": 'text in quotes, such as "..."',
    "bool_type": "true or false, without quotes",
    "float_type": "a number, without quotes",
    "int_type": "a whole number, without quotes",
    "int_from_float": "a whole number",
    "tuple_type": 'a list, such as ["..."]',
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def explain(error: ErrorDetails, root: type[BaseModel] = UseCase) -> Iterator[tuple[KeyPath, str]]:
    """Yield (key path, sentence) for one of pydantic's errors: one, or several where a table is at odds with itself.

    `root` is the model of the whole file.
    """
    path = tuple(part for part in error["loc"] if part != "[key]")
    kind, context = error["type"], error.get("ctx", {})
    name = dotted(path)
    given = shown(error["input"])
    if kind == "missing":
        yield path, _missing(path, root)
    elif kind == "extra_forbidden":
        request = len(path) == 3 and path[0] == "variants"
        hint = "; request fields such as temperature stand in its parameters" if request else ""
        yield path, f"unknown key '{name}'{meant(str(path[-1]), _known(path[:-1], root))}{hint}"
    elif kind == "literal_error":
        expected = str(context.get("expected", ""))
        yield path, f"{name} = {given} is not one of {expected}"
    elif kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        yield path, f"{name} = {given} must be {word} {context.get(bound)}"
    elif kind == "string_pattern_mismatch":
        yield path, _pattern(name, given, str(context.get("pattern", "")))
    elif kind in ("string_too_short", "too_short"):
        yield path, f"{name} is empty; write at least one{' character' if kind == 'string_too_short' else ''}"
    elif kind == "default_factory_not_called":
        return  # a default that another key decides; what is wrong with that one is told
    elif kind in _WANTED:
        yield path, f"{name} = {given} must be {_WANTED[kind]}"
    elif kind == "value_error" and isinstance(context.get("error"), Incoherent):
        for key, says in context["error"].faults:
            where = (*path, *key.split(".", 1)) if key else path
            yield where, f"{dotted(path)}: {says}" if path else says
    elif kind == "value_error":
        yield path, f"{name}: {context['error']}"
    else:
        yield path, f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def dotted(path: KeyPath) -> str:
    """Return a key path as people write it: `rollout.steps[1].share`, steps counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f"{'.' if text else ''}{str(part)[:80]}"
    return text or "usecase.toml"


def _missing(path: KeyPath, root: type[BaseModel]) -> str:
    model, key = _model(path[:-1], root), str(path[-1])
    field = model.model_fields.get(key) if model else None
    meaning = (field.description or "").split(". ")[0].rstrip(".") if field else ""
    around = f" in [{dotted(path[:-1])}]" if path[1:] else ""
    if path == ("variants",):
        return (
            'there is no variant; write at least one, such as [variants.assistant] with upstream = "openai" and a model'
        )
    example = f"; write {key} = {_EXAMPLES.get(key, '...')}"
    return f"'{key}' is missing{around}{f' ({meaning[:1].lower()}{meaning[1:]})' if meaning else ''}{example}"


def _pattern(name: str, given: str, pattern: str) -> str:
    if "A-Z]{3}" in pattern:
        return f"{name} = {given} is not a currency; write its three capital letters, such as EUR"
    return f"{name}: {given} is not a name here; {_NAMES}"


def _known(path: KeyPath, root: type[BaseModel]) -> list[str]:
    model = _model(path, root)
    return list(model.model_fields) if model else []


def _model(path: KeyPath, root: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model of the table at this key path."""
    kind: Any = root
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = _content(field.annotation) if field else None
        else:
            kind = _content(get_args(kind)[-1 if get_origin(kind) is dict else 0]) if get_args(kind) else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _content(kind: Any) -> Any:
    """Return a type without `Annotated` and without `| None`."""
    while hasattr(kind, "__metadata__"):
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return next(_content(part) for part in get_args(kind) if part is not type(None))
    return kind
