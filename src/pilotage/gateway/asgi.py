"""The gateway: paths, refusals, figures. No framework: it is the hot path."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from pilotage.clock import SECOND, Clock, new_id
from pilotage.errors import RequestError
from pilotage.gateway.count_tokens import PATH as COUNT_TOKENS
from pilotage.gateway.count_tokens import CountTokens
from pilotage.gateway.exposition import CONTENT_TYPE
from pilotage.gateway.feedback import Commit, FeedbackDoor
from pilotage.gateway.flags import PATH as _FLAGS
from pilotage.gateway.flags import Flags
from pilotage.gateway.metrics import Figures
from pilotage.gateway.spans import Spans
from pilotage.gateway.surfaces import surfaces
from pilotage.gateway.wire import Incoming, refused
from pilotage.serving.outcome import CLIENT_GONE
from pilotage.serving.recording import Signals
from pilotage.serving.serve import Server
from pilotage.spec.price import MILLION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pilotage.gateway.door import Door
    from pilotage.gateway.exporter import Exporter
    from pilotage.gateway.limits import Limits
    from pilotage.gateway.recorder import Recorder
    from pilotage.store.base.recorded import SpoolWriter
    from pilotage.upstream.base import Upstreams

    Handler = Callable[[Incoming], Awaitable[None]]

_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_MODELS = "/v1/models"
_FOLDERS = (_MODELS, _FLAGS)
"""Paths that take a name after them."""


class Gateway:
    def __init__(
        self,
        door: Door,
        upstreams: Upstreams,
        recorder: Recorder,
        spool: SpoolWriter,
        clock: Clock,
        *,
        limits: Limits,
        figures: Figures,
        exporter: Exporter | None,
        signals: Sequence[Signals] = (),
    ) -> None:
        self._door = door
        self._recorder = recorder
        self._clock = clock
        self._figures = figures
        self._commit = Commit(spool)
        self._exporter = exporter
        spans = Spans(exporter)
        server = Server(upstreams, recorder, clock, (figures, *((spans,) if exporter else ()), *signals))
        server.tracing = spans.begin
        self._cache = server.cache
        self._tally = upstreams.tally
        self._limits = limits
        self._paths: dict[str, dict[str, Handler]] = {
            **{path: {"POST": handle} for path, handle in surfaces(door, server, clock, limits).items()},
            COUNT_TOKENS: {"POST": CountTokens(door, upstreams, clock).handle},
            "/v1/feedback": {"POST": FeedbackDoor(door, self._commit, clock).handle},
            _FLAGS: {"POST": Flags(door, recorder, clock).handle},
            _MODELS: {"GET": self._models},
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/metrics": {"GET": self._metrics},
        }

    async def handle(self, incoming: Incoming) -> None:
        """Answer one request. Cancelled, the caller is gone and nobody reads an answer."""
        incoming.id = new_id(self._clock)
        given = incoming.header(b"x-request-id")
        incoming.out["x-request-id"] = given if given and _REQUEST_ID.fullmatch(given) else incoming.id
        path = incoming.path
        if path not in self._paths:
            path = next((folder for folder in _FOLDERS if path.startswith(folder + "/")), path)
        began = time.monotonic()
        self._figures.in_flight += 1
        try:
            await self._handler(path, incoming)(incoming)
        except RequestError as fault:
            await incoming.refuse(fault)
        except asyncio.CancelledError:
            incoming.status = incoming.status or CLIENT_GONE
            raise
        finally:
            self._figures.in_flight -= 1
            known = path if path in self._paths else "other"
            self._figures.seen(known, incoming.status or 500, time.monotonic() - began)

    async def close(self) -> None:
        """Wait for feedback that is being written."""
        await self._commit.close()

    def _handler(self, path: str, incoming: Incoming) -> Handler:
        methods = self._paths.get(path)
        if methods is None:
            raise refused(404, f"there is nothing at {path}; see /v1/models for what can be asked", code="not_found")
        handler = methods.get("GET" if incoming.method == "HEAD" else incoming.method)
        if handler is None:
            incoming.out["allow"] = ", ".join(methods)
            raise refused(405, f"{path} takes {', '.join(methods)}, not {incoming.method}", code="method_not_allowed")
        return handler

    async def _models(self, incoming: Incoming) -> None:
        names = self._door.seen_by(self._door.key(incoming))
        created = self._clock.now() // SECOND
        models = [{"id": name, "object": "model", "created": created, "owned_by": "pilotage"} for name in names]
        wanted = incoming.path.removeprefix(_MODELS).strip("/")
        if not wanted:
            await incoming.reply_json(200, {"object": "list", "data": models})
            return
        found = next((model for model in models if model["id"] == wanted), None)
        if found is None:
            raise refused(404, f"no use case {wanted!r} for this API key", code="model_not_found", param="model")
        await incoming.reply_json(200, found)

    async def _healthz(self, incoming: Incoming) -> None:
        await incoming.reply_json(200, {"status": "ok"})

    async def _readyz(self, incoming: Incoming) -> None:
        faults = []
        if self._door.table is None:
            faults.append("what serves is not loaded yet")
        if self._recorder.losing:
            faults.append("events cannot be recorded: is the workspace's disk full?")
        status = "not ready" if faults else "ready"
        body = {"status": status, "faults": faults, "lost": self._recorder.lost, "dropped": self._recorder.dropped}
        await incoming.reply_json(503 if faults else 200, body)

    def count(self) -> None:
        """Say what is counted elsewhere, so that other workers see it too."""
        table, tally = self._door.table, self._tally
        self._figures.put(
            pilotage_events_lost_total=self._recorder.lost,
            pilotage_texts_dropped_total=self._recorder.dropped,
            pilotage_use_cases=len(table.routes) if table else 0,
            pilotage_rollouts_blind=len(table.blind) if table else 0,
            pilotage_upstream_calls=tally.asked,
            pilotage_upstream_waiting=tally.waiting,
            pilotage_upstream_turned_away_total=tally.turned_away,
            pilotage_upstream_retries_total=tally.retried,
            pilotage_upstream_hedges_total=tally.hedged,
            pilotage_upstream_hedges_won_total=tally.hedges_won,
            pilotage_breakers_opened_total=tally.opened,
            pilotage_breakers_open=tally.open,
            pilotage_beyond_budget_total=self._limits.beyond,
            **{f"pilotage_limited_{what}_total": count for what, count in self._limits.refused.items()},
            pilotage_spans_sent_total=self._exporter.sent if self._exporter else 0,
            pilotage_spans_dropped_total=self._exporter.dropped if self._exporter else 0,
            pilotage_cache_hits_total=self._cache.hits,
            pilotage_cache_misses_total=self._cache.misses,
            pilotage_cache_bytes=self._cache.size,
        )

        for one in self._limits.allowances:
            self._figures.budget(one.account, one.cap / MILLION, one.last.taken / MILLION)

    async def _metrics(self, incoming: Incoming) -> None:
        self.count()
        await incoming.reply(200, await asyncio.to_thread(self._figures.text), CONTENT_TYPE)
