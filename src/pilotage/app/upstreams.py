"""Which adapter serves a release; kept for as long as some release needs it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import UpstreamError
from pilotage.spec.release import UpstreamAddress
from pilotage.upstream.http import HttpUpstream
from pilotage.upstream.ranking import Index, articles
from pilotage.upstream.search import SearchUpstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import aiohttp

    from pilotage.clock import Clock
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Upstream

    Knowledge = tuple[tuple[str, str], ...]

OPENAI = "https://api.openai.com/v1"

log = logging.getLogger(__name__)


class WorkerUpstreams:
    """`index` before a release is served (it reads and computes, so in a thread); `of` only looks up or connects."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        environment: Callable[[str], str],
        blob: Callable[[str], bytes | None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._environment = environment
        self._blob = blob
        self._http: dict[UpstreamAddress, HttpUpstream] = {}
        self._search: dict[Knowledge, SearchUpstream] = {}

    def of(self, release: Release) -> Upstream:
        if release.upstream.kind == "search":
            found = self._search.get(release.knowledge)
            if found is None:
                raise UpstreamError("connect", "the knowledge of this release is not loaded")
            return found
        address = release.upstream
        upstream = self._http.get(address)
        if upstream is None:
            upstream = self._http[address] = self._connect(address)
        return upstream

    def index(self, releases: Iterable[Release]) -> None:
        """Index the knowledge of these releases where that was not done yet."""
        for release in releases:
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

    async def close(self) -> None:
        await self._session.close()

    def _connect(self, address: UpstreamAddress) -> HttpUpstream:
        """An address without a base URL is OpenAI's own, or what OPENAI_BASE_URL names, with OPENAI_API_KEY."""
        variable = address.api_key_env
        if not address.base_url:
            variable = variable or "OPENAI_API_KEY"
            address = msgspec.structs.replace(
                address, base_url=(self._environment("OPENAI_BASE_URL") or OPENAI).rstrip("/")
            )
        return HttpUpstream(self._session, address, api_key=self._environment(variable).strip() if variable else "")
