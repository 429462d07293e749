"""Frameworks of duties and risks, tables beside this module, and what of a use case's evidence is about each of their items."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("eu_ai_act", "owasp_llm_2026", "nist_ai_600_1", "iso_42001")


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One duty, risk or control.

    It applies from `since`, and where one of the questions in `asks` (of `[assessment]`, or a group of them) is answered
    yes; always without them. It is covered by everything in `needs` together; `helps` is named beside them where it is
    there. `partial` says what stays open even then, `outside` why nothing that is recorded here speaks to it.
    """

    id: str
    says: str
    since: date | None = None
    asks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    partial: str = ""
    outside: str = ""


class Framework(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it is, where it stands, and on which day somebody looked whether this table is true to it (`verified_on`)."""

    name: str
    title: str
    source: str
    verified_on: date
    verified_by: str
    says: str
    items: tuple[Item, ...]
    groups: dict[str, tuple[str, ...]] = {}


class Told(NamedTuple):
    """What a use case has to show for one need: whether it does, and in words what there is, or what is not.

    `but` says what it does not show all the same: then nothing is more than partly covered by it.
    """

    shown: bool
    says: str
    but: str = ""


@cache
def frameworks() -> tuple[Framework, ...]:
    folder = resources.files("pilotage.report").joinpath("frameworks")
    return tuple(
        msgspec.convert(tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8")), Framework) for name in NAMES
    )


def mapped(
    framework: Framework, told: Mapping[str, Told], answers: Mapping[str, bool | None], today: date
) -> dict[str, Any]:
    """Return a framework's items with what covers each. `answers` are those of `[assessment]`, None where there is none."""
    items = [_item(framework, item, told, answers, today) for item in framework.items]
    return {
        "name": framework.name,
        "title": framework.title,
        "source": framework.source,
        "verified_on": framework.verified_on.isoformat(),
        "verified_by": framework.verified_by,
        "says": framework.says,
        "items": items,
    }


def _item(
    framework: Framework, item: Item, told: Mapping[str, Told], answers: Mapping[str, bool | None], today: date
) -> dict[str, Any]:
    shown = [told[need] for need in item.needs]
    helping = [told[help_] for help_ in item.helps if told[help_].shown]
    lacks = [one.says for one in shown if not one.shown]
    return {
        "id": item.id,
        "says": item.says,
        "since": item.since.isoformat() if item.since else "",
        "in_force": item.since is None or item.since <= today,
        "covered": _applies(framework, item, answers) or _covered(item, shown),
        "by": [one.says for one in (*shown, *helping) if one.shown],
        "lacks": [*lacks, *filter(None, (*(one.but for one in shown), item.partial, item.outside))],
    }


def _applies(framework: Framework, item: Item, answers: Mapping[str, bool | None]) -> str:
    """Return why an item does not apply, or that nobody can tell; empty where it does."""
    asked = [answers[one] for name in item.asks for one in framework.groups.get(name, (name,))]
    if not asked or True in asked:
        return ""
    return "unknown" if None in asked else "no"


def _covered(item: Item, shown: list[Told]) -> str:
    if item.outside:
        return "outside"
    if all(one.shown and not one.but for one in shown) and not item.partial:
        return "covered"
    return "partly" if any(one.shown for one in shown) else "open"
