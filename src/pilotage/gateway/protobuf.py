"""OTLP's JSON told as protobuf: of its messages only what spans need.

Field numbers from opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto (1.x, where they are stable).
"""

from __future__ import annotations

import struct
from typing import Any

_FIXED = struct.Struct("<Q")
_BYTES, _STRING, _ENUM, _FIXED64, _INT64, _MESSAGE = range(6)

# Of each message: its fields by their JSON names, as (number, kind, the message within).
_VALUE: dict[str, tuple[int, int, Any]] = {
    "stringValue": (1, _STRING, None),
    "intValue": (3, _INT64, None),
}
_VALUE["arrayValue"] = (5, _MESSAGE, {"values": (1, _MESSAGE, _VALUE)})
_ATTRIBUTE = {"key": (1, _STRING, None), "value": (2, _MESSAGE, _VALUE)}
_SPAN = {
    "traceId": (1, _BYTES, None),
    "spanId": (2, _BYTES, None),
    "traceState": (3, _STRING, None),
    "parentSpanId": (4, _BYTES, None),
    "name": (5, _STRING, None),
    "kind": (6, _ENUM, None),
    "startTimeUnixNano": (7, _FIXED64, None),
    "endTimeUnixNano": (8, _FIXED64, None),
    "attributes": (9, _MESSAGE, _ATTRIBUTE),
    "status": (15, _MESSAGE, {"code": (3, _ENUM, None)}),
}
_SCOPE_SPANS = {"scope": (1, _MESSAGE, {"name": (1, _STRING, None)}), "spans": (2, _MESSAGE, _SPAN)}
_RESOURCE_SPANS = {
    "resource": (1, _MESSAGE, {"attributes": (1, _MESSAGE, _ATTRIBUTE)}),
    "scopeSpans": (2, _MESSAGE, _SCOPE_SPANS),
}
_REQUEST = {"resourceSpans": (1, _MESSAGE, _RESOURCE_SPANS)}


def encode(request: dict[str, Any]) -> bytes:
    """Return an ExportTraceServiceRequest."""
    return _message(request, _REQUEST)


def _message(value: dict[str, Any], fields: dict[str, tuple[int, int, Any]]) -> bytes:
    out = bytearray()
    for name, given in value.items():
        number, kind, inner = fields[name]
        for one in given if isinstance(given, list) else (given,):
            if kind in (_ENUM, _INT64):
                # A negative number is told as the 64 bits that it has.
                out += _varint(number << 3) + _varint(int(one) & (1 << 64) - 1)
            elif kind == _FIXED64:
                out += _varint(number << 3 | 1) + _FIXED.pack(int(one))
            else:
                data = (
                    bytes.fromhex(one)
                    if kind == _BYTES
                    else one.encode(errors="replace")
                    if kind == _STRING
                    else _message(one, inner)
                )
                out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(out)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
