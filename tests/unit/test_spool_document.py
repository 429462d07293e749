"""docs/events.md is the contract: it names every field of every event, with its type and default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from pilotage.records import EVENT_VERSION, GuardrailHit, SpoolEvent

DOCUMENT = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
KINDS: dict[str, Any] = {struct.__struct_config__.tag: struct for struct in get_args(SpoolEvent)}
WORDS = {str: "text", int: "integer", float: "number", bool: "boolean", tuple[GuardrailHit, ...]: "list"}


def documented(kind: str) -> list[tuple[str, str, str]]:
    """Return (field, type, default) of each row of a kind's table."""
    section = re.search(rf"^### `{kind}`\n(.*?)^##", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section, f"docs/events.md has no section for {kind}"
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`(.*?)`)? ?\| \S", section[1], re.MULTILINE)
    return [(name, kind_of, default) for name, kind_of, default in rows]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_field_is_documented_in_its_order(kind: str) -> None:
    expected = [
        (
            field.name,
            WORDS[field.type],
            "" if field.required else msgspec.json.encode(field.default).decode(),
        )
        for field in msgspec.structs.fields(KINDS[kind])
    ]
    assert documented(kind) == expected


def test_no_kind_is_documented_that_is_not_there() -> None:
    fields = DOCUMENT.partition("\n## Fields\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### `(\w+)`", fields, re.MULTILINE)) == set(KINDS)
    assert f"# Events, version {EVENT_VERSION}\n" in DOCUMENT


def test_what_a_guardrail_hit_holds_is_documented() -> None:
    row = next(line for line in DOCUMENT.splitlines() if line.startswith("| `hits`"))
    for name in GuardrailHit.__struct_fields__:
        assert f"`{name}`" in row
