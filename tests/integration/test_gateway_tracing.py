"""Spans as a collector gets them, over OTLP from a real worker; and the trace as the provider is told of it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway_rig import Provider, Rig, release, search, until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes OTLP in JSON; says 503 first, as a collector does that starts."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                first = len(outer.headers) == 1
                if not first and self.path == "/v1/traces":
                    outer.take(json.loads(gzip.decompress(body)))
                self.send_response(503 if first else 200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def take(self, body: dict[str, Any]) -> None:
        for resource in body["resourceSpans"]:
            self.resources.append(plain(resource["resource"]["attributes"]))
            for scope in resource["scopeSpans"]:
                self.spans += [{**span, "attributes": plain(span["attributes"])} for span in scope["spans"]]

    def of(self, trace: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["traceId"] == trace]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in attributes}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def rig(provider: Provider, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server.server_port}",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=ours",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    rig = Rig(tmp_path_factory.mktemp("tracing"), environment=environment)
    words = search("covered", rig.knowledge(parcels="# Parcels\n\nA parcel arrives in three days."))
    rig.route("echo", release("echo", provider.url("echo")))
    rig.route("covered", release("covered", provider.url("status-500"), fallbacks=(words.reference,)), words)
    rig.start()
    yield rig
    rig.close()
    assert "When does my parcel" not in rig.log.read_text()


def test_a_callers_trace_reaches_the_provider_and_the_collector(rig: Rig, collector: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"}
    reply = rig.chat("echo", headers=headers)
    heard = json.loads(reply.json["choices"][0]["message"]["content"])["headers"]
    version, trace, span, flags = heard["traceparent"].split("-")
    assert (version, trace, flags, heard["tracestate"]) == ("00", TRACE, "01", "a=b")
    found = until(lambda: spans if len(spans := collector.of(TRACE)) == 2 else [])
    server = next(one for one in found if one["kind"] == 2)
    client = next(one for one in found if one["kind"] == 3)
    assert (server["parentSpanId"], client["parentSpanId"], client["spanId"]) == (SPAN, server["spanId"], span)
    assert span != SPAN
    assert (server["name"], client["name"]) == ("chat echo", "chat real-model")
    assert client["attributes"]["gen_ai.usage.input_tokens"] == "11"
    assert client["attributes"]["gen_ai.response.model"] == "real-model-7"
    assert client["attributes"]["gen_ai.provider.name"] == "openai"
    assert server["attributes"]["pilotage.inference"] in reply.headers["x-pilotage-inference"]
    assert server["attributes"]["http.response.status_code"] == "200"
    assert int(server["startTimeUnixNano"]) <= int(client["startTimeUnixNano"]) <= int(client["endTimeUnixNano"])
    assert "status" not in server
    assert collector.resources[0]["service.name"] == "pilotage"
    assert all(sent["x-team"] == "ours" for sent in collector.headers)
    assert "parcel" not in json.dumps(collector.spans)


def test_each_release_that_was_asked_has_a_span(rig: Rig, collector: Collector) -> None:
    trace = TRACE.replace("0", "1")
    reply = rig.chat("covered", stream=True, headers={"traceparent": f"00-{trace}-{SPAN}-01"})
    assert reply.headers["x-pilotage-error"] == "status:500"
    found = until(lambda: spans if len(spans := collector.of(trace)) == 3 else [])
    failed, answered = sorted((one for one in found if one["kind"] == 3), key=lambda one: one["startTimeUnixNano"])
    assert (failed["attributes"]["error.type"], failed["status"]) == ("status:500", {"code": 2})
    assert (answered["attributes"]["gen_ai.provider.name"], "status" in answered) == ("search", False)


def test_who_is_not_sampled_is_not_told_of_and_nonsense_begins_a_new_trace(rig: Rig, collector: Collector) -> None:
    trace = TRACE.replace("0", "2")
    unsampled = rig.chat("echo", headers={"traceparent": f"00-{trace}-{SPAN}-00"})
    assert f"00-{trace}-" in unsampled.json["choices"][0]["message"]["content"]
    odd = rig.chat("echo", headers={"traceparent": "00-nonsense"})
    heard = json.loads(odd.json["choices"][0]["message"]["content"])["headers"]["traceparent"]
    until(lambda: collector.of(heard.split("-")[1]))
    assert not collector.of(trace)
    figures = rig.ask("GET", "/metrics").body.decode()
    assert "pilotage_spans_dropped_total 0" in figures


def test_without_a_collector_a_trace_still_goes_through(provider: Provider, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "ws")
    try:
        rig.route("echo", release("echo", provider.url("echo")))
        rig.start()
        told = rig.chat("echo", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        heard = json.loads(told.json["choices"][0]["message"]["content"])["headers"]["traceparent"]
        assert heard.startswith(f"00-{TRACE}-")
        assert SPAN not in heard
        assert "traceparent" not in rig.chat("echo").json["choices"][0]["message"]["content"]
    finally:
        rig.close()
