"""What is found where tables do not fit together, and how they are read: values of a wrong type are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
Finding = tuple[KeyPath, str]


def table_of(tables: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the table under `key`; an empty one where there is none, or something else."""
    value = tables.get(key)
    return value if isinstance(value, dict) else {}
