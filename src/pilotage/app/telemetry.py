"""How spans leave, by OpenTelemetry's own variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from collections.abc import Callable

_ALWAYS, _NEVER, _RATIO = "always_on", "always_off", "traceidratio"
_PROTOCOLS = ("http/protobuf", "http/json")
_SAMPLERS = (_ALWAYS, _NEVER, _RATIO)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """`ratio` of traces that begin here are told of; those of a caller as the caller decided, if `by_parent`."""

    endpoint: str
    headers: tuple[tuple[str, str], ...]
    timeout: float
    gzip: bool
    protobuf: bool
    resource: tuple[tuple[str, str], ...]
    ratio: float
    by_parent: bool
    delay: float
    queue: int
    batch: int


def telemetry(given: Callable[[str], str]) -> Telemetry | None:
    """Return where spans go, None where nowhere; `given` reads a variable. Raise WrongCall that names the variable and what it takes."""
    base = given("OTEL_EXPORTER_OTLP_ENDPOINT")
    endpoint = given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (base and f"{base.rstrip('/')}/v1/traces")
    if not endpoint or given("OTEL_SDK_DISABLED").lower() == "true":
        return None
    if given("OTEL_TRACES_EXPORTER") not in ("", "otlp"):
        return None
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongCall("OTEL_EXPORTER_OTLP_ENDPOINT is no address", hint="such as http://127.0.0.1:4318")
    protocol = _first(given, "PROTOCOL") or _PROTOCOLS[0]
    if protocol not in _PROTOCOLS:
        raise WrongCall(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, which Pilotage does not speak",
            hint=f"it is one of {', '.join(_PROTOCOLS)}; collectors take both at port 4318",
        )
    ratio, by_parent = _sampler(given)
    resource = {
        "service.name": "pilotage",
        **dict(_pairs("OTEL_RESOURCE_ATTRIBUTES", given("OTEL_RESOURCE_ATTRIBUTES"))),
    }
    if given("OTEL_SERVICE_NAME"):
        resource["service.name"] = given("OTEL_SERVICE_NAME")
    queue = _whole(given, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
    return Telemetry(
        endpoint=endpoint,
        headers=tuple(_pairs("OTEL_EXPORTER_OTLP_HEADERS", _first(given, "HEADERS"))),
        timeout=_whole(given, "OTEL_EXPORTER_OTLP_TIMEOUT", 10_000) / 1000,
        gzip=_first(given, "COMPRESSION") == "gzip",
        protobuf=protocol == _PROTOCOLS[0],
        resource=tuple(resource.items()),
        ratio=ratio,
        by_parent=by_parent,
        delay=_whole(given, "OTEL_BSP_SCHEDULE_DELAY", 5_000) / 1000,
        queue=queue,
        batch=min(_whole(given, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512), queue),
    )


def _first(given: Callable[[str], str], name: str) -> str:
    """Return what is set for traces, or else for all signals."""
    return given(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or given(f"OTEL_EXPORTER_OTLP_{name}")


def _pairs(variable: str, text: str) -> list[tuple[str, str]]:
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not unquote(value).isprintable():
            # Its value may be a secret, so it is not repeated.
            raise WrongCall(f"{variable} cannot be read", hint="write name=value,name=value")
        found.append((name.strip(), unquote(value.strip())))
    return found


def _whole(given: Callable[[str], str], name: str, otherwise: int) -> int:
    text = given(name)
    if not text:
        return otherwise
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise WrongCall(f"{name} is {text!r}", hint=f"a whole number above 0; {otherwise} where it is not set")
    return int(text)


def _sampler(given: Callable[[str], str]) -> tuple[float, bool]:
    """Return (share of traces that begin here, whether a caller's decision holds)."""
    name = given("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    kind = name.removeprefix("parentbased_")
    if kind not in _SAMPLERS:
        known = ", ".join(f"{before}{one}" for before in ("", "parentbased_") for one in _SAMPLERS)
        raise WrongCall(f"OTEL_TRACES_SAMPLER is {name!r}", hint=f"it is one of {known}")
    if kind != _RATIO:
        return float(kind == _ALWAYS), kind != name
    text = given("OTEL_TRACES_SAMPLER_ARG") or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1
    if not 0 <= ratio <= 1:
        raise WrongCall(f"OTEL_TRACES_SAMPLER_ARG is {text!r}", hint="the share of traces: 0 to 1")
    return ratio, kind != name
