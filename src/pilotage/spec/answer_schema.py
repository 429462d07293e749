"""A JSON schema that answers are held against: what may stand in one, and the most work that it can make.

Whoever sends a request may bring the schema for its answer, so one must not take long whatever it says. References that
fan out double the work with each step, and no validator can be interrupted: what a text can take at most is counted before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.spec.expectation import validator

if TYPE_CHECKING:
    pass

LONGEST = 64 << 10
"""Bytes of a schema."""
DEEPEST = 64
"""Levels of a text that is held against one."""
_STEPS = 20_000
"""Parts of a schema times levels of a text that are counted at most."""
_MOST = 1 << 40
_ELSEWHERE = ("$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", "$recursiveAnchor")
_HERE = ("not", "if", "then", "else", "allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies")
"""Keywords whose schemas look at the same value again, as `$ref` does."""
_WITHIN = (
    *("patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames"),
    *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains"),
)
"""Keywords whose schemas look at a value's parts; `properties` has one for each."""
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})


class Unusable(ValueError):
    """Why a schema cannot be used, in words."""


def read(text: str) -> dict[str, Any]:
    """Return the schema that a text holds; raise Unusable."""
    if len(text.encode()) > LONGEST:
        raise Unusable(f"is larger than {LONGEST >> 10} KB")
    try:
        schema = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as fault:
        raise Unusable(f"is not JSON: {fault}") from None
    if not isinstance(schema, dict):
        raise Unusable('is no object; write a JSON schema, such as {"type": "object", "required": ["answer"]}')
    return schema


def usable(schema: dict[str, Any]) -> Any:
    """Return a schema's validator; raise Unusable."""
    Work(schema).of(DEEPEST // 8)
    try:
        return validator(schema)
    except ValueError as fault:
        raise Unusable(f"is no JSON schema that can be used: {str(fault).splitlines()[0][:200]}") from None


class Work:
    """How often a schema's parts look at one value of a text, at most; raises Unusable where that has no bound."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._root = schema
        self._by_depth: dict[int, int] = {}
        self._known: dict[tuple[int, int], int] = {}
        self._under_way: set[tuple[int, int]] = set()

    def of(self, depth: int) -> int:
        """Return the looks at a value and at all that it is part of, in a text of so many levels."""
        if depth not in self._by_depth:
            self._known.clear()
            self._under_way.clear()
            try:
                self._by_depth[depth] = self._looks(self._root, depth)
            except RecursionError:
                raise Unusable("goes too deep, by its own parts or by its references") from None
        return self._by_depth[depth]

    def _looks(self, schema: Any, depth: int) -> int:
        if not isinstance(schema, dict):
            return 1
        key = id(schema), depth
        if key in self._known:
            return self._known[key]
        if key in self._under_way:
            raise Unusable("refers to itself in a circle, without going deeper into what it describes")
        if len(self._known) + len(self._under_way) > _STEPS:
            raise Unusable("has too many parts")
        self._under_way.add(key)
        self._judge(schema)
        here = [part for name in _HERE for part in _parts(schema, name)]
        if "$ref" in schema:
            here.append(self._referred(schema["$ref"]))
        # What is left unevaluated is found by evaluating all of it again.
        times = 2 if "unevaluatedProperties" in schema or "unevaluatedItems" in schema else 1
        looks = 1 + sum(len(value) for value in schema.values() if isinstance(value, list))
        looks += times * sum(self._looks(part, depth) for part in here)
        if depth:
            looks += sum(self._looks(part, depth - 1) for name in _WITHIN for part in _parts(schema, name))
            looks += max((self._looks(part, depth - 1) for part in _parts(schema, "properties")), default=0)
        self._under_way.discard(key)
        self._known[key] = looks = min(looks, _MOST)
        return looks

    def _judge(self, schema: dict[str, Any]) -> None:
        """Raise Unusable for what would have to be looked for elsewhere."""
        for name in _ELSEWHERE:
            if name in schema:
                raise Unusable(f"has {name}; refer to its own parts by $ref, such as #/$defs/address")
        if "$id" in schema and schema is not self._root:
            says = "has an $id within; write one schema, and refer to its parts by $ref, such as #/$defs/address"
            raise Unusable(says)

    def _referred(self, reference: Any) -> Any:
        """Return the part that a JSON pointer (RFC 6901) names."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")) or "%" in reference:
            raise Unusable(f"refers to {str(reference)[:60]!r}; refer to its own parts, such as #/$defs/address")
        part: Any = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(part, dict) and name in part:
                part = part[name]
            elif isinstance(part, list) and name.isdecimal() and int(name) < len(part):
                part = part[int(name)]
            else:
                raise Unusable(f"refers to {reference[:60]!r}, which is not there")
        return part


def _parts(schema: dict[str, Any], name: str) -> list[Any]:
    """Return the schemas of a keyword that has one, a list of them, or one for each name."""
    value = schema.get(name)
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return list(value.values()) if name in _BY_NAME else [value]
    return []
