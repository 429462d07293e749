"""W3C trace context: what is taken, what is told, and what is as if it were not there; and OpenTelemetry's variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.app.telemetry import telemetry
from pilotage.errors import WrongCall
from pilotage.gateway.protobuf import encode
from pilotage.serving.trace import begin, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


def test_a_callers_trace_goes_on_under_new_spans() -> None:
    trace = parse(GIVEN, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    assert trace is not None
    assert (trace.trace, trace.parent, trace.sampled) == (TRACE, SPAN, True)
    assert trace.span != SPAN
    told = trace.headers("00f067aa0ba902b7")
    assert told == {
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    }
    unsampled = parse(GIVEN[:-2] + "00", "")
    assert unsampled is not None
    assert unsampled.headers(SPAN) == {"traceparent": f"00-{TRACE}-{SPAN}-00"}


@pytest.mark.parametrize(
    "given_parent",
    [
        "",
        "00",
        GIVEN.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"{GIVEN}-more",
        f" {GIVEN}",
        f"{GIVEN}\n",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
    ],
)
def test_what_is_malformed_is_not_there(given_parent: str) -> None:
    assert parse(given_parent, "a=b") is None


def test_a_later_version_may_say_more_and_odd_states_are_left_out() -> None:
    assert parse(f"cc-{TRACE}-{SPAN}-01-what the future brings", "") is not None
    for state in ("a=b\r\nx: y", "ä=1", "a" * 513):
        trace = parse(GIVEN, state)
        assert trace is not None
        assert "tracestate" not in trace.headers(SPAN)


@given(st.text(max_size=80), st.text(max_size=600))
def test_any_text_is_taken_or_left(parent: str, state: str) -> None:
    trace = parse(parent, state)
    assert trace is None or all(value.isprintable() for value in trace.headers(SPAN).values())


def test_a_new_trace_differs_from_the_last() -> None:
    assert len({begin(sampled=True).trace for _ in range(100)}) == 100


def test_opentelemetrys_variables_are_read() -> None:
    said = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret, x-team = a",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_SERVICE_NAME": "gateway",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,deployment.environment.name=test",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }
    found = telemetry(lambda name: said.get(name, ""))
    assert found is not None
    assert (found.endpoint, found.timeout) == ("http://collector:4318/v1/traces", 2.5)
    assert found.headers == (("authorization", "Bearer s3cret"), ("x-team", "a"))
    assert dict(found.resource) == {"service.name": "gateway", "deployment.environment.name": "test"}
    assert (found.ratio, found.by_parent, found.queue, found.batch) == (0.25, True, 2048, 512)
    assert telemetry(lambda _: "") is None
    for off in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        assert telemetry(lambda name, off=off: {**said, **off}.get(name, "")) is None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0ac"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_TRACES_SAMPLER", "some"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ],
)
def test_what_makes_no_sense_is_said_without_its_secrets(name: str, value: str) -> None:
    said = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": "traceidratio", name: value}
    with pytest.raises(WrongCall) as caught:
        telemetry(lambda variable: said.get(variable, ""))
    assert name in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint


def test_spans_are_told_in_protobuf_as_google_encodes_them() -> None:
    """The bytes are those that `opentelemetry-proto` 1.x serialises the same request to."""
    attributes = [
        {"key": "a", "value": {"stringValue": "ä"}},
        {"key": "n", "value": {"intValue": "-300"}},
        {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}]}}},
    ]
    span = {
        "traceId": TRACE,
        "spanId": SPAN,
        "traceState": "a=b",
        "parentSpanId": SPAN,
        "name": "chat m",
        "kind": 3,
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": "1700000000000000002",
        "attributes": attributes,
        "status": {"code": 2},
    }
    scope = {"scope": {"name": "pilotage"}, "spans": [span]}
    told = encode({"resourceSpans": [{"resource": {"attributes": attributes[:1]}, "scopeSpans": [scope]}]})
    assert told.hex() == (
        "0a94010a0b0a090a016112040a02c3a41284010a0a0a0870696c6f7461676512760a100af7651916cd43dd8448eb211c80319c1208b7ad6b"
        "71692033311a03613d622208b7ad6b71692033312a0663686174206d30033901002a36fe9c97174102002a36fe9c97174a090a016112040a"
        "02c3a44a100a016e120b18d4fdffffffffffffff014a0c0a016c12072a050a030a01787a021802"
    )
