"""Spans on their way to a collector: off the requests' path, in a queue with a bound, sent by a thread of its own."""

from __future__ import annotations

import gzip
import http.client
import logging
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from pilotage.gateway.protobuf import encode
from pilotage.gateway.spans import attribute, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.gateway.protobuf import encode
from pilotage.gateway.spans import Told

_AGAIN = frozenset({429, 502, 503, 504})
_TRIES = 4
_FIRST_PAUSE = 1.0
_MOST = float(1 << 64)

log = logging.getLogger(__name__)


class Telemetry(Protocol):
    """Where spans go, and how (`pilotage.settings`)."""

    @property
    def endpoint(self) -> str: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def timeout(self) -> float: ...
    @property
    def gzip(self) -> bool: ...
    @property
    def protobuf(self) -> bool: ...
    @property
    def resource(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def ratio(self) -> float: ...
    @property
    def by_parent(self) -> bool: ...
    @property
    def delay(self) -> float: ...
    @property
    def queue(self) -> int: ...
    @property
    def batch(self) -> int: ...


class Exporter:
    """`put` neither blocks nor raises; what finds no room, or no collector, is counted in `dropped` (requests)."""

    def __init__(self, telemetry: Telemetry, worker: str) -> None:
        self._telemetry = telemetry
        self.by_parent = telemetry.by_parent
        self.dropped = self.sent = 0
        self._queue: deque[Told] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._failing = False
        self._connection: http.client.HTTPConnection | None = None
        resource = {**dict(telemetry.resource), "service.instance.id": worker}
        self._resource = [attribute(name, value) for name, value in resource.items()]
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def takes(self, trace: str) -> bool:
        """Return whether a trace is among the share that is told of: by its id, as every other service decides."""
        return int(trace[16:], 16) / _MOST < self._telemetry.ratio

    def put(self, told: Told) -> None:
        if len(self._queue) >= self._telemetry.queue:
            self.dropped += 1
            return
        self._queue.append(told)
        if len(self._queue) == self._telemetry.batch:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, as far as that goes at once. Blocks for the timeout of one call at most."""
        self._closing = True
        self._wake.set()
        self._thread.join(self._telemetry.timeout + 1)

    # In the thread.

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._telemetry.delay)
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._telemetry.batch))]
                if self._deliver(batch):
                    self.sent += len(batch)
                else:
                    self.dropped += len(batch)
        if self._connection is not None:
            self._connection.close()

    def _deliver(self, batch: Sequence[Told]) -> bool:
        offset = time.time_ns() - time.monotonic_ns()
        spans = [span for told in batch for span in encoded(told, offset)]
        scope = {"scope": {"name": "pilotage"}, "spans": spans}
        request = {"resourceSpans": [{"resource": {"attributes": self._resource}, "scopeSpans": [scope]}]}
        body = encode(request) if self._telemetry.protobuf else msgspec.json.encode(request)
        pause = _FIRST_PAUSE
        for tried in range(_TRIES):
            why = self._post(body)
            if why is None:
                if self._failing:
                    log.info("the collector takes spans again")
                self._failing = False
                return True
            if not self._failing:
                log.warning("spans do not reach the collector: %s", why)
            self._failing = True
            if why in _REFUSED or self._closing or tried == _TRIES - 1:
                break
            # Nothing else is sent meanwhile; the queue fills, and what finds no room is counted.
            threading.Event().wait(pause)
            pause *= 2
        return False

    def _post(self, body: bytes) -> str | None:
        """Send; return what went wrong, or None."""
        parts = urlsplit(self._telemetry.endpoint)
        kind = "application/x-protobuf" if self._telemetry.protobuf else "application/json"
        headers = {"content-type": kind, "user-agent": "pilotage", **dict(self._telemetry.headers)}
        if self._telemetry.gzip:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        try:
            if self._connection is None:
                self._connection = _connect(parts.scheme, parts.hostname or "", parts.port, self._telemetry.timeout)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            self._connection.request("POST", target, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as fault:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return type(fault).__name__
        if answer.status < 300:
            return None
        return f"HTTP {answer.status}"


_REFUSED = frozenset(f"HTTP {status}" for status in range(300, 600) if status not in _AGAIN)


def _connect(scheme: str, host: str, port: int | None, seconds: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=seconds)
