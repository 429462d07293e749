"""One request's spans: its own, and one for each release that was asked, as OTLP has them in JSON.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Prompts, replies, keys and units are never in them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pilotage.serving import conventions as names
from pilotage.serving.trace import begin, parse

if TYPE_CHECKING:
    from pilotage.gateway.exporter import Exporter
    from pilotage.records import Finished
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.trace import Hop, Trace

_SERVER, _CLIENT = 2, 3
_FAILED = 2
_PORTS = {"http": 80, "https": 443}


class Told(NamedTuple):
    """What is kept of one request until it is sent."""

    trace: Trace
    surface: str
    use_case: str
    release: str
    variant: str
    arm: str
    source: str
    began: int
    ended: int
    hops: tuple[Hop, ...]
    finished: Finished


class Spans:
    """Tells which requests are traced, and of those that ended. Without an exporter, only what callers began goes on."""

    def __init__(self, exporter: Exporter | None) -> None:
        self._exporter = exporter

    def begin(self, parent: str, state: str) -> Trace | None:
        trace = parse(parent, state)
        if self._exporter is None or (trace is not None and self._exporter.by_parent):
            return trace
        if trace is None:
            trace = begin(sampled=False)
        trace.sampled = self._exporter.takes(trace.trace)
        return trace

    def ended(self, outcome: Outcome, finished: Finished) -> None:
        exposure = outcome.exposure
        trace = exposure.trace
        if trace is None or not trace.sampled or self._exporter is None:
            return
        assignment = exposure.assignment
        self._exporter.put(
            Told(
                trace,
                outcome.surface,
                finished.use_case,
                assignment.reference,
                assignment.release.variant,
                assignment.arm,
                exposure.source,
                exposure.received,
                time.monotonic_ns(),
                tuple(outcome.hops),
                finished,
            )
        )


def encoded(told: Told, offset: int) -> list[dict[str, Any]]:
    """Return the spans of a request; `offset` is what makes nanoseconds since 1970 of monotonic ones."""
    finished, operation = told.finished, names.operation(told.surface)
    failed = finished.error if finished.status >= 400 or not finished.fallback else ""
    own = _span(
        told.trace,
        told.trace.span,
        told.trace.parent,
        f"{operation} {told.use_case}",
        kind=_SERVER,
        times=(told.began + offset, told.ended + offset),
        attributes={
            names.OPERATION: operation,
            names.REQUEST_MODEL: told.use_case,
            "http.response.status_code": finished.status,
            "pilotage.inference": finished.id,
            "pilotage.release": told.release,
            "pilotage.variant": told.variant,
            "pilotage.arm": told.arm,
            "pilotage.source": told.source,
            "pilotage.served": finished.served,
            names.ERROR: failed,
        },
    )
    return [own, *(_hop(told, hop, operation, offset) for hop in told.hops)]


def _hop(told: Told, hop: Hop, operation: str, offset: int) -> dict[str, Any]:
    finished, release = told.finished, hop.release
    answered = not hop.kind and hop.reference == finished.served
    # A stream that broke off ended with its request.
    failed = hop.kind or (finished.error if answered and not finished.fallback else "")
    model = release.model or release.upstream.kind
    attributes: dict[str, Any] = {
        names.OPERATION: operation,
        names.PROVIDER: names.provider(release.upstream),
        names.REQUEST_MODEL: model,
        "pilotage.release": hop.reference,
        names.ERROR: failed,
    }
    if release.upstream.base_url:
        parts = urlsplit(release.upstream.base_url)
        attributes |= {names.SERVER_ADDRESS: parts.hostname, names.SERVER_PORT: parts.port or _PORTS.get(parts.scheme)}
    if answered:
        attributes[names.RESPONSE_MODEL] = finished.model
        attributes[names.FINISH_REASONS] = [finished.finish_reason] if finished.finish_reason else None
        if finished.counted:
            attributes |= {names.INPUT_TOKENS: finished.input_tokens, names.OUTPUT_TOKENS: finished.output_tokens}
    times = hop.began + offset, (hop.ended or told.ended) + offset
    return _span(
        told.trace, hop.span, told.trace.span, f"{operation} {model}", kind=_CLIENT, times=times, attributes=attributes
    )


def _span(
    trace: Trace,
    span: str,
    parent: str,
    name: str,
    *,
    kind: int,
    times: tuple[int, int],
    attributes: dict[str, Any],
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": trace.trace,
        "spanId": span,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(times[0]),
        "endTimeUnixNano": str(times[1]),
        "attributes": [attribute(key, value) for key, value in attributes.items() if value not in ("", None)],
    }
    if parent:
        made["parentSpanId"] = parent
    if trace.state:
        made["traceState"] = trace.state
    if attributes.get(names.ERROR):
        made["status"] = {"code": _FAILED}
    return made


def attribute(key: str, value: object) -> dict[str, Any]:
    return {"key": key, "value": _value(value)}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}
