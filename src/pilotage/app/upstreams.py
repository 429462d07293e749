"""Which adapter serves a release; kept for as long as some release needs it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pilotage.app.connect import bounded, connect
from pilotage.errors import UpstreamError
from pilotage.spec.release import UpstreamAddress
from pilotage.upstream.http import HttpUpstream
from pilotage.upstream.names import PresidioNames
from pilotage.upstream.pipeline import PipelineUpstream, Unloadable, load
from pilotage.upstream.ranking import Index, articles
from pilotage.upstream.search import SearchUpstream
from pilotage.upstream.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pilotage.clock import Clock
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Upstream
    from pilotage.upstream.pool import Pool

    Knowledge = tuple[tuple[str, str], ...]

log = logging.getLogger(__name__)


class WorkerUpstreams:
    """`index` before a release is served (it reads, imports and computes, so in a thread); `of` only looks up or connects."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        *,
        environment: Callable[[str], str],
        blob: Callable[[str], bytes | None],
        callables: Sequence[Path] = (),
    ) -> None:
        """Pipelines are imported from the folders `callables`, if from anywhere."""
        self._pool = pool
        self._clock = clock
        self._environment = environment
        self._blob = blob
        self.tally = Tally()
        self._http: dict[UpstreamAddress, Upstream] = {}
        self._callables = callables
        self._pipelines: dict[UpstreamAddress, PipelineUpstream] = {}
        self._search: dict[Knowledge, SearchUpstream] = {}
        self.names = PresidioNames()
        self._preparing: dict[str, asyncio.Task[None]] = {}

    def of(self, release: Release) -> Upstream:
        if release.upstream.kind == "search":
            found = self._search.get(release.knowledge)
            if found is None:
                raise UpstreamError("connect", "the knowledge of this release is not loaded")
            return found
        address = release.upstream
        upstream = self._http.get(address)
        if upstream is None and address.kind == "callable":
            pipeline = self._pipelines.get(address)
            if pipeline is None:
                raise UpstreamError("connect", "the pipeline of this release is not loaded")
            upstream = self._http[address] = bounded(pipeline, address, self.tally)
        if upstream is None:
            upstream = self._http[address] = connect(
                self._transport, address, self._environment, self._clock, self.tally
            )
        return upstream

    def index(self, releases: Iterable[Release]) -> None:
        """Index the knowledge of these releases where that was not done yet."""
        for release in releases:
            if release.upstream.kind == "callable" and release.upstream not in self._pipelines:
                self._import(release)
            if release.upstream.kind != "search" or release.knowledge in self._search:
                continue
            found = []
            for name, digest in release.knowledge:
                data = self._blob(digest)
                if data is None:
                    log.error("%s: the store does not hold %s (%s)", release.reference, name, digest)
                else:
                    found += articles(name, data.decode(errors="replace"))
            self._search[release.knowledge] = SearchUpstream(Index(found), self._clock)

    def retain(self, releases: Mapping[str, Release]) -> None:
        knowledge = {release.knowledge for release in releases.values()}
        addresses = {release.upstream for release in releases.values()}
        self._search = {key: kept for key, kept in self._search.items() if key in knowledge}
        self._http = {key: kept for key, kept in self._http.items() if key in addresses}

        for rule in {rule for release in releases.values() for rule in release.filters if rule.kind == "names"}:
            if rule.model not in self._preparing:
                self._preparing[rule.model] = asyncio.create_task(self.names.prepare(rule.model))
        for address in [address for address in self._pipelines if address not in addresses]:
            self._pipelines.pop(address).stop()

    async def close(self) -> None:
        for pipeline in self._pipelines.values():
            pipeline.stop()
        for task in self._preparing.values():
            task.cancel()
        await self.names.close()
        await self._pool.close()

    def _import(self, release: Release) -> None:
        address = release.upstream
        try:
            function = load(address.function, self._callables)
        except Unloadable as fault:
            log.error("%s: %s", release.reference, fault)  # noqa: TRY400
        else:
            self._pipelines[address] = PipelineUpstream(function, address, self._clock)

    def _transport(self, address: UpstreamAddress, api_key: str) -> HttpUpstream:
        return HttpUpstream(self._pool, address, api_key=api_key)
