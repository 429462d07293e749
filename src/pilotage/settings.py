"""Process settings: the only reader of the environment. Options on the command line come first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.clock import Clock, clock_from
from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WORKSPACE = ".pilotage"
LOG_LEVELS = ("debug", "info", "warning", "error")

SETTINGS: dict[str, tuple[str, str]] = {
    "PILOTAGE_WORKSPACE": (
        f"`{DEFAULT_WORKSPACE}`",
        "the folder that holds state, events and texts; `--workspace` comes first",
    ),
    "PILOTAGE_SERVER": (
        "none",
        "the address of a control API, such as `http://127.0.0.1:8701`, where commands then work; `--server` comes first",
    ),
    "PILOTAGE_KEY": ("none", "the key that commands present to that server"),
    "PILOTAGE_CLOCK": (
        "the system's clock",
        "a time-lapse, the same in every process: `origin:start:rate`, real and scaled time in microseconds since 1970",
    ),
    "PILOTAGE_LOG": (
        "`info`",
        f"how much is logged on standard error: {', '.join(f'`{level}`' for level in LOG_LEVELS)}",
    ),
}
"""Every setting: its default and what it does. docs/reference/settings.md shows this table, held by a test."""


@dataclass(frozen=True, slots=True)
class Settings:
    workspace: Path
    server: str
    key: str
    clock: Clock
    clock_text: str
    log: str


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read every setting; raise WrongCall that names the variable and says what it takes."""
    given = os.environ if environ is None else environ
    server = given.get("PILOTAGE_SERVER", "").rstrip("/")
    if server and not server.startswith(("http://", "https://")):
        raise WrongCall(
            f"PILOTAGE_SERVER is {server!r}, which is no address", hint="it starts with http:// or https://"
        )
    log = given.get("PILOTAGE_LOG", "") or "info"
    if log not in LOG_LEVELS:
        raise WrongCall(f"PILOTAGE_LOG is {log!r}", hint=f"it is one of {', '.join(LOG_LEVELS)}")
    clock_text = given.get("PILOTAGE_CLOCK", "")
    try:
        clock = clock_from(clock_text)
    except ValueError as fault:
        raise WrongCall(f"PILOTAGE_CLOCK: {fault}", hint="leave it out for the system's clock") from None
    return Settings(
        workspace=Path(given.get("PILOTAGE_WORKSPACE", "") or DEFAULT_WORKSPACE),
        server=server,
        key=given.get("PILOTAGE_KEY", ""),
        clock=clock,
        clock_text=clock_text,
        log=log,
    )


def environment(name: str) -> str:
    """Return a variable that a use case's file names, such as a provider's key; empty where it is not set."""
    return os.environ.get(name, "")


def user_name() -> str:
    """Return who runs this process, for the ledger."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment for a process that this one starts."""
    return {**os.environ, **changes}
