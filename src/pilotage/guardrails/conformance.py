"""Whether an answer is what a JSON schema asks for, and if not, what is wrong with it in words without its values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from pilotage.guardrails.look import Late
from pilotage.spec.answer_schema import DEEPEST, Unusable, Work, read, usable
from pilotage.spec.expectation import validator

_MOST_LOOKS = 10_000_000
"""Of a schema at a text: they take a tenth of a second or two."""
_PARTS = (",", ":", "[", "{")
_SHARE = 8
"""A pattern reads so many signs of a text in the time of one look."""
_MOST_FAULTS = 5
_SAID_MOST = 300
_MASK = "this value"


class Conformance:
    """One schema. Raises Unusable where it is none that can be used."""

    def __init__(self, schema: str) -> None:
        value = read(schema)
        self._right = usable(value)
        self._says = validator(value, mask=_MASK)
        self._work = Work(value)

    def faults(self, text: str) -> list[str]:
        """Return what is wrong with a text, nothing where it conforms; raise Late where telling could take long."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as fault:
            return [f"it is not JSON alone, without any words or marks around it ({fault})"]
        depth = _depth(value)
        if depth > DEEPEST:
            return [f"it nests deeper than {DEEPEST} levels"]
        size = 1 + sum(text.count(sign) for sign in _PARTS) + len(text) // _SHARE
        try:
            looks = self._work.of(depth) * size
        except Unusable:
            raise Late from None
        if looks > _MOST_LOOKS:
            raise Late
        if self._right.is_valid(value):
            return []
        found = []
        for error in self._says.iter_errors(value):
            where = "/".join(map(str, error.instance_path))
            found.append(f"at /{where}: {error.message}"[:_SAID_MOST])
            if len(found) == _MOST_FAULTS:
                break
        return found


def _depth(value: Any) -> int:
    """Return how many levels a JSON value has, up to one more than the deepest."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        depth += bool(level)
    return depth


@lru_cache(maxsize=64)
def conformance(schema: str) -> Conformance:
    """Return what holds texts against a schema, made once; raise Unusable."""
    return Conformance(schema)
