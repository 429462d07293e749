"""Process settings: the only reader of the environment. Options on the command line come first."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.clock import Clock, clock_from
from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WORKSPACE = ".pilotage"
_HTTP_PROXY = re.compile(r"(?:http://)?(?:[^@/\s]*@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?/?")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

SETTINGS: dict[str, tuple[str, str]] = {
    "PILOTAGE_WORKSPACE": (
        f"`{DEFAULT_WORKSPACE}`",
        "the folder that holds state, events and texts; `--workspace` comes first",
    ),
    "PILOTAGE_SERVER": (
        "none",
        "the address of a control API, such as `http://127.0.0.1:8701`, where commands then work; `--server` comes first",
    ),
    "PILOTAGE_KEY": (
        "none",
        "the key whose person acts: on that server, and on a workspace of this machine in place of the local user",
    ),
    "PILOTAGE_CLOCK": (
        "the system's clock",
        "a time-lapse, the same in every process: `origin:start:rate`, real and scaled time in microseconds since 1970",
    ),
    "PILOTAGE_LOG": (
        "`info`",
        f"how much is logged on standard error: {', '.join(f'`{level}`' for level in LOG_LEVELS)}",
    ),
    "PILOTAGE_LOG_FORMAT": (
        "`text`",
        "`text`, or `json` for one object a line; `--log-format` comes first",
    ),
    "PILOTAGE_ANCHORS": (
        "none",
        "where checkpoints of the ledger go by themselves, with commas between: files (`/mnt/audit/ledger.jsonl`), repositories for tags (`git:/srv/audit`), addresses (`https://...`); see [the ledger](../ledger.md)",
    ),
    "PILOTAGE_CALLABLES": (
        "none",
        "folders, with colons between, that pipelines of one's own are imported from; whatever lies there may be run",
    ),
    "PILOTAGE_CA_FILE": (
        "none",
        "a PEM file of certificate authorities that are trusted for providers beside the system's own",
    ),
    "HTTPS_PROXY": (
        "none",
        "the way out to providers at `https://`: `http://user:password@proxy:3128`. It sees which host is called, no more",
    ),
    "NO_PROXY": (
        "none",
        "whom the proxy is not asked for: domains, hosts with ports, addresses, networks, with commas between; `*` is all",
    ),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        "none",
        "where spans of requests are sent, such as `http://127.0.0.1:4318`, as OTLP over HTTP ([signals](../signals.md)); with it, `OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_PROTOCOL` (`http/protobuf`, `http/json`) and the same with `_TRACES`",
    ),
    "OTEL_SERVICE_NAME": (
        "`pilotage`",
        "the service's name in spans; `OTEL_RESOURCE_ATTRIBUTES` adds others",
    ),
    "OTEL_TRACES_SAMPLER": (
        "`parentbased_always_on`",
        "which traces are told of: `always_on`, `always_off` or `traceidratio` with `OTEL_TRACES_SAMPLER_ARG`, each also with `parentbased_` before it",
    ),
    "OTEL_BSP_MAX_QUEUE_SIZE": (
        "`2048`",
        "traced requests that may wait to be sent; `OTEL_BSP_SCHEDULE_DELAY` (milliseconds, `5000`) and `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` (`512`) say when",
    ),
    "OTEL_SDK_DISABLED": (
        "`false`",
        "`true` sends no spans; so does `OTEL_TRACES_EXPORTER` with anything but `otlp`",
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
    log_format: str


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read every setting; raise WrongCall that names the variable and says what it takes."""
    given = os.environ if environ is None else environ
    server = given.get("PILOTAGE_SERVER", "").rstrip("/")
    if server and not server.startswith(("http://", "https://")):
        raise WrongCall(
            f"PILOTAGE_SERVER is {server!r}, which is no address", hint="it starts with http:// or https://"
        )
    egress(given)
    log = given.get("PILOTAGE_LOG", "") or "info"
    if log not in LOG_LEVELS:
        raise WrongCall(f"PILOTAGE_LOG is {log!r}", hint=f"it is one of {', '.join(LOG_LEVELS)}")
    log_format = given.get("PILOTAGE_LOG_FORMAT", "") or "text"
    if log_format not in LOG_FORMATS:
        raise WrongCall(f"PILOTAGE_LOG_FORMAT is {log_format!r}", hint=f"it is one of {', '.join(LOG_FORMATS)}")
    clock_text = given.get("PILOTAGE_CLOCK", "")
    try:
        clock = clock_from(clock_text)
    except ValueError as fault:
        raise WrongCall(f"PILOTAGE_CLOCK: {fault}", hint="leave it out for the system's clock") from None
    callables(given)
    anchors(given)
    return Settings(
        workspace=Path(given.get("PILOTAGE_WORKSPACE", "") or DEFAULT_WORKSPACE),
        server=server,
        key=given.get("PILOTAGE_KEY", ""),
        clock=clock,
        clock_text=clock_text,
        log=log,
        log_format=log_format,
    )


def environment(name: str) -> str:
    """Return a variable that a use case's file names, such as a provider's key; empty where it is not set."""
    return os.environ.get(name, "")


def egress(environ: Mapping[str, str] | None = None) -> tuple[str, str, str]:
    """Return (proxy, whom it is not asked for, file of certificate authorities) of calls to providers."""
    given = os.environ if environ is None else environ
    proxy = given.get("HTTPS_PROXY", "") or given.get("https_proxy", "")
    if proxy and not _HTTP_PROXY.fullmatch(proxy):
        # Its value may hold a password, so it is not repeated.
        raise WrongCall("HTTPS_PROXY is no address of a proxy", hint="it is http://host:port")
    ca_file = given.get("PILOTAGE_CA_FILE", "")
    if ca_file:
        import ssl

        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as fault:
            raise WrongCall(
                f"PILOTAGE_CA_FILE is {ca_file!r}, which cannot be used: {fault.strerror or fault}",
                hint="it names a PEM file with the certificates of authorities",
            ) from None
    return proxy, given.get("NO_PROXY", "") or given.get("no_proxy", ""), ca_file


def callables(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Return the folders that pipelines may be imported from; raise WrongCall that names one which is not there."""
    given = (os.environ if environ is None else environ).get("PILOTAGE_CALLABLES", "")
    folders = tuple(Path(part) for part in given.split(os.pathsep) if part)
    for folder in folders:
        if not folder.is_dir():
            raise WrongCall(
                f"PILOTAGE_CALLABLES names {str(folder)!r}, which is no folder", hint="name folders that are there"
            )
    return tuple(folder.resolve() for folder in folders)


def anchors(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the places that the ledger is anchored in; raise WrongCall that says what a place looks like."""
    given = (os.environ if environ is None else environ).get("PILOTAGE_ANCHORS", "")
    places = tuple(place.strip() for place in given.split(",") if place.strip())
    for place in places:
        address = place.startswith(("http://", "https://"))
        if not address and not place.removeprefix("git:").startswith("/"):
            # It may be an address that was mistyped, with a secret in it, so it is not repeated.
            raise WrongCall(
                "PILOTAGE_ANCHORS names a place that is none",
                hint="it is /path/to/file, git:/path/to/repository or https://address, with commas between",
            )
    return places


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
