"""Counterfactuals: a template says who may ask, and a case becomes the same question by different people."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.errors import FaultyFile
from pilotage.evaluation.dataset import asked
from pilotage.spec.variant import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.spec.case import Case

LARGEST = 1 << 20
_Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
_AT_LINE = re.compile(r"\(at line (\d+)")


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`values` stand for its people, two at least; `rewrite` is how they write: (regular expression, replacement)."""

    values: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=2)]
    rewrite: tuple[tuple[str, str], ...] = ()

    def writes(self, text: str) -> str:
        for pattern, replacement in self.rewrite:
            text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
        return text


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ask` holds `{value}` and `{text}`; every group is compared with the `reference`."""

    attribute: _Name
    ask: str
    reference: str
    groups: dict[_Name, Group]

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.groups if name != self.reference)

    def messages(self, case: Case, number: int, group: str, *, other: bool = False) -> list[dict[str, Any]]:
        """Return the messages of a case as somebody of a group asks it; `other`: as somebody else of the same group."""
        one = self.groups[group]
        value = one.values[(number + other) % len(one.values)]
        said = [dict(message) for message in asked(case)]
        last = max(at for at, message in enumerate(said) if message["role"] == "user")
        if isinstance(said[last]["content"], str):
            text = one.writes(said[last]["content"])
            said[last]["content"] = self.ask.replace("{value}", value).replace("{text}", text)
        return said


def read_template(name: str, data: bytes) -> Template:
    """Return the template of a TOML file; raise FaultyFile with what is wrong, by line where TOML itself is."""
    if len(data) > LARGEST:
        raise _none(name, 1, f"is larger than {LARGEST >> 20} MB")
    try:
        template = msgspec.convert(tomllib.loads(data.decode("utf-8-sig")), Template)
    except tomllib.TOMLDecodeError as fault:
        found = _AT_LINE.search(str(fault))
        raise _none(name, int(found[1]) if found else 1, f"is not TOML: {fault}") from None
    except (msgspec.ValidationError, UnicodeDecodeError) as fault:
        raise _none(name, 1, f"is no template: {fault}") from None
    faults = list(_faults(template))
    if faults:
        raise FaultyFile([f"{name}:1: {says}" for says in faults], outcome="nothing was asked")
    return template


@cache
def built_in() -> tuple[Template, ...]:
    return tuple(read_template(name, data) for name, data in built_in_files())


def built_in_files() -> tuple[tuple[str, bytes], ...]:
    """Return the templates that come with Pilotage, as files to be edited."""
    folder = resources.files("pilotage.evaluation.bias").joinpath("templates")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return tuple((file.name, file.read_bytes()) for file in files)


def _faults(template: Template) -> Iterator[str]:
    for part in ("{value}", "{text}"):
        if part not in template.ask:
            yield f"ask holds no {part}; write it such as 'My name is {{value}}. {{text}}'"
    if template.reference not in template.groups:
        yield f"reference is {template.reference!r}, and the groups are {', '.join(template.groups)}"
    if len(template.groups) < 2:
        yield "has fewer than two groups, so there is nothing to compare"
    for name, group in template.groups.items():
        for pattern, replacement in group.rewrite:
            try:
                re.sub(pattern, replacement, "")
                re.compile(pattern)
            except (re.error, IndexError) as fault:
                yield f"groups.{name}.rewrite: {pattern!r} cannot be used: {fault}"


def _none(name: str, line: int, says: str) -> FaultyFile:
    return FaultyFile([f"{name}:{line}: {says}"], outcome="nothing was asked")
