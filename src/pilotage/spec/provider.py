"""What is known of providers: a table beside this module, read once; the gateway never does, for a release carries it."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of `providers.toml`, where the columns are explained."""

    base_url: str = ""
    example: str = ""
    api_key_env: str = ""
    auth: str = "bearer"
    dialect: str = "openai"
    headers: dict[str, str] = {}
    renames: dict[str, str] = {}
    drops: tuple[str, ...] = ()
    stream_usage: bool = True


@cache
def providers() -> Mapping[str, Provider]:
    """Return every provider by its name in `[upstreams.NAME] provider`."""
    text = resources.files("pilotage.spec").joinpath("providers.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Provider])
